"""A long table in DuckDB: parsed, judged row by row, numbered and sorted, out of core."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Literal

import duckdb
import pandas as pd
import pyarrow as pa

from envs.errors import DataError
from pipeline.data import duck
from pipeline.data.imports import ImportOptions, read_columns
from pipeline.data.quality import MAX_DEMAND, Quarantine
from pipeline.data.schema import DEFAULT_WEIGHT_MEANING
from pipeline.data.terms import DRAWN_PRICE, TERMS
from pipeline.data.tiles import TilePlan

REQUIRED = ("sku", "warehouse", "date", "demand")
FLAGS = {"promotion": 0, "event": 0, "snap": 0, "on_sale": 1}
OPTIONAL = ("price", *FLAGS)
MAX_DAYS = 5000


@dataclass(frozen=True)
class LongOptions:
    """What only the import of a long table can be told.

    Args:
        attributes: File of inventory attributes.
        first_day, last_day: Rows outside are left out; default: all days of the table.
        absent_day: What a day without a row, between an inventory's first and last row, means:
            "gap": it is missing (a quality rule); "zero": the table lists only days with
            demand, so its demand was 0.
        memory_limit: Of DuckDB, e.g. "1GB"; beyond it, it spills.
        spill: Folder for temporary files; default: beside OUT.
        threads: Of DuckDB.
    """

    attributes: str | Path | None = None
    first_day: date | None = None
    last_day: date | None = None
    absent_day: Literal["gap", "zero"] = "gap"
    memory_limit: str = "1GB"
    spill: str | Path | None = None
    threads: int = 2


class LongTable:
    """The source in DuckDB: staged rows with a verdict each, and the list of inventories."""

    def __init__(self, source: Path, out: Path, options: ImportOptions, long: LongOptions) -> None:
        self._source, self._options, self._long = source, options, long
        self._folder = Path(long.spill or out.parent) / f".{out.name}.duckdb.partial"
        self._given: list[str] = []
        self._found: list[str] = []
        self.rows = 0

    def __enter__(self) -> LongTable:
        shutil.rmtree(self._folder, ignore_errors=True)
        try:
            self._folder.mkdir(parents=True)
        except OSError as error:
            raise DataError(
                "spill",
                str(self._folder.parent),
                "Name a folder on a disk with room that you may write to.",
                f"cannot be written ({error.strerror})",
            ) from error
        try:
            self._db = duckdb.connect(
                str(self._folder / "import.duckdb"),
                config={
                    "memory_limit": self._long.memory_limit,
                    "temp_directory": str(self._folder / "spill"),
                    "threads": self._long.threads,
                },
            )
            self._db.execute("SET enable_progress_bar = false").complete()
        except duckdb.Error as error:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise DataError(
                "memory_limit, threads",
                f"{self._long.memory_limit}, {self._long.threads}",
                'Use e.g. "1GB" and 2.',
                f"cannot be used ({duck.first_line(error)})",
            ) from error
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def stage(self) -> None:
        """Parse every row once: numbered, typed, and with the rule that it breaks, if any."""
        self._found = duck.columns(self._db, self._source)
        read_columns(self._source, self._found, list(REQUIRED))
        names = (*REQUIRED, *OPTIONAL)
        if unused := [name for name in self._found if name not in names]:
            print(f"{self._source.name}: columns not used: {', '.join(unused)}", file=sys.stderr)
        if self._long.attributes is not None:
            self._given = duck.load_attributes(self._db, Path(self._long.attributes))
        text = ", ".join(
            f"nullif(trim(CAST({name if name in self._found else 'NULL'} AS VARCHAR)), '')"
            f" AS {name}"
            for name in names
        )
        flags = ", ".join(
            f"CASE WHEN {name} IS NULL THEN {default}"
            f" WHEN lower({name}) IN ('1', '1.0', 'true', 't') THEN 1"
            f" WHEN lower({name}) IN ('0', '0.0', 'false', 'f') THEN 0 END AS {name}_"
            for name, default in FLAGS.items()
        )
        typed_flags = ", ".join(f"CAST({name}_ AS UTINYINT) AS {name}" for name in FLAGS)
        original = ", ".join(f"'{name}', {name}" for name in names)
        query = f"""
            CREATE TABLE staged AS
            WITH source AS (
                SELECT row_number() OVER () AS row, {text} FROM {duck.scan(self._source)}
            ), typed AS (
                SELECT *, {flags}, TRY_CAST(demand AS DOUBLE) AS demand_,
                    TRY_CAST(price AS DOUBLE) AS price_,
                    coalesce(
                        TRY_CAST(date AS DATE), CAST(TRY_CAST(date AS TIMESTAMP) AS DATE)
                    ) AS day
                FROM source
            ), judged AS (
                SELECT *, {self._verdict()} AS rule FROM typed WHERE {self._window()}
            )
            SELECT row, sku, warehouse, day, demand_ AS demand, price_ AS price, {typed_flags},
                rule, CASE WHEN rule IS NOT NULL
                    THEN CAST(json_object({original}) AS VARCHAR) END AS text
            FROM judged
        """
        duck.run(self._db, query, self._source)
        self.rows = duck.value(self._db, "SELECT count(*) FROM staged")
        if self.rows == 0:
            raise DataError("source", str(self._source), "Name a table with rows.", "is empty")
        print(f"data import long: {self.rows:,} rows parsed, sorting", file=sys.stderr, flush=True)

    def _verdict(self) -> str:
        """SQL: the first rule that a row breaks, or NULL."""
        unknown = "sku IS NULL OR warehouse IS NULL"
        if self._long.attributes is not None:
            unknown += " OR (sku, warehouse) NOT IN (SELECT (sku, warehouse) FROM attributes)"
        bad_flag = " OR ".join(f"{name}_ IS NULL" for name in FLAGS)
        return f"""CASE
            WHEN {unknown} THEN 'unknown_id'
            WHEN day IS NULL THEN 'bad_date'
            WHEN demand_ IS NULL OR isnan(demand_) THEN 'missing_demand'
            WHEN demand_ < 0 THEN 'negative_demand'
            WHEN demand_ > {MAX_DEMAND} THEN 'absurd_demand'
            WHEN price IS NOT NULL AND NOT coalesce(price_ > 0 AND isfinite(price_), false)
                THEN 'bad_price'
            WHEN {bad_flag} THEN 'bad_flag'
            WHEN on_sale_ = 0 AND demand_ > 0 THEN 'demand_off_sale'
        END"""

    def _window(self) -> str:
        """SQL: the row is inside the chosen days, or its date is unusable."""
        bounds = [
            f"day {sign} DATE '{day.isoformat()}'"
            for sign, day in ((">=", self._long.first_day), ("<=", self._long.last_day))
            if day is not None
        ]
        return f"(day IS NULL OR ({' AND '.join(bounds)}))" if bounds else "true"

    def quarantine_staged(self, quarantine: Quarantine) -> None:
        """Quarantine the rows that `stage` found bad."""
        bad = self._db.sql(
            "SELECT rule, row, sku, warehouse, CAST(day AS VARCHAR) AS day, text FROM staged "
            "WHERE rule IS NOT NULL ORDER BY row"
        )
        for batch in bad.to_arrow_reader(100_000):
            frame = batch.to_pandas()
            for rule, rows in frame.groupby("rule", sort=False):
                quarantine.add(
                    str(rule),
                    rows=rows.row.tolist(),
                    sku=_optional(rows.sku),
                    warehouse=_optional(rows.warehouse),
                    date=_optional(rows.day),
                    values=rows.text.tolist(),
                )

    def index(self) -> tuple[date, int, int]:
        """Number the inventories in seeded random order.

        Returns:
            First day, number of days T, number of inventories N.
        """
        # md5, unlike DuckDB's hash(), is the same in every version.
        order = f"md5('{self._options.seed}:' || sku || '@' || warehouse), sku, warehouse"
        query = f"""
            CREATE TABLE inventory AS
            SELECT row_number() OVER (ORDER BY {order}) - 1 AS number, sku, warehouse
            FROM (SELECT DISTINCT sku, warehouse FROM staged WHERE rule IS NULL)
        """
        duck.run(self._db, query, self._source)
        n = duck.value(self._db, "SELECT count(*) FROM inventory")
        if not n:
            raise DataError(
                "source", str(self._source), "Correct its rows.", "has no row that passes the rules"
            )
        first = self._long.first_day or duck.value(
            self._db, "SELECT min(day) FROM staged WHERE rule IS NULL"
        )
        last = self._long.last_day or duck.value(
            self._db, "SELECT max(day) FROM staged WHERE rule IS NULL"
        )
        self._first, self._last = first, last
        num_days = (last - first).days + 1
        if num_days > MAX_DAYS:
            raise DataError(
                "date",
                f"{first} to {last}",
                "Correct the dates, or choose a window with --first-day and --last-day.",
                f"spans {num_days:,} days, more than {MAX_DAYS:,}",
            )
        return first, num_days, n

    def sorted_rows(self) -> Iterator[pd.DataFrame]:
        """All rows with a known inventory, by inventory, day and row, in batches."""
        flags = ", ".join(f"s.{name}" for name in FLAGS)
        # A cursor of its own: another query on the same one would end this stream.
        relation = self._db.cursor().sql(f"""
            SELECT i.number, CAST(s.day - DATE '{self._first}' AS INTEGER) AS t, s.row,
                s.demand, s.price, {flags}, s.rule IS NOT NULL AS bad
            FROM staged s JOIN inventory i USING (sku, warehouse)
            WHERE s.day BETWEEN DATE '{self._first}' AND DATE '{self._last}'
            ORDER BY i.number, t, s.row
        """)
        try:
            for batch in relation.to_arrow_reader(500_000):
                yield batch.to_pandas()
        except (duckdb.OutOfMemoryException, pa.ArrowException) as error:
            raise duck.too_small(error) from error

    def inventories(self, plan: TilePlan) -> pd.DataFrame:
        """sku, warehouse and the given attributes of a tile, in order."""
        columns = ", ".join(f"a.{name}" for name in self._given)
        join = "LEFT JOIN attributes a USING (sku, warehouse)" if self._given else ""
        frame: pd.DataFrame = self._db.sql(
            f"SELECT i.sku, i.warehouse{', ' + columns if columns else ''} FROM inventory i {join} "
            f"WHERE number >= {plan.first} AND number < {plan.first + plan.rows} ORDER BY number"
        ).df()
        return frame

    @property
    def weight_meaning(self) -> str:
        """What the weights are, for the manifest."""
        return "as given for each inventory" if "weight" in self._given else DEFAULT_WEIGHT_MEANING

    def describe(self) -> str:
        """What was given and what was drawn, for the manifest."""
        drawn = [name for name in TERMS if name not in self._given]
        price = (
            ""
            if "price" in self._given or "price" in self._found
            else f"prices: lognormal with median {DRAWN_PRICE[0]:g} and log-sigma "
            f"{DRAWN_PRICE[1]:g}; "
        )
        text = "nothing drawn but values missing in the attributes"
        if drawn or price:
            text = f"not in the source but drawn ({', '.join(drawn)}"
            text += f"; seed {self._options.seed}): {price}{self._options.terms.describe()}"
        if self._long.absent_day == "zero":
            text += "; a day without a row, between the first and the last, had zero demand"
        return text


def _optional(column: pd.Series[Any]) -> list[str | None]:
    return [None if pd.isna(value) else str(value) for value in column]
