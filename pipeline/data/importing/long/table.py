"""A long table in DuckDB: parsed, judged row by row, numbered and sorted, out of core."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa

from envs.errors import DataError
from pipeline.data.importing import duck
from pipeline.data.importing.common import ImportOptions
from pipeline.data.importing.long import notes
from pipeline.data.importing.long.attributes import Attributes
from pipeline.data.importing.long.calendar import (
    Closed,
    check_holes,
    check_period,
    closed_days,
    spread,
)
from pipeline.data.importing.long.options import FLAGS, LongOptions
from pipeline.data.importing.long.plan import MAX_AHEAD, LongPlan
from pipeline.data.importing.long.stage import Stage, open_files
from pipeline.data.importing.long.values import quote
from pipeline.data.quality import Quarantine
from pipeline.data.schema import DEFAULT_WEIGHT_MEANING, ORDER_COLUMNS, inventory_ids
from pipeline.data.terms import DRAWN_PRICE, TERMS
from pipeline.data.tiles import TilePlan
from pipeline.tools.progress import LOG

MAX_DAYS = 5000


class LongTable:
    """The source in DuckDB: staged rows with a verdict each, and the list of inventories."""

    def __init__(self, source: Path, out: Path, options: ImportOptions, long: LongOptions) -> None:
        self._source, self._options, self._long = source, options, long
        self._folder = Path(long.spill or out.parent) / f".{out.name}.duckdb.partial"
        self._attributes: Attributes | None = None
        self._blanks: dict[str, int] = {}
        self._notes: list[str] = []
        self._unpriced = 0
        self.rows = 0
        """Rows of the source that are no plan."""
        self.days = 0
        """Days that these rows stand for."""

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
            # The machine's zone must not decide what day it is.
            self._db.execute("SET enable_progress_bar = false; SET TimeZone = 'UTC'").complete()
        except duckdb.Error as error:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise DataError(
                "memory_limit, threads",
                f"{self._long.memory_limit}, {self._long.threads}",
                'Use e.g. "1GB" and 2.',
                f"cannot be used ({duck.first_line(error)})",
            ) from error
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        self._db.close()
        shutil.rmtree(self._folder, ignore_errors=True)
        if isinstance(error, duckdb.OutOfMemoryException):
            raise duck.too_small(error) from error

    def stage(self) -> None:
        """Parse every row once: numbered, typed, and with the rule that it breaks, if any.

        Raises:
            DataError: A file cannot be read, or its columns, dates or numbers cannot be told.
        """
        if self._long.attributes is not None:
            files = open_files(self._long.attributes, self._folder, self._long)
            self._attributes = Attributes(self._db, files, self._long)
        files = open_files(self._source, self._folder, self._long)
        self._stage = Stage(self._db, files, self._long, self._attributes is not None)
        if unused := self._stage.unused:
            LOG.warning(f"{self._source.name}: columns not used: {', '.join(unused)}")
        rows = self._stage.load("staged")
        self._stage.check("staged", rows, self._options.max_bad_share)
        self.plan = LongPlan(self._db, self._stage.chosen, self._long, self._folder)
        self.plan.take()
        self.rows = self.days = rows - self.plan.rows
        LOG.info(f"data import long: {rows:,} rows parsed, sorting")

    def remedies(self) -> dict[str, str]:
        """Rule -> what may have been meant, as these tables show it."""
        example = self._attributes.example if self._attributes else None
        if example is None:
            return {}
        return {
            "unknown_id": "Complete the attributes, or write the sku and warehouse of these rows "
            f"as they do (e.g. {example})"
        }

    def quarantine_staged(self, quarantine: Quarantine) -> None:
        """Quarantine the rows that `stage` found bad."""
        bad = self._db.sql(
            "SELECT coalesce(rule, flaw) AS rule, row, sku, warehouse, CAST(day AS VARCHAR) AS "
            "day, text FROM staged WHERE rule IS NOT NULL OR flaw IS NOT NULL ORDER BY row"
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
        """Number the inventories in seeded random order, and find closed days.

        Returns:
            First day, number of days T, number of inventories N.

        Raises:
            DataError: No row is good, the rows are weeks or months and not said to be, or the
                dates span too many days.
        """
        check_holes(self._db, self._options.max_bad_share)
        check_period(self._db, self._long)
        if self._long.period in ("week", "month"):
            spread(self._db, self._long)
            self.days = duck.value(self._db, "SELECT count(*) FROM staged")
            self._notes.append(
                f"each row stands for a {self._long.period}, and its demand was spread evenly "
                "over its days"
            )
        self._number()
        n, first, last = self._db.sql(
            "SELECT count(*), min(first_day), max(last_day) FROM inventory"
        ).fetchall()[0]
        if not n:
            raise DataError(
                "source", str(self._source), "Correct its rows.", "has no row that passes the rules"
            )
        observed = "rule IS NULL AND known = 1 AND on_sale = 1"
        if not duck.value(self._db, f"SELECT count(*) FROM staged WHERE {observed}"):
            raise DataError(
                "known, on_sale, on_hand",
                "(all rows)",
                "Correct these columns, or leave the wrong one out, e.g. --ignore-columns on_hand.",
                "say that no day was on sale with a demand that is known",
            )
        first, last = self._long.first_day or first, self._long.last_day or last
        self._first, self._last = first, last
        num_days = (last - first).days + 1
        if num_days > MAX_DAYS:
            raise DataError(
                "date",
                f"{first} to {last}",
                "Correct the dates, or choose a window with --first-day and --last-day.",
                f"spans {num_days:,} days, more than {MAX_DAYS:,}",
            )
        self.closed: Closed = closed_days(self._db, first, num_days, self._long)
        self._blanks = self._attributes.fill() if self._attributes else {}
        limit = self._options.ahead_days
        self.ahead_days = self.plan.index(last, MAX_AHEAD if limit is None else limit)
        self._note()
        return first, num_days, n

    def _number(self) -> None:
        """Make `inventory`, in an order drawn by each one's id, as the M5 import does."""
        query = """
            CREATE TABLE found AS
            SELECT sku, warehouse, min(day) AS first_day, max(day) AS last_day FROM staged
            GROUP BY sku, warehouse HAVING bool_or(rule IS NULL);
            CREATE TABLE drawn (sku VARCHAR, warehouse VARCHAR, draw UBIGINT)
        """
        duck.run(self._db, query, self._source)
        names = self._db.cursor().sql("SELECT sku, warehouse FROM found")
        for batch in names.to_arrow_reader(100_000):
            ids = inventory_ids(*(column.to_pylist() for column in batch.columns))
            draws = pa.array(self._options.draws(ids).bits("order"))
            table = pa.table([*batch.columns, draws], names=["sku", "warehouse", "draw"])
            self._db.register("batch", table)
            self._db.execute("INSERT INTO drawn FROM batch").complete()
            self._db.unregister("batch")
        query = """
            CREATE TABLE inventory AS
            SELECT row_number() OVER (ORDER BY draw, sku, warehouse) - 1 AS number,
                sku, warehouse, first_day, last_day
            FROM found JOIN drawn USING (sku, warehouse);
            DROP TABLE found; DROP TABLE drawn
        """
        duck.run(self._db, query, self._source)

    def sorted_rows(self) -> Iterator[pd.DataFrame]:
        """All rows with a known inventory, by inventory, day and row, in batches."""
        # A cursor of its own: another query on the same one would end this stream.
        relation = self._db.cursor().sql(f"""
            SELECT i.number, CAST(s.day - DATE '{self._first}' AS INTEGER) AS t, {self._values()}
            FROM staged s JOIN inventory i USING (sku, warehouse)
            WHERE s.day BETWEEN DATE '{self._first}' AND DATE '{self._last}'
            {"GROUP BY ALL" if self._long.same_day == "sum" else ""}
            ORDER BY i.number, t, row
        """)
        try:
            for batch in relation.to_arrow_reader(500_000):
                yield batch.to_pandas()
        except (duckdb.OutOfMemoryException, pa.ArrowException) as error:
            raise duck.too_small(error) from error

    def _values(self) -> str:
        """SQL: the values of a row, or of all rows of a day added up."""
        # A sum is clipped at 0 below; a return among other rows only if it is ignored.
        summed = self._long.same_day == "sum"
        whole = self._long.negative == "subtract" and summed
        demand = "s.demand" if whole else "greatest(s.demand, 0)"
        if not summed:
            flags = ", ".join(f"s.{name}" for name in FLAGS)
            return f"s.row, {demand} AS demand, s.price, {flags}, s.rule IS NOT NULL AS bad"
        flags = ", ".join(
            f"{'min' if default else 'max'}(s.{name}) AS {name}" for name, default in FLAGS.items()
        )
        weight = "CASE WHEN s.price IS NOT NULL THEN greatest(s.demand, 0) END"
        return (
            f"min(s.row) AS row, greatest(sum({demand}), 0) AS demand, "
            f"coalesce(sum(s.price * {weight}) / nullif(sum({weight}), 0), avg(s.price)) AS price, "
            f"{flags}, bool_or(s.rule IS NOT NULL) AS bad"
        )

    def inventories(self, plan: TilePlan) -> pd.DataFrame:
        """sku, warehouse and the given attributes of a tile, in order."""
        given = self._attributes.given if self._attributes else []
        columns = "".join(f", a.{name}" for name in given)
        join = "LEFT JOIN attributes a USING (sku, warehouse)" if given else ""
        frame: pd.DataFrame = self._db.sql(
            f"SELECT i.sku, i.warehouse{columns} FROM inventory i {join} "
            f"WHERE number >= {plan.first} AND number < {plan.first + plan.rows} ORDER BY number"
        ).df()
        return frame

    def planned(self, plan: TilePlan) -> pd.DataFrame:
        """Rows ahead of a tile; none without a plan."""
        return self.plan.tile(plan) if self.ahead_days else pd.DataFrame()

    @property
    def found(self) -> set[str]:
        """Our columns that the source has."""
        return set(self._stage.chosen)

    @property
    def order_columns(self) -> tuple[str, ...]:
        """Which order rules the attributes state."""
        given = self._attributes.given if self._attributes else []
        return tuple(name for name in ORDER_COLUMNS if name in given)

    @property
    def weight_meaning(self) -> str:
        """What the weights are, for the manifest."""
        given = self._attributes.given if self._attributes else []
        return "as given for each inventory" if "weight" in given else DEFAULT_WEIGHT_MEANING

    def describe(self) -> str:
        """What was given and what was drawn, for the manifest."""
        given = self._attributes.given if self._attributes else []
        drawn = [name for name in TERMS if name not in given]
        if self._long.fill_missing == "drawn":
            drawn += self._blanks
        price = ""
        if self._unpriced:
            median, sigma = DRAWN_PRICE
            price = f"prices: lognormal with median {median:g} and log-sigma {sigma:g}; "
        text = "nothing drawn"
        if drawn or price:
            text = f"not in the source but drawn ({', '.join(drawn or ['price'])}"
            text += f"; seed {self._options.seed}): {price}{self._options.terms.describe()}"
        return "; ".join([text, *self._notes])

    def _note(self) -> None:
        """Say, here and in the manifest, what was decided about days and values."""
        n = duck.value(self._db, "SELECT count(*) FROM inventory")
        if self._blanks:
            counts = ", ".join(f"{name}: {count} of {n}" for name, count in self._blanks.items())
            how = "drawn" if self._long.fill_missing == "drawn" else "filled with the median"
            self._notes.append(f"{counts} {how}")
        given = self._attributes.given if self._attributes else []
        self._unpriced = notes.without_price(self._db, "price" in given)
        if "price" in self.found and self._unpriced:
            self._notes.append(f"price: {self._unpriced} of {n} have none on any day: drawn")
        self._notes += notes.returns(self._db, self._long)
        waiting = self.closed.waiting
        if waiting:
            days = ", ".join(f"{name} {count} days" for name, count in list(waiting.items())[:10])
            self._notes.append(
                f"no row yet of the last days: {days} (of {len(waiting)} warehouses): on sale, "
                "with a demand that is not known (--after-last decides otherwise)"
            )
        ended = duck.value(
            self._db,
            "SELECT count(*) FROM (SELECT *, max(last_day) OVER (PARTITION BY warehouse) AS at_end "
            f"FROM inventory) WHERE last_day < DATE '{self._last}' AND NOT (last_day = at_end "
            f"AND list_contains([{', '.join(map(quote, waiting))}]::VARCHAR[], warehouse))",
        )
        if self._long.absent_day == "zero":
            self._notes.append(
                "a day without a row, after the first, had zero demand; before it, none is known"
            )
        if ended:
            after = "on sale without demand" if self._long.zero_after_last else "off sale"
            self._notes.append(
                f"{ended:,} inventories end before the table does ({self._last}): {after} "
                "afterwards (--after-last)"
            )
        if closed := self.closed.describe():
            self._notes.append(closed)
        self._notes += notes.sold_out(self._db) + notes.silence(self._db)
        self._notes += self.plan.notes
        for note in self._notes:
            LOG.info(f"data import long: {note}")


def _optional(column: pd.Series[Any]) -> list[str | None]:
    return [None if pd.isna(value) else str(value) for value in column]
