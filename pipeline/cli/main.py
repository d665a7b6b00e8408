"""The group of all commands, and those of training, comparison and the study."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline.cli.data import data
from pipeline.cli.serve import decide, snapshot
from pipeline.studies.classical.cli import classical
from pipeline.studies.speed.cli import bench
from pipeline.studies.speed.scale import scale
from pipeline.tools.terminal import run_commands

if TYPE_CHECKING:
    from pipeline.scenarios.source import Split

FOLDER = click.Path(path_type=Path, file_okay=False)
FILE = click.Path(path_type=Path, dir_okay=False)
ACTION_MODEL_HELP = "none, base, coeff, both; or module:Class of your own."


@click.group()
def commands() -> None:
    """Data, training, evaluation, comparison and reports of replenishment policies."""


commands.add_command(data)
data.add_command(snapshot)
commands.add_command(decide)
commands.add_command(bench)
bench.add_command(classical)
bench.add_command(scale)


@commands.command()
@click.option("--data", "directory", type=FOLDER, required=True, help="Data set.")
@click.option("--algorithm", type=click.Choice(["ddpg", "ppo", "ds"]), required=True)
@click.option("--action-model", required=True, help=ACTION_MODEL_HELP)
@click.option("--config", "config_file", type=FILE, help="YAML with iterations, training, ...")
@click.option("--seed", type=int, help="Default: the configuration's, or 0.")
@click.option("--out", type=FOLDER, required=True, help="Folder of the run.")
def train(
    directory: Path,
    algorithm: str,
    action_model: str,
    config_file: Path | None,
    seed: int | None,
    out: Path,
) -> None:
    """Train one policy; the same command again resumes."""
    from pipeline.training.session import train_run

    train_run(directory, algorithm, action_model, config_file, seed, out)


@commands.command()
@click.option("--run", type=FOLDER, required=True, help="Folder of a training run.")
@click.option(
    "--data", required=True, help="Data set, or trajectories of the study: setting1:FILE.csv."
)
@click.option(
    "--split",
    type=click.Choice(["train", "validation", "test"]),
    default="test",
    help="Of a data set.",
)
@click.option("--out", type=FILE, help="Parquet, one row per inventory or trajectory.")
@click.option("--workers", type=click.IntRange(1), help="Ray workers. Default: one per CPU.")
def evaluate(run: Path, data: str, split: Split, out: Path | None, workers: int | None) -> None:
    """Play a trained policy on a split of a data set, or on trajectories of the study.

    The same command again resumes.
    """
    from pipeline.evaluation.trajectories import play_file
    from pipeline.scenarios.trajectories import setting_file
    from pipeline.training.session import evaluate_run, write_parquet

    found = setting_file(data)
    if found is None:
        evaluate_run(run, Path(data), split, out, workers)
        return
    rows = play_file(run, *found)
    if out is not None:
        write_parquet(rows, out)
        click.echo(f"Rows: {out}")


@commands.command()
@click.argument("sweep", type=FOLDER)
def compare(sweep: Path) -> None:
    """Evaluate a finished sweep on later days: comparison.{csv,md,html}, also in MLflow."""
    from pipeline.comparison.compare import compare as run
    from pipeline.comparison.report import write_report
    from pipeline.comparison.results import SweepResults
    from pipeline.comparison.table import comparison_text
    from pipeline.comparison.words import headline
    from pipeline.runs.sweep import read_sweep
    from pipeline.tracking.door import SweepRun
    from pipeline.tracking.publish import publish_comparison

    table = run(sweep)
    write_report(sweep)
    with SweepRun(sweep) as tracked:
        publish_comparison(tracked, read_sweep(sweep), table)
    click.echo(comparison_text(table))
    click.echo(headline(SweepResults.read(sweep)).answer)


@commands.command()
@click.argument("sweep", type=FOLDER)
def report(sweep: Path) -> None:
    """Write one HTML with every table and plot of a compared sweep."""
    from pipeline.comparison.report import write_report

    click.echo(f"Report: {write_report(sweep)}")


@commands.group()
def study() -> None:
    """Measure and report a trained synthetic study (`make study` does all of it)."""


@study.command(name="measure")
@click.argument("directory", type=FOLDER)
def measure_study(directory: Path) -> None:
    """Play every run on fresh test trajectories: measured/*.csv."""
    from pipeline.studies.synthetic.measuring.measure import measure

    measure(directory)


@study.command(name="figures")
@click.argument("directory", type=FOLDER)
def draw_study(directory: Path) -> None:
    """Draw all figures from measured/*.csv."""
    from pipeline.studies.synthetic.findings.figures import save_figures

    for path in save_figures(directory):
        click.echo(path)


@study.command(name="report")
@click.argument("directory", type=FOLDER)
def report_study(directory: Path) -> None:
    """Write study.html, with all tables and figures, from measured/*.csv."""
    from pipeline.studies.synthetic.report import write_study

    click.echo(f"Report: {write_study(directory)}")


def main() -> None:
    """Entry point of ``python -m pipeline``."""
    run_commands(commands, "python -m pipeline")
