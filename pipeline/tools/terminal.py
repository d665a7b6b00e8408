"""How the command lines of the packages end."""

from __future__ import annotations

import sys

import click

from envs.errors import DeepStockError


def run_commands(commands: click.Group, program: str) -> None:
    """Runs a command group; a user's error is one paragraph on stderr and exit status 2."""
    try:
        commands(prog_name=program)
    except DeepStockError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(2)
