"""SQL for the flags and numbers of a long table, out of text or typed columns.

What cannot be read is NULL; a number that can be read two ways is marked, and never guessed.
"""

from __future__ import annotations

import re

import duckdb

from envs.errors import DataError
from pipeline.data.importing.long.options import FLAGS, NUMBERS, LongOptions

_TRUE = ("1", "1.0", "true", "t", "yes", "y", "on", "x")
_FALSE = ("0", "0.0", "false", "f", "no", "n", "off")
_BLANK = ("nan", "na", "n/a", "null", "none")
# A number with marks that TRY_CAST does not know; a group is three digits.
_MARKED = r"[+-]?(\d{1,3}([., '_\x{2019}\x{a0}\x{202f}]\d{3})+|\d+)([.,]\d+)?([eE][+-]?\d+)?"
_GROUP = r"[+-]?[1-9]\d{0,2}\.\d{3}"
"""A number with a dot that could be a thousands mark."""
_SAME = {"\u00a0": " ", "\u202f": " ", "\u2019": "'"}
"""Marks between thousands that stand for another: narrow spaces, the Swiss apostrophe."""


def text(reference: str) -> str:
    """SQL: a column as text, blank as NULL."""
    return f"nullif(trim(CAST({reference} AS VARCHAR)), '')"


def identity(reference: str, numbers: bool) -> str:
    """SQL: an id as text. Of a column of numbers 12.0 is 12: whole numbers become fractions
    where one of them was missing."""
    value = text(reference)
    if not numbers:
        return value
    return f"nullif(regexp_replace({value}, '\\.0+$', ''), 'nan')"


def blank(name: str) -> str:
    """SQL: a text says that there is no value."""
    return f"({name} IS NULL OR lower({name}) IN {_BLANK})"


def flag(written: str, name: str) -> str:
    """SQL: 0, 1, the default of a blank, or NULL where it is unreadable.

    Args:
        written: SQL of the text.
        name: Which of `FLAGS` it is.
    """
    # Nearly all flags are written 0 or 1: only the others pay for the words.
    default = FLAGS[name]
    return (
        f"CASE WHEN {written} IS NULL THEN {default} WHEN {written} = '0' THEN 0"
        f" WHEN {written} = '1' THEN 1 WHEN {blank(written)} THEN {default}"
        f" WHEN lower({written}) IN {_TRUE} THEN 1 WHEN lower({written}) IN {_FALSE} THEN 0 END"
    )


def number(name: str, options: LongOptions, typed: bool) -> str:
    """SQL: a number, NULL where the text is none.

    Args:
        name: A column of text.
        options: `decimal` and `thousands`.
        typed: The file holds numbers: marks do not apply.
    """
    decimal, thousands = options.marks
    if typed:
        return f"TRY_CAST({name} AS DOUBLE)"
    # Accounts and SAP write a negative number as (5) or 5-.
    spaced = (
        f"CASE WHEN ends_with({name}, '-') AND length({name}) > 1 THEN '-' || {name}[:-2] "
        f"WHEN {name} LIKE '(%)' THEN '-' || {name}[2:-2] ELSE {name} END"
    )
    if (decimal, thousands) == (".", ""):
        return f"TRY_CAST({spaced} AS DOUBLE)"
    for mark, same in _SAME.items():
        if thousands == same:
            spaced = f"replace({spaced}, '{mark}', {quote(same)})"
    bare, plain_text = spaced, rf"[+-]?\d+([{decimal}]\d*)?([eE][+-]?\d+)?"
    if thousands:
        bare = f"replace({spaced}, {quote(thousands)}, '')"
        plain_text += rf"|[+-]?\d{{1,3}}([{thousands}]\d{{3}})+([{decimal}]\d*)?"
    if decimal != ".":
        bare = f"replace({bare}, {quote(decimal)}, '.')"
    return (
        f"CASE WHEN regexp_full_match({spaced}, {quote(plain_text)})"
        f" THEN TRY_CAST({bare} AS DOUBLE) END"
    )


class Marks:
    """Numbers in text whose marks do not say what they are; one bit field per row.

    Bit 2·i of a row: the number of column i is suspicious. Bit 2·i + 1: it proves that the dot
    is a decimal point.

    Args:
        options: `decimal` and `thousands`: what is given is not looked at.
    """

    def __init__(self, options: LongOptions) -> None:
        self._options = options
        self._given = options.decimal is not None or options.thousands is not None

    def sql(self, delimiter: str) -> str:
        """SQL: the bit field, from text and parsed numbers (`demand`, `demand_`)."""
        return " | ".join(self._bits(name, 2 * i, delimiter) for i, name in enumerate(NUMBERS))

    def _bits(self, name: str, bit: int, delimiter: str) -> str:
        marked = f"regexp_full_match({name}, {quote(_MARKED)})"
        result = f"WHEN {name}_ IS NULL AND {marked} THEN {1 << bit}"
        # A file with commas between columns comes from where the dot is the decimal point; still
        # no demand may be read as its thousandth.
        if not self._given and (delimiter != "," or name != "price"):
            result += (
                f" WHEN NOT contains({name}, '.') THEN 0"
                f" WHEN regexp_full_match({name}, {quote(_GROUP)}) THEN {1 << bit}"
                f" WHEN {name}_ IS NOT NULL THEN {2 << bit}"
            )
        return f"CASE WHEN {name} IS NULL THEN 0 {result} ELSE 0 END"

    def check(self, db: duckdb.DuckDBPyConnection, table: str) -> None:
        """Refuse a table (columns `marks`, `odd`) if a column cannot be told.

        Raises:
            DataError: With three of the values and the options that settle it.
        """
        seen = db.sql(f"SELECT coalesce(bit_or(marks), 0) FROM {table}").fetchall()[0][0]
        for i, name in enumerate(NUMBERS):
            suspicious, proof = 1 << 2 * i, 2 << 2 * i
            if not seen & suspicious:
                continue
            # Where another number shows that the dot is a decimal point, 1.250 is one too.
            dotted = r" AND NOT regexp_full_match(odd, '[+-]?\d+\.\d+')" if seen & proof else ""
            found = db.sql(
                f"SELECT odd, count(*) OVER () FROM (SELECT CAST(json_extract_string(odd, "
                f"'$.{name}') AS VARCHAR) AS odd FROM {table} WHERE marks & {suspicious} > 0) "
                f"WHERE true{dotted} LIMIT 3"
            ).fetchall()
            if found:
                _refuse(name, [row[0] for row in found], found[0][1], self._options)


def check_marks(db: duckdb.DuckDBPyConnection, table: str, name: str, options: LongOptions) -> None:
    """Refuse a column of text whose numbers have marks that can be read in two ways.

    Raises:
        DataError: With three of the values and the options that settle it.
    """
    value = number(name, options, typed=False)
    marked = f"{value} IS NULL AND regexp_full_match({name}, {quote(_MARKED)})"
    where = [marked]
    if options.decimal is None and options.thousands is None:
        group = f"regexp_full_match({name}, {quote(_GROUP)})"
        every = (
            f"SELECT coalesce(bool_and({group}), false) FROM {table} WHERE contains({name}, '.')"
        )
        where += [f"{group} AND ({every})"]
    found: list[tuple[str, int]] = []
    for condition in where:
        found = (
            found
            or db.sql(
                f"SELECT {name}, count(*) OVER () FROM {table} WHERE {condition} LIMIT 3"
            ).fetchall()
        )
    if found:
        _refuse(name, [row[0] for row in found], found[0][1], options)


def _refuse(name: str, values: list[str], count: int, options: LongOptions) -> None:
    decimal, thousands = options.marks
    problem = f"do not fit the decimal mark {decimal} and the thousands mark {thousands}"
    if options.decimal is None and options.thousands is None:
        problem = "have a mark that is not a decimal point"
        if all(re.fullmatch(_GROUP, value) for value in values):
            problem = (
                "could be thousands or decimals: every number with a dot has exactly three digits "
                "after it"
            )
    raise DataError(
        name, ", ".join(values), f"Give {_mark_options(values)}.", f"({count:,} rows) {problem}"
    )


def _mark_options(values: list[str]) -> str:
    """The options that read these numbers; where two readings are left, both."""
    joined = " ".join("".join(_SAME.get(c, c) for c in v).replace(" ", "~") for v in values)
    for mark, shown in (("~", "' '"), ("'", '"\'"'), ("_", "_")):
        if mark in joined:
            return f"--thousands {shown}" + (" --decimal ," if "," in joined else "")
    if re.search(r"\.\d{3},|\.\d+\.", joined):
        return "--decimal , --thousands ."
    if re.search(r",\d{3}\.|,\d+,", joined):
        return "--thousands ,"
    if re.search(r",\d{1,2}(\s|$)|,\d{4}|(^|\s)[+-]?0,|\d{4},", joined):
        return "--decimal ,"
    if re.search(r"\.\d{1,2}(\s|$)|\.\d{4}|(^|\s)[+-]?0\.|\d{4}\.", joined):
        return "--decimal ."
    mark, sample = ("," if "," in joined else "."), values[0]
    whole, point = sample.replace(mark, ""), sample.replace(mark, ".")
    return f"--thousands {mark} if {sample} is {whole}, or --decimal {mark} if it is {point}"


def quote(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
