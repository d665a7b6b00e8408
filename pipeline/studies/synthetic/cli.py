"""The command ``study`` and its subcommands."""

from __future__ import annotations

from pathlib import Path

import click

FOLDER = click.Path(path_type=Path, file_okay=False)


@click.group()
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
