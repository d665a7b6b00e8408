"""The command ``bench classical``."""

from __future__ import annotations

import os
from pathlib import Path

import click


@click.command()
@click.option("--seeds", type=click.IntRange(1), default=5, show_default=True)
@click.option(
    "--periods", type=click.IntRange(1000), default=2_000_000, show_default=True,
    help="Inventory-days that a policy is scored on, per problem.",
)  # fmt: skip
@click.option("--only", default="", help="Rows whose name contains this, e.g. setting1-ppo.")
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False),
    default=Path("runs/bench/classical"), show_default=True,
)  # fmt: skip
@click.option(
    "--jobs", type=click.IntRange(1), default=os.cpu_count() or 1, show_default=True,
    help="Runs at a time, one core each.",
)  # fmt: skip
def classical(seeds: int, periods: int, only: str, out: Path, jobs: int) -> None:
    """Train on classical problems and compare with their known best costs; resumes."""
    from pipeline.studies.classical.bench import bench_classical, markdown
    from pipeline.studies.classical.cases import select_cases

    click.echo(markdown(bench_classical(select_cases(only), seeds, periods, out, jobs)))
