"""The command ``offline`` and its subcommands."""

from __future__ import annotations

from pathlib import Path

import click

FOLDER = click.Path(path_type=Path, file_okay=False)


@click.group()
def offline() -> None:
    """Measure and report pieces of the offline study (`make offline` does all of it)."""


@offline.command(name="measure")
@click.argument("directory", type=FOLDER)
@click.option("--piece", help="One of them; default: all that are trained.")
def measure_pieces(directory: Path, piece: str | None) -> None:
    """Play what is trained on later days: tables/*.csv."""
    from pipeline.studies.offline.folder import OfflineFolder
    from pipeline.studies.offline.measuring.measure import measure
    from pipeline.studies.offline.pieces import PIECES, find_piece

    for own in PIECES.values() if piece is None else [find_piece(piece)]:
        measure(OfflineFolder(directory), own)


@offline.command(name="report")
@click.argument("directory", type=FOLDER)
def report_pieces(directory: Path) -> None:
    """Write offline.html, its figures and Markdown from tables/*.csv."""
    from pipeline.studies.offline.report import write_offline

    click.echo(f"Report: {write_offline(directory)}")
