"""The commands of ``python -m cluster``."""

from __future__ import annotations

from pathlib import Path

import click

from pipeline.data.terms import COST_LAWS, CostLaw
from pipeline.tools.terminal import run_commands

_FOLDER = click.Path(path_type=Path, file_okay=False)


@click.group()
def commands() -> None:
    """Run the main job on a Ray cluster, and watch it."""


@commands.command()
@click.option(
    "--preset", default="quick", show_default=True, help="smoke, quick, full, million, or a YAML."
)
@click.option("--methods", help="Which to train: ddpg-both,ds-base or all. Default: the preset's.")
@click.option("--data", type=_FOLDER, help="Data set. Default: generate the preset's.")
@click.option(
    "--costs",
    type=click.Choice(COST_LAWS),
    help="Law of the generated data's unit costs, as of `data make`. Default: the preset's.",
)
@click.option(
    "--cost-ratio",
    type=(float, float),
    metavar="LOW HIGH",
    help="Ends of shortage over holding cost, under --costs ratio (which it implies).",
)
@click.option(
    "--out", type=_FOLDER, help="Folder of the sweep. Default: runs/PRESET[-DATA][-COSTS]."
)
@click.option(
    "--address",
    envvar="RAY_ADDRESS",
    help="host:port of a running head. Default: start a local cluster.",
)
def train(
    preset: str,
    methods: str | None,
    data: Path | None,
    costs: CostLaw | None,
    cost_ratio: tuple[float, float] | None,
    out: Path | None,
    address: str | None,
) -> None:
    """Train, tune and compare all methods; the same command again resumes."""
    from cluster.train import train as run

    law = costs or ("ratio" if cost_ratio else None)
    parts = [Path(preset).stem, data.resolve().name if data else None, law]
    parts += [f"{end:g}" for end in cost_ratio or ()]
    name = "-".join(part for part in parts if part)
    chosen = [method.strip() for method in methods.split(",")] if methods else None
    run(
        preset, data, out or Path("runs") / name, address,
        methods=chosen, costs=law, cost_ratio=cost_ratio,
    )  # fmt: skip


@commands.command()
@click.option("--study", default="full", show_default=True, help="smoke, full, or a YAML.")
@click.option("--out", type=_FOLDER, help="Folder of the study. Default: runs/study[-STUDY].")
@click.option("--address", envvar="RAY_ADDRESS", help="As of train.")
@click.option("--retry-failed", is_flag=True, help="Train failed runs of earlier sessions again.")
def study(study: str, out: Path | None, address: str | None, retry_failed: bool) -> None:
    """Run the synthetic study and write its report; the same command again resumes."""
    from cluster.study import study as run

    default = Path("runs") / ("study" if study == "full" else f"study-{Path(study).stem}")
    run(study, out or default, address, retry_failed=retry_failed)


@commands.command()
@click.option("--piece", required=True, help="m5-cost, fresh-service, pool, credit, ...")
@click.option("--out", type=_FOLDER, help="Folder of the study. Default: runs/offline[-smoke].")
@click.option("--source", type=_FOLDER, help="Folder of the publishers' tables, or of several.")
@click.option("--smoke", is_flag=True, help="Small generated data, little training: minutes.")
@click.option("--address", envvar="RAY_ADDRESS", help="As of train.")
def offline(
    piece: str, out: Path | None, source: Path | None, smoke: bool, address: str | None
) -> None:
    """Run a piece of the offline study and write its tables; the same command again resumes."""
    from cluster.offline import offline as run

    default = Path("runs") / ("offline-smoke" if smoke else "offline")
    run(piece, out or default, address, source=source, smoke=smoke)


@commands.command()
@click.option("--runs", default="runs", show_default=True, type=_FOLDER, help="Folder of sweeps.")
@click.option("--mlflow-port", default=5000, show_default=True, help="Preferred port of MLflow.")
@click.option(
    "--tensorboard-port", default=6006, show_default=True, help="Preferred port of TensorBoard."
)
def ui(runs: Path, mlflow_port: int, tensorboard_port: int) -> None:
    """Serve MLflow and TensorBoard on what is in RUNS, until Ctrl-C."""
    from cluster.ui import watch

    watch(runs, mlflow_port, tensorboard_port)


def main() -> None:
    """Entry point of ``python -m cluster``."""
    run_commands(commands, "python -m cluster")
