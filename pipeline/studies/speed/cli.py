"""The command ``bench`` and its subcommands."""

from __future__ import annotations

from pathlib import Path

import click

from pipeline.studies.classical.cli import classical
from pipeline.studies.speed.scale import scale

SECTIONS = (
    "products", "dynamics", "rollouts", "training", "through_rllib", "inventories", "shapes",
    "runners", "sizes", "memory",
)  # fmt: skip


@click.group(invoke_without_command=True)
@click.option(
    "--section", "sections", multiple=True, type=click.Choice(SECTIONS), help="Default: all."
)
@click.option(
    "--rounds", type=click.IntRange(1), default=5, show_default=True,
    help="Turns that each row takes.",
)  # fmt: skip
@click.option(
    "--history",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("runs/bench/history.jsonl"),
    show_default=True,
    help="Appended to; the previous entry of the same machine is compared with.",
)
@click.pass_context
def bench(context: click.Context, sections: tuple[str, ...], rounds: int, history: Path) -> None:
    """Rates, scaling and memory, beside the machine's limits (minutes)."""
    if context.invoked_subcommand is None:
        from pipeline.studies.speed.speed import run_speed

        run_speed(sections or SECTIONS, rounds, history)


bench.add_command(classical)
bench.add_command(scale)
