"""The commands of ``python -m tuning``."""

from __future__ import annotations

import os
from pathlib import Path

import click

from pipeline.tools.terminal import run_commands

FOLDER = click.Path(path_type=Path, file_okay=False)


@click.group()
def commands() -> None:
    """Hyperparameter sweeps over all methods with Ray Tune."""


@commands.command()
@click.option("--preset", default="quick", show_default=True, help="smoke, quick, full, or a YAML.")
@click.option("--data", type=FOLDER, help="Data set; none for a preset of the study.")
@click.option("--out", type=FOLDER, required=True, help="Folder of the sweep.")
@click.option("--retry-failed", is_flag=True, help="Train failed trials of earlier sessions again.")
def sweep(preset: str, data: Path | None, out: Path, retry_failed: bool) -> None:
    """Train and select; the same command again resumes. Compare with `python -m pipeline`."""
    from pipeline.baselines.tuned import lost_methods, tuned_baselines
    from pipeline.tracking.door import SweepRun
    from pipeline.tracking.publish import publish_trial
    from pipeline.training.session import ray_session
    from tuning.preset import load_preset
    from tuning.sweep import plan_sweep, run_sweep

    plan = plan_sweep(load_preset(preset), data, out)
    with ray_session(max(2, os.cpu_count() or 1)), SweepRun(out) as run:
        swept = run_sweep(
            plan,
            retry_failed=retry_failed,
            on_trial=lambda folder: publish_trial(run, folder),
        )
    for method, choice in swept.selected.items():
        value = "none" if choice.validation is None else f"{choice.validation:.4g}"
        figure = f"validation {swept.objective.metric} {value}"
        click.echo(f"{method}: {figure}, {choice.failed} failed, {choice.trial}")
    if data is not None:
        tuned = tuned_baselines(swept.source(), swept.directory, swept.objective)
        for sentence in lost_methods(swept, tuned):
            click.echo(sentence)


@commands.command()
@click.option("--preset", default="quick", show_default=True, help="smoke, quick, full, or a YAML.")
@click.option("--data", type=FOLDER, help="Data set; none generates the preset's for the time.")
@click.option(
    "--budget",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="CPU-seconds of a full training; default: the mean of the preset's methods.",
)
@click.option("--configurations", type=click.IntRange(min=1),
              help="Measure only the first so many of the design; default: all.")  # fmt: skip
def calibrate(
    preset: str, data: Path | None, budget: float | None, configurations: int | None
) -> None:
    """Measure what the methods cost, and print the iterations that make them equal.

    Ends with an error if the preset's dearest method costs over 15 % more CPU time than its
    cheapest.
    """
    from pipeline.training.session import ray_session
    from tuning import calibrate as calibration
    from tuning.preset import load_preset
    from tuning.sweep import preset_source

    plan = load_preset(preset)
    with preset_source(plan, data) as source, ray_session(1):
        measured = calibration.calibrate(
            plan, source, configurations=configurations, say=lambda text: click.echo(text, err=True)
        )
    click.echo(measured.table(budget))
    measured.check()


def main() -> None:
    """Entry point of ``python -m tuning``."""
    run_commands(commands, "python -m tuning")
