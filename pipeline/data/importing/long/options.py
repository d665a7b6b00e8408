"""What the import of a long table can be told."""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

from envs.errors import DataError

REQUIRED = ("sku", "warehouse", "date", "demand")
FLAGS = {"promotion": 0, "event": 0, "snap": 0, "on_sale": 1, "known": 1}
"""Columns that hold 0 or 1 -> what a missing value means."""
NUMBERS = ("demand", "price", "on_hand")
OPTIONAL = ("price", *FLAGS, "on_hand")
MARKS = ",.' _\u2019"
EXCEL = "excel"
"""A `date_format`: the number of days since 1899-12-30, as spreadsheets count them."""


@dataclass(frozen=True)
class LongOptions:
    """What only the import of a long table can be told.

    Args:
        attributes: File of inventory attributes.
        plan: File with the columns of the source, without demand, for days after its last day.
        columns: Our name of a column -> its name in the files.
        ignore_columns: Columns of the source and of the attributes that are left out.
        warehouse: Name of the only warehouse, where the source has no such column.
        date_format: Of dates written as text, as in `strftime`; or "excel". Default: year first.
        timezone: Where the day of an instant (a timestamp with a zone) is taken. Default: in
            the zone that the column names, or as the text is written.
        encoding: Of CSV files that are not UTF-8.
        decimal, thousands: The marks in numbers of CSV files. Either implies the other.
        first_day, last_day: Rows outside are left out; default: all days of the table.
        absent_day: What a day without a row, between an inventory's first and last row, means:
            "gap": it is missing (a quality rule); "zero": the table lists only days with
            demand, so its demand was 0.
        after_last: What the days between an inventory's last row and the table's last day are:
            "zero": on sale without demand; "off-sale". Default: zero with `absent_day` zero,
            else off-sale.
        same_day: What several rows of an inventory and day are: "refuse": a mistake; "sum":
            lines of a till, whose demands add up.
        returns: What a negative demand is: "refuse": a mistake; "ignore": goods that came back,
            which are no demand; "subtract": the day's demand is less, never below 0. Default:
            ignore among a till's lines (`same_day` sum), else refuse.
        period: What a row stands for. None: a day, and a table of weeks or months is refused.
        period_date: The row's date is the first or the last day of its week.
        fill_missing: How blank attributes are filled: drawn by the law of the supply terms, with
            the median of the others, or not at all ("refuse").
        memory_limit: Of DuckDB, e.g. "1GB"; beyond it, it spills.
        spill: Folder for temporary files; default: beside OUT.
        threads: Of DuckDB.

    Raises:
        DataError: An option is not one of its values, or contradicts another.
    """

    attributes: str | Path | None = None
    plan: str | Path | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    ignore_columns: tuple[str, ...] = ()
    warehouse: str | None = None
    date_format: str | None = None
    timezone: str | None = None
    encoding: str | None = None
    decimal: str | None = None
    thousands: str | None = None
    first_day: date | None = None
    last_day: date | None = None
    absent_day: Literal["gap", "zero"] = "gap"
    after_last: Literal["zero", "off-sale"] | None = None
    same_day: Literal["refuse", "sum"] = "refuse"
    returns: Literal["refuse", "ignore", "subtract"] | None = None
    period: Literal["day", "week", "month"] | None = None
    period_date: Literal["first", "last"] = "first"
    fill_missing: Literal["drawn", "median", "refuse"] = "drawn"
    memory_limit: str = "1GB"
    spill: str | Path | None = None
    threads: int = 2

    def __post_init__(self) -> None:
        for name, theirs in self.columns.items():
            _check_column(name, theirs)
        _check_encoding(self.encoding)
        _check_zone(self.timezone)
        _check_date_format(self.date_format, self.period)
        for name, mark in (("decimal", self.decimal), ("thousands", self.thousands)):
            if mark is not None and (len(mark) != 1 or mark not in MARKS):
                raise DataError(f"--{name}", mark, f"Use one of the characters {MARKS!r}.")
        if self.decimal is not None and self.decimal == self.thousands:
            raise DataError("--thousands", self.thousands, "Use another mark than --decimal.")
        if self.first_day and self.last_day and self.first_day > self.last_day:
            raise DataError(
                "--last-day", str(self.last_day), "Use a later day.", "is before --first-day"
            )

    @property
    def marks(self) -> tuple[str, str]:
        """The decimal and the thousands mark ("" = none); either option implies the other."""
        thousands = "'" if self.thousands == "\u2019" else self.thousands
        if self.decimal is None and thousands in (None, ",", "'", " ", "_"):
            return ".", thousands or ""
        if self.decimal in (None, ","):
            return ",", thousands or "."
        return self.decimal or ".", thousands or ""

    @property
    def negative(self) -> str:
        """What a negative demand is: `returns` or its default."""
        return self.returns or ("ignore" if self.same_day == "sum" else "refuse")

    @property
    def zero_after_last(self) -> bool:
        """True: an inventory goes on, without demand, to the table's last day."""
        return (self.after_last or {"zero": "zero"}.get(self.absent_day, "off-sale")) == "zero"


def _check_column(ours: str, theirs: str) -> None:
    known = (*REQUIRED, *OPTIONAL)
    if ours in known and theirs:
        return
    remedy = f"Write OURS=THEIRS, where OURS is one of {', '.join(known)}."
    if theirs in known:
        remedy = f"Write our name first: --columns {theirs}={ours}"
    raise DataError("--columns", f"{ours}={theirs}", remedy, "names no column of ours")


def _check_encoding(encoding: str | None) -> None:
    try:
        codecs.lookup(encoding or "utf-8")
    except LookupError as error:
        raise DataError(
            "--encoding", str(encoding), "Use e.g. cp1252, latin-1, utf-16.", "is unknown"
        ) from error


def _check_zone(zone: str | None) -> None:
    try:
        ZoneInfo(zone or "UTC")
    except (OSError, ValueError, KeyError) as error:
        raise DataError(
            "--timezone", str(zone), "Use a name such as Europe/Berlin.", "is unknown"
        ) from error


def _check_date_format(text: str | None, period: str | None) -> None:
    """A format must hold the year, the month and the day of the month, or what the period needs."""
    if text is None or text == EXCEL:
        return
    held = set(re.findall(r"%-?([a-zA-Z])", text))
    month = bool(held & {"Y", "y"} and held & {"m", "b", "B"})
    week = {"G", "V"} <= held
    enough = (month and (period == "month" or "d" in held)) or "j" in held
    if not enough and not (week and (period == "week" or "u" in held)):
        raise DataError(
            "--date-format",
            text,
            "Use e.g. '%d/%m/%Y', '%m/%d/%Y', '%Y%m%d' or 'excel' (a number of days); for months "
            "and weeks of the year '%Y-%m' with --period month, '%G-W%V' with --period week.",
            "does not hold a year, a month and a day",
        )
