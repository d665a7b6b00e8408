"""SQL for the days of a long table, and what to say where dates cannot be read.

A day is a day where the table was written: the zone that a column names, or the clock that a
text shows. It never depends on the machine's zone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime

import duckdb

from envs.errors import DataError
from pipeline.data.importing import duck
from pipeline.data.importing.long.files import Files, Shape
from pipeline.data.importing.long.options import EXCEL, LongOptions
from pipeline.data.importing.long.values import quote

_YEARS = ("1900-01-01", "2199-12-31")
_DAY = r"\d{4}[-/]\d{1,2}[-/]\d{1,2}"
_CLOCK = r"[T ]\d{1,2}:\d{2}(:\d{2}([.,]\d+)?)?"
_OFFSET = r"\s*(Z|UTC|[+-]\d{2}(:?\d{2})?)"
_TWELVE = r"\s*[AaPp][Mm]"
_TAILS = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p")
_ORDERS = (
    "%d{0}%m{0}%Y", "%m{0}%d{0}%Y", "%d{0}%m{0}%y", "%m{0}%d{0}%y", "%y{0}%m{0}%d",
    "%Y{0}%m{0}%d", "%Y{0}%d{0}%m", "%d{0}%b{0}%Y", "%d{0}%B{0}%Y", "%b{0}%d{0}%Y",
    "%d{0}%b{0}%y",
)  # fmt: skip
_FORMATS = (
    *(order.format(mark) for mark in "/.- " for order in _ORDERS),
    "%Y%m%d", "%d%m%Y", "%b %d, %Y", "%B %d, %Y", "%d%b%Y",
    "%A, %d %B %Y", "%A, %B %d, %Y", "%A %d %B %Y", "%a %d %b %Y", "%a, %d %b %Y",
)  # fmt: skip
_MONTHS = ("%Y-%m", "%Y/%m", "%m/%Y", "%m-%Y", "%m.%Y", "%b %Y", "%B %Y", "%b-%Y", "%b-%y")
_MONTH_NUMBER = r"(19|20)\d{2}(0[1-9]|1[0-2])"
_WEEKS = {r"\d{4}-W\d{2}": "%G-W%V", r"\d{4}W\d{2}": "%GW%V"}


def day(shape: Shape, column: int, options: LongOptions) -> str:
    """SQL: the day of a row; NULL where it cannot be read one way only."""
    reference, kind = shape.reference(column), shape.types[column]
    if kind in ("date", "timestamp"):
        result = f"CAST({reference} AS DATE)"
    elif kind == "instant":
        zone = options.timezone or shape.zones[column]
        result = f"CAST({_local(reference, zone)} AS DATE)"
    elif options.date_format is not None:
        result = _formatted(options.date_format)
    else:
        result = _iso(options.timezone)
    first, last = _YEARS
    return f"CASE WHEN {result} BETWEEN DATE '{first}' AND DATE '{last}' THEN {result} END"


def _local(instant: str, zone: str) -> str:
    """SQL: what a clock of the zone shows at an instant."""
    fixed = re.fullmatch(r"([+-])(\d{2}):?(\d{2})", zone)
    if fixed is None:
        return f"timezone({quote(zone)}, {instant})"
    sign, hours, minutes = fixed.groups()
    offset = int(f"{sign}1") * (60 * int(hours) + int(minutes))
    return f"timezone('UTC', {instant}) + to_minutes({offset})"


def _iso(zone: str | None) -> str:
    """SQL: the day of a text `date` with the year first, in four digits."""
    written = r"split_part(replace(date, 'T', ' '), ' ', 1)"
    # Nearly all texts have ten letters; only the others pay for a pattern.
    result = "WHEN length(date) = 10 THEN TRY_CAST(date AS DATE)"
    if zone is not None:
        instant = quote(_DAY + _CLOCK + _OFFSET)
        local = f"CAST(timezone({quote(zone)}, TRY_CAST(date AS TIMESTAMPTZ)) AS DATE)"
        result += f" WHEN regexp_full_match(date, {instant}) THEN {local}"
    pattern = quote(f"{_DAY}({_CLOCK}({_OFFSET})?)?")
    return (
        f"(CASE {result} WHEN regexp_full_match(date, {pattern}) "
        f"THEN TRY_CAST({written} AS DATE) END)"
    )


def _formatted(text: str) -> str:
    """SQL: the day of a text `date` in the given format, or with the year first.

    A time may follow.
    """
    if text == EXCEL:
        number = "TRY_CAST(floor(TRY_CAST(date AS DOUBLE)) AS INTEGER)"
        return f"coalesce(DATE '1899-12-30' + {number}, {_iso(None)})"
    written = "date"
    if "%z" in text:  # the day as written, not the day in UTC
        text = text.replace("%z", "").rstrip()
        written = f"regexp_replace(date, {quote(_OFFSET + '$')}, '')"
    formats = ", ".join(quote(text + tail) for tail in _TAILS)
    result = f"CAST(TRY_STRPTIME({written}, [{formats}]) AS DATE)"
    # Where a column has two formats, a date with the year first can be read one way only.
    return result if text.startswith(("%Y", "%G")) else f"coalesce({result}, {_iso(None)})"


def check_zone(
    db: duckdb.DuckDBPyConnection, files: Files, column: Sequence[int], options: LongOptions
) -> None:
    """Refuse instants in UTC that are midnights of another zone: their days would be shifted.

    Args:
        column: Index of the date's column for each of `files.shapes`.

    Raises:
        DataError: No instant of the first thousand is at midnight, and they share one or two
            times of the day (two: summer and winter).
    """
    if options.timezone is not None or options.date_format is not None:
        return
    for (shape, paths), index in zip(files.shapes, column, strict=True):
        reference, kind = shape.reference(index), shape.types[index]
        if kind == "instant" and shape.zones[index].upper() in ("UTC", "+00:00", "ETC/UTC"):
            clock = f"strftime(timezone('UTC', {reference}), '%H:%M:%S')"
        elif kind == "text":
            utc = quote(_DAY + _CLOCK + r"\s*(Z|UTC|\+00(:?00)?)")
            clock = (
                f"CASE WHEN regexp_full_match({reference}, {utc}) THEN "
                f"strftime(TRY_CAST({reference} AS TIMESTAMP), '%H:%M:%S') END"
            )
        else:
            continue
        found = duck.rows(
            db,
            f"SELECT DISTINCT clock FROM (SELECT {clock} AS clock FROM {shape.scan(paths)} "
            "LIMIT 1000) WHERE clock IS NOT NULL",
            files.path,
        )
        times = sorted(row[0] for row in found)
        if 1 <= len(times) <= 2 and "00:00:00" not in times:
            raise DataError(
                f"date of {files.name(paths[0])}",
                f"{' or '.join(times)} UTC",
                "Give the zone whose days they are, e.g. --timezone Europe/Berlin (or UTC).",
                "in all rows looked at: they seem to be the midnights of another zone",
            )


def unreadable(texts: Sequence[str], count: int, rows: int, options: LongOptions) -> DataError:
    """The error for dates that cannot be read: three of them, and the formats that fit.

    Args:
        texts: Some of them, distinct.
        count, rows: How many rows have one, and how many rows there are.
    """
    fitting = list(_fitting(texts))
    given = options.date_format
    wanted = "YYYY-MM-DD" if given is None else f"--date-format {given}"
    remedy = "Give --date-format, e.g. '%d/%m/%Y', or write them as YYYY-MM-DD"
    if fitting:
        remedy = "Give --date-format " + " or --date-format ".join(fitting)
        if given is not None and count < rows:
            remedy += ", if all dates have that format; if not, write all in one"
        elif len(fitting) > 1:
            remedy += ": day, month and year cannot be told apart by the values"
    elif all(re.fullmatch(r"\d{10}|\d{13}", text) for text in texts):
        remedy = "Write days as YYYY-MM-DD: these seem to be (milli)seconds since 1970, in UTC"
    return DataError(
        "date", ", ".join(texts[:3]), f"{remedy}.", f"({count:,} of {rows:,} rows) is not {wanted}"
    )


def _fitting(texts: Sequence[str]) -> Iterable[str]:
    """Formats that read all of the texts, as an option's value, with --period where needed."""
    bare = [re.sub(rf"({_CLOCK})({_TWELVE}|{_OFFSET})?$", "", text) for text in texts]
    if all(re.fullmatch(r"[1-9]\d{4}(\.0+)?", text) for text in bare):
        yield f"'{EXCEL}'"
        return
    if all(re.fullmatch(_MONTH_NUMBER, text) for text in bare):
        yield "'%Y%m' --period month"
        return
    for pattern, text_format in _WEEKS.items():
        if all(re.fullmatch(pattern, text) for text in bare):
            yield f"'{text_format}' --period week"
    yield from (f"'{f}'" for f in _FORMATS if _reads(f, bare))
    yield from (f"'{f}' --period month" for f in _MONTHS if _reads(f, bare))


def _reads(text_format: str, texts: Sequence[str]) -> bool:
    """The format reads all of the texts, as days of this or the last century."""
    try:
        days = [datetime.strptime(text, text_format) for text in texts]
    except ValueError:
        return False
    return all(1950 <= day.year <= 2100 for day in days)
