"""Reading user files with DuckDB: statements whose failures name the file and the remedy."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import duckdb

from envs.errors import DataError


def run(db: duckdb.DuckDBPyConnection, query: str, path: Path) -> None:
    """Run a statement that reads `path`.

    Raises:
        DataError: The file cannot be read, or the memory limit is too small.
    """
    try:
        db.execute(query).complete()
    except duckdb.OutOfMemoryException as error:
        raise too_small(error) from error
    except duckdb.Error as error:
        raise _unreadable(path, error) from error


def rows(db: duckdb.DuckDBPyConnection, query: str, path: Path) -> list[tuple[Any, ...]]:
    """All rows of a query that reads `path`.

    Raises:
        DataError: As `run`.
    """
    try:
        return db.sql(query).fetchall()
    except duckdb.OutOfMemoryException as error:
        raise too_small(error) from error
    except duckdb.Error as error:
        raise _unreadable(path, error) from error


def value(db: duckdb.DuckDBPyConnection, query: str) -> Any:
    """The only value of a query."""
    return db.sql(query).fetchall()[0][0]


def too_small(error: Exception) -> DataError:
    """The memory limit was too small."""
    return DataError(
        "memory_limit",
        first_line(error),
        "Give more with --memory-limit, or use fewer --threads.",
        "is too small for this table",
    )


def first_line(error: Exception) -> str:
    """The first line of an error's message."""
    return str(error).partition("\n")[0]


def _unreadable(path: Path, error: duckdb.Error) -> DataError:
    ragged = re.search(r"on Line: (\d+)(?s:.*)Number of Columns: (\d+) Found: (\d+)", str(error))
    if ragged:
        line, expected, found = ragged.groups()
        return DataError(
            "source",
            str(path),
            "Correct the line (a value that holds the separator needs quotes), or save it again.",
            f"has {found} values in line {line} and {expected} columns",
        )
    return DataError(
        "source",
        str(path),
        "Name a Parquet or CSV file, or copy it again.",
        f"cannot be read ({first_line(error)})",
    )
