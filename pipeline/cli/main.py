"""The group of all commands, and those of training and comparison."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import click

from envs.errors import ConfigError
from pipeline.cli.data import data
from pipeline.cli.serve import decide, snapshot
from pipeline.runs.method import AlgorithmName
from pipeline.tools.terminal import run_commands

if TYPE_CHECKING:
    from pipeline.scenarios.dataset import Counted
    from pipeline.scenarios.source import Split

FOLDER = click.Path(path_type=Path, file_okay=False)
FILE = click.Path(path_type=Path, dir_okay=False)
ACTION_MODEL_HELP = "none, base, coeff, both, proj, projboth; or module:Class of your own."


GUESTS = {
    "bench": "pipeline.studies.speed.cli:bench",
    "offline": "pipeline.studies.offline.cli:offline",
    "study": "pipeline.studies.synthetic.cli:study",
}
"""Commands of experiments -> where they are. Nothing else of the product knows an experiment."""


class WithGuests(click.Group):
    """Imports an experiment's commands when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of the alphabet."""
        return sorted([*super().list_commands(ctx), *GUESTS])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a name."""
        if cmd_name not in GUESTS:
            return super().get_command(ctx, cmd_name)
        module, name = GUESTS[cmd_name].split(":")
        command: click.Command = getattr(import_module(module), name)
        return command


@click.group(cls=WithGuests)
def commands() -> None:
    """Data, training, evaluation, comparison and reports of replenishment policies."""


commands.add_command(data)
data.add_command(snapshot)
commands.add_command(decide)


@commands.command()
@click.option("--data", "directory", type=FOLDER, required=True, help="Data set.")
@click.option("--algorithm", type=click.Choice([*map(str, AlgorithmName)]), required=True)
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
    from pipeline.runs.config import RunConfig, load_yaml, parse
    from pipeline.training.session import train_run

    content = load_yaml(config_file) if config_file else {}
    content |= {"algorithm": algorithm, "action_model": action_model}
    if seed is not None:
        content["seed"] = seed
    run = parse(RunConfig, content, config_file.name if config_file else "options")
    train_run(directory, run, out, say=click.echo)


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
@click.option(
    "--counted",
    type=click.Choice(["all", "observed"]),
    default="all",
    show_default=True,
    help="Days of a data set that metrics are made of; observed leaves imputed ones out.",
)
@click.option(
    "--goal",
    help='Turn the trade-off until validation meets it: "stockout<=3%", "fill>=98%", '
    '"turnover<=20 days", "stockout<=3% per class". Kept with the model, for `decide --goal`.',
)
def evaluate(
    run: Path,
    data: str,
    split: Split,
    out: Path | None,
    workers: int | None,
    counted: Counted,
    goal: str | None,
) -> None:
    """Play a trained policy on a split of a data set, or on trajectories of the study.

    The same command again resumes.
    """
    from pipeline.evaluation.play import in_words, summarize
    from pipeline.evaluation.trajectories import mean_cost_in_words, play_file
    from pipeline.scenarios.trajectories import setting_file
    from pipeline.tools.files import write_parquet, writing
    from pipeline.training.session import evaluate_run, meet_goal

    found = setting_file(data)
    if found is None:
        if goal is not None:
            for line in meet_goal(run, data, split, goal):
                click.echo(str(line))
            return
        played = evaluate_run(run, data, split, out, workers, counted)
        days = ", observed days" if counted == "observed" else ""
        said = f"{len(played):,} inventories, {split}{days}: {in_words(summarize(played))}."
        click.echo(said + (f" Rows: {out}" if out else ""))
        return
    rows = play_file(run, *found)
    click.echo(f"{len(rows):,} trajectories of {found[0]}: {mean_cost_in_words(rows)}")
    if out is not None:
        with writing(out):
            write_parquet(out, rows)
        click.echo(f"Rows: {out}")


@commands.command()
@click.argument("sweep", type=FOLDER)
@click.option("--data", "other", type=FOLDER, help="Judge it on this data set instead.")
@click.option("--out", type=FOLDER, help="Folder of that comparison.")
def compare(sweep: Path, other: Path | None, out: Path | None) -> None:
    """Evaluate a finished sweep on later days: comparison.{csv,md,html}, also in MLflow.

    With --data on the later days of days or stores that it never saw; rules stay tuned on its own.
    """
    if (other is None) != (out is None):
        raise ConfigError("--out", str(out), "Give --data and --out together, or neither.")
    from pipeline.comparison.compare import compare as run
    from pipeline.comparison.report import write_report
    from pipeline.comparison.results import SweepResults
    from pipeline.comparison.table import comparison_text
    from pipeline.comparison.words import headline
    from pipeline.runs.sweep import read_sweep
    from pipeline.tracking.door import SweepRun
    from pipeline.tracking.publish import publish_comparison

    table = run(sweep, data=other, out=out)
    sweep = sweep if out is None else out
    write_report(sweep)
    with SweepRun(sweep) as tracked:
        publish_comparison(tracked, read_sweep(sweep), table)
    click.echo(comparison_text(table))
    click.echo(headline(SweepResults.read(sweep)).answer)


@commands.command()
@click.argument("directory", metavar="DATA", type=FOLDER)
@click.option("--out", type=FOLDER, required=True, help="Folder of the table and what it rests on.")
@click.option(
    "--split",
    type=click.Choice(["validation", "test"]),
    default="validation",
    show_default=True,
    help="Inventories and days that are played.",
)
@click.option("--objective", default="cost", show_default=True, help="What they are tuned for.")
def baselines(directory: Path, out: Path, split: Split, objective: str) -> None:
    """What each baseline brings over forecast + safety stock: refinements.{csv,md}.

    They are tuned on training inventories. The same command again resumes.
    """
    from envs.objective import objective_of
    from pipeline.comparison.refinements import refinements, refinements_markdown
    from pipeline.scenarios.dataset import DatasetSource

    table = refinements(DatasetSource(directory), split, objective_of(objective), out)
    click.echo(refinements_markdown(table))


@commands.command()
@click.argument("sweep", type=FOLDER)
def report(sweep: Path) -> None:
    """Write one HTML with every table and plot of a compared sweep."""
    from pipeline.comparison.report import write_report

    click.echo(f"Report: {write_report(sweep)}")


def main() -> None:
    """Entry point of ``python -m pipeline``."""
    run_commands(commands, "python -m pipeline")
