"""Reading user files with DuckDB: statements whose failures name the file and the remedy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from envs.errors import DataError
from pipeline.data.imports import read_columns
from pipeline.data.terms import TERMS

ATTRIBUTES = ("category", "price", "weight", *TERMS)


def scan(path: Path) -> str:
    """SQL: the table function that reads a file, a folder or a pattern.

    Raises:
        DataError: There is nothing at `path`.
    """
    pattern = path
    if path.is_dir():
        kind = "parquet" if any(path.rglob("*.parquet")) else "csv"
        pattern = path / "**" / f"*.{kind}"
    elif not path.exists() and not any(c in path.name for c in "*?["):
        raise DataError("source", str(path), "Name a Parquet or CSV file.", "does not exist")
    quoted = str(pattern).replace("'", "''")
    if pattern.suffix in (".parquet", ".pq"):
        return f"read_parquet('{quoted}')"
    # As text: what cannot be parsed is for the rules to count, not for the reader to stop at.
    return f"read_csv('{quoted}', header = true, all_varchar = true)"


def columns(db: duckdb.DuckDBPyConnection, path: Path) -> list[str]:
    """Names of the columns of a file.

    Raises:
        DataError: It cannot be read.
    """
    source = scan(path)
    try:
        return list(db.sql(f"SELECT * FROM {source} LIMIT 0").columns)
    except duckdb.Error as error:
        raise _unreadable(path, error) from error


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


def value(db: duckdb.DuckDBPyConnection, query: str) -> Any:
    """The only value of a query."""
    return db.sql(query).fetchall()[0][0]


def load_attributes(db: duckdb.DuckDBPyConnection, path: Path) -> list[str]:
    """Load a file of inventory attributes into the table `attributes`.

    Returns:
        Which of `ATTRIBUTES` the file has.

    Raises:
        DataError: An id is missing or there twice, or a value is not of its column's kind.
    """
    names = columns(db, path)
    read_columns(path, names, ["sku", "warehouse"])
    given = [name for name in ATTRIBUTES if name in names]
    text = ", ".join(
        f"nullif(trim(CAST({name} AS VARCHAR)), '') AS {name}"
        for name in ("sku", "warehouse", *given)
    )
    run(db, f"CREATE TABLE attributes AS SELECT {text} FROM {scan(path)}", path)
    if value(db, "SELECT count(*) FROM attributes WHERE sku IS NULL OR warehouse IS NULL"):
        raise DataError("sku or warehouse", path.name, "Complete it.", "has rows without one")
    twice = db.sql(
        "SELECT sku || '@' || warehouse FROM attributes GROUP BY sku, warehouse "
        "HAVING count(*) > 1 LIMIT 1"
    ).fetchall()
    if twice:
        raise DataError(
            f"inventory in {path.name}", twice[0][0], "Keep one row.", "has several rows"
        )
    for name in given:
        if name != "category":
            _to_number(db, path, name)
    return given


def _to_number(db: duckdb.DuckDBPyConnection, path: Path, name: str) -> None:
    """Make an attribute a number, whole where it must be."""
    number = f"TRY_CAST({name} AS DOUBLE)"
    good, problem = f"isfinite({number})", "is not a number"
    if TERMS.get(name) is np.int16:
        good += f" AND {number} = trunc({number}) AND abs({number}) < 32768"
        problem = "is not a whole number of days"
    elif name == "price":
        good, problem = f"{good} AND {number} > 0", "is not a positive number"
    bad = db.sql(
        f"SELECT sku || '@' || warehouse, {name} FROM attributes "
        f"WHERE {name} IS NOT NULL AND NOT coalesce({good}, false) LIMIT 1"
    ).fetchall()
    if bad:
        raise DataError(
            f"{name} of inventory {bad[0][0]} in {path.name}", bad[0][1], "Correct it.", problem
        )
    run(db, f"ALTER TABLE attributes ALTER {name} TYPE DOUBLE", path)


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
    return DataError(
        "source",
        str(path),
        "Name a Parquet or CSV file, or copy it again.",
        f"cannot be read ({first_line(error)})",
    )
