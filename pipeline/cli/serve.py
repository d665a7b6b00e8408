"""The commands ``data snapshot`` and ``decide``: from data to a day's orders."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from pipeline.serving.stock import BadStock

FILE = click.Path(path_type=Path, dir_okay=False)
FOLDER = click.Path(path_type=Path, file_okay=False)
_MODEL = (
    "Folder of a run, a trial, or a finished sweep (whoever is best on validation, a method "
    "or a baseline)."
)


@click.command()
@click.option("--data", "directory", type=FOLDER, required=True, help="Data set.")
@click.option("--day", type=int, help="Morning of this day, from 1; default: after the last day.")
@click.option("--stock", type=FILE, help="Parquet or CSV: inventory_id, on_hand, on_order (list).")
@click.option(
    "--bad-stock", type=click.Choice(["zero", "skip", "refuse"]), default="zero", show_default=True,
    help="Inventories whose stock cannot be right: counted with 0, left out, or refused.",
)  # fmt: skip
@click.option("--model", type=FOLDER, help=f"{_MODEL} Default: the data set's own forecaster.")
@click.option("--played", is_flag=True, help="Stock that MODEL leaves after the test days.")
@click.option("--out", type=FILE, required=True, help="Parquet, one row per inventory.")
def snapshot(
    directory: Path,
    day: int | None,
    stock: Path | None,
    bad_stock: BadStock,
    model: Path | None,
    played: bool,
    out: Path,
) -> None:
    """Write what a day's decisions need, as known on its morning."""
    from pipeline.serving import day as a_day

    made = a_day.snapshot(
        directory, out, model=model, day=day, stock=stock, bad_stock=bad_stock, played=played
    )
    click.echo(f"{made}\n{out}")
    if stock is None and not played:
        click.echo(
            "No stock was given: each inventory has one demand scale on hand, nothing on order."
        )


@click.command()
@click.option("--model", type=FOLDER, required=True, help=_MODEL)
@click.option("--snapshot", type=FILE, required=True, help="From `data snapshot`.")
@click.option("--goal", help='A trade-off that `evaluate --goal` has found: "stockout<=3%".')
@click.option("--out", type=FILE, required=True, help="Parquet, one row per inventory.")
def decide(model: Path, snapshot: Path, goal: str | None, out: Path) -> None:
    """Decide the orders of a day: a trained policy on a snapshot."""
    from pipeline.serving import day

    orders = day.decide(model, snapshot, out, goal=goal)
    click.echo(f"{orders}: {out}")
    if orders.rounding:
        click.echo(orders.rounding)
