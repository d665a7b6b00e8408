"""How the command lines of the packages speak, and how they end."""

from __future__ import annotations

import logging
import sys

import click

from envs.errors import DeepStockError
from pipeline.tools.progress import LOG


def run_commands(commands: click.Group, program: str) -> None:
    """Runs a command group; a user's error is one paragraph on stderr and exit status 2."""
    _show_progress()
    try:
        commands(prog_name=program)
    except DeepStockError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(2)


def _show_progress() -> None:
    """On stderr, the bare lines."""
    LOG.addHandler(logging.StreamHandler())
    LOG.setLevel(logging.INFO)
    LOG.propagate = False
