"""The options of `data import long`."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from envs.errors import DataError
from pipeline.data.importing.long.options import LongOptions

Command = Callable[..., Any]
_DAY = click.DateTime(formats=["%Y-%m-%d"])
_FILE = click.Path(path_type=Path)

_OPTIONS = [
    click.option("--attributes", type=_FILE, help="Table of inventories."),
    click.option(
        "--plan", type=_FILE, help="Table of days after the last day of SOURCE, without demand."
    ),
    click.option(
        "--columns", multiple=True, metavar="OURS=THEIRS ...",
        help="Names of the columns in the files, e.g. sku=Item warehouse=Store.",
    ),
    click.option(
        "--ignore-columns", multiple=True, metavar="NAME,...",
        help="Columns of SOURCE and of the attributes to leave out.",
    ),
    click.option("--warehouse", help="The only warehouse, if there is no column for it."),
    click.option(
        "--date-format", metavar="FMT", help="Of dates, e.g. '%d/%m/%Y'; 'excel': day numbers."
    ),
    click.option("--timezone", help="Where an instant's day is taken; default: as written."),
    click.option("--encoding", help="Of CSV files that are not UTF-8, e.g. cp1252."),
    click.option("--decimal", help="Decimal mark in CSV files; default: a point."),
    click.option("--thousands", help="Thousands mark in CSV files; default: none."),
    click.option("--first-day", type=_DAY, help="Leave out rows before this day."),
    click.option("--last-day", type=_DAY, help="Leave out rows after this day."),
    click.option(
        "--absent-day", type=click.Choice(["gap", "zero"]), default="gap", show_default=True,
        help="A day without a row is missing data (gap), or had no demand (zero).",
    ),
    click.option(
        "--after-last", type=click.Choice(["zero", "off-sale"]),
        help="Days from an inventory's last row to the table's last day; default: zero with "
        "--absent-day zero, else off-sale.",
    ),
    click.option(
        "--same-day", type=click.Choice(["refuse", "sum"]), default="refuse", show_default=True,
        help="Several rows of an inventory and day: a mistake, or lines of a till.",
    ),
    click.option(
        "--returns", type=click.Choice(["refuse", "ignore", "subtract"]),
        help="Negative demand: a mistake, not demand, or less demand; default: ignore with "
        "--same-day sum, else refuse.",
    ),
    click.option(
        "--period", type=click.Choice(["day", "week", "month"]),
        help="What a row stands for; weeks and months are spread evenly over their days.",
    ),
    click.option(
        "--period-date", type=click.Choice(["first", "last"]), default="first", show_default=True,
        help="A week is dated by its first or its last day.",
    ),
    click.option(
        "--fill-missing", type=click.Choice(["drawn", "median", "refuse"]), default="drawn",
        show_default=True, help="What is done with blank attributes.",
    ),
    click.option(
        "--memory-limit", default="1GB", show_default=True, help="Beyond it, spill to disk."
    ),
    click.option("--spill", type=_FILE, help="Folder for temporary files."),
    click.option("--threads", default=2, show_default=True),
]  # fmt: skip


class ColumnsCommand(click.Command):
    """A command whose `--columns` takes several values: `--columns a=b c=d`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        result: list[str] = []
        listing = False
        for i, argument in enumerate(args):
            pair = re.match(r"\w+=", argument) is not None
            if listing and pair and args[i - 1] != "--columns":
                result.append("--columns")
            listing = (
                argument == "--columns" or argument.startswith("--columns=") or (listing and pair)
            )
            result.append(argument)
        return super().parse_args(ctx, result)


def long_options(command: Command) -> Command:
    """Give a command the options of `LongOptions`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def take_long_options(common: dict[str, Any]) -> tuple[LongOptions, dict[str, Any]]:
    """Take `LongOptions` out of a command's options.

    Raises:
        DataError: An option is not valid.
    """
    names = LongOptions.__dataclass_fields__.keys()
    values = {name: common[name] for name in names}
    values["columns"] = _columns(values["columns"])
    ignored = [name for text in values["ignore_columns"] for name in text.split(",")]
    values["ignore_columns"] = tuple(name.strip() for name in ignored if name.strip())
    for name in ("first_day", "last_day"):
        values[name] = None if values[name] is None else values[name].date()
    rest = {name: value for name, value in common.items() if name not in names}
    return LongOptions(**values), rest


def _columns(texts: tuple[str, ...]) -> dict[str, str]:
    """ "a=b", or several after each other with commas -> {"a": "b"}."""
    result: dict[str, str] = {}
    for text in texts:
        # A comma may be part of a name: only one before NAME= separates.
        for pair in re.split(r",(?=\s*\w+\s*=)", text):
            ours, equals, theirs = (part.strip() for part in pair.partition("="))
            if not equals:
                raise DataError("--columns", pair, "Write OURS=THEIRS, e.g. sku=Item.")
            if result.get(ours, theirs) != theirs:
                raise DataError("--columns", pair, f"Give one name for {ours}.", "is given twice")
            result[ours] = theirs
    return result
