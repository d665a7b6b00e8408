"""Stages a long table in DuckDB: every row parsed once, typed, and with what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import duckdb

from envs.errors import DataError
from pipeline.data.importing import duck
from pipeline.data.importing.long.columns import choose, position, unused
from pipeline.data.importing.long.dates import check_zone, day, unreadable
from pipeline.data.importing.long.files import Files, Shape
from pipeline.data.importing.long.options import FLAGS, NUMBERS, OPTIONAL, REQUIRED, LongOptions
from pipeline.data.importing.long.values import Marks, blank, flag, identity, number, quote, text
from pipeline.data.quality import FLAWS, MAX_DEMAND

NAMES = (*REQUIRED, *OPTIONAL)


class Stage:
    """A file, or several, as a table in DuckDB.

    Columns: row (from 1), sku, warehouse, day, demand, price (positive or NULL), each of
    `FLAGS`, rule (why the demand does not count, or NULL), flaw (one of `FLAWS`, or NULL), blank
    (there is no demand), marks and odd (see `Marks`), text (the row as JSON if it has a rule or
    a flaw).

    Args:
        db: With the table `attributes` if `known_ids`.
        files: What to stage.
        options: How it is read.
        known_ids: Pairs that `attributes` lacks break a rule.
        plan: The files are a plan: without demand.

    Raises:
        DataError: A column is missing or cannot be told.
    """

    def __init__(
        self,
        db: duckdb.DuckDBPyConnection,
        files: Files,
        options: LongOptions,
        known_ids: bool,
        plan: bool = False,
    ) -> None:
        self._db, self._files, self._options, self._known_ids = db, files, options, known_ids
        self._plan = plan
        required = [name for name in REQUIRED if not (plan and name == "demand")]
        self.chosen = choose(files, options, required)
        if plan:
            self.chosen.pop("demand", None)

    @property
    def unused(self) -> list[str]:
        """Columns of the files that are neither used nor ignored."""
        return unused(self._files, self._options, self.chosen)

    def load(self, table: str) -> int:
        """Make the table; returns its number of rows.

        Raises:
            DataError: A file cannot be read, it has no rows, or its dates or numbers can be
                read in several ways.
        """
        columns = [self._position(shape, "date") for shape, _ in self._files.shapes]
        assert all(column is not None for column in columns)
        check_zone(self._db, self._files, [c or 0 for c in columns], self._options)
        original = ", ".join(f"'{name}', {name}" for name in NAMES)
        numbers = ", ".join(f"'{name}', {name}" for name in NUMBERS)
        flags = ", ".join(
            f"coalesce({name}_, {d})::UTINYINT AS {name}" for name, d in FLAGS.items()
        )
        good = "price_ > 0 AND isfinite(price_)"
        query = f"""
            CREATE OR REPLACE TABLE {table} AS
            WITH source AS (
                SELECT row_number() OVER () AS row, * FROM ({self._files.union(self._select)})
            ), typed AS (
                SELECT *, {", ".join(f"{flag(name, name)} AS {name}_" for name in FLAGS)},
                    CASE WHEN isfinite(demand_) THEN false ELSE {blank("demand")} END AS blank
                FROM source WHERE {self._window()} AND {_FILLED}
            ), judged AS (
                SELECT * REPLACE (
                    CASE WHEN on_hand_ <= 0 THEN 0 ELSE known_ END AS known_
                ), {good} AS priced FROM typed
            ), ruled AS (SELECT *, {self._rule()} AS rule, {_FLAW} AS flaw FROM judged)
            SELECT row, sku, warehouse, day, demand_ AS demand,
                CASE WHEN priced THEN price_ END AS price, {flags}, rule, flaw, blank, marks,
                CASE WHEN marks > 0 THEN json_object({numbers})::VARCHAR END AS odd,
                CASE WHEN rule IS NOT NULL OR flaw IS NOT NULL
                    THEN json_object({original})::VARCHAR END AS text
            FROM ruled
        """
        duck.run(self._db, query, self._files.path)
        rows: int = duck.value(self._db, f"SELECT count(*) FROM {table}")
        if rows == 0:
            raise DataError("source", str(self._files.path), "Name a table with rows.", "is empty")
        return rows

    def check(self, table: str, rows: int, max_bad_share: float) -> None:
        """Stop at what no share of bad rows should let pass.

        Raises:
            DataError: Numbers can be read in several ways, more dates than `max_bad_share` are
                unreadable, or most of an optional column is.
        """
        Marks(self._options).check(self._db, table)
        count = duck.value(self._db, f"SELECT count(*) FROM {table} WHERE rule = 'bad_date'")
        if count > max_bad_share * rows or count == rows:
            texts = self._texts(table, "date", "rule = 'bad_date'", 10_000)
            raise unreadable(texts or ["(blank)"], count, rows, self._options)
        for flaw, names in zip(FLAWS, (("price",), tuple(FLAGS), ("on_hand",)), strict=True):
            self._check_flaw(table, rows, flaw, names)
        self._check_flags(table, max_bad_share * rows)

    def _check_flaw(self, table: str, rows: int, flaw: str, names: Sequence[str]) -> None:
        """Refuse a column of which more than half is unreadable."""
        count = duck.value(self._db, f"SELECT count(*) FROM {table} WHERE flaw = '{flaw}'")
        given = duck.value(self._db, f"SELECT count(price) FROM {table}")
        if 2 * count <= (given + count if flaw == "bad_price" else rows):
            return
        name = next(
            (n for n in names if len(names) == 1 or self._texts(table, n, f"flaw = '{flaw}'", 1)),
            names[0],
        )
        raise self._unusable(table, name, count, flaw, f"flaw = '{flaw}'")

    def _unusable(self, table: str, name: str, count: int, flaw: str, where: str) -> DataError:
        theirs = self.chosen.get(name, name)
        return DataError(
            name,
            ", ".join(self._texts(table, name, where, 3)),
            f"Correct the column, or leave it out: --ignore-columns {theirs}.",
            f"({count:,} rows) {_KINDS[flaw]}",
        )

    def _check_flags(self, table: str, accepted: float) -> None:
        """Refuse a flag that says something else than its default in words only."""
        for name, default in FLAGS.items():
            written = f"json_extract_string(text, '$.{name}')"
            odd = f"flaw = 'bad_flag' AND ({flag(written, name)}) IS NULL"
            count, said = self._db.sql(
                f"SELECT count(*) FILTER ({odd}), count(*) FILTER ({name} <> {default}) "
                f"FROM {table}"
            ).fetchall()[0]
            if count > max(accepted, said):
                raise self._unusable(table, name, count, "bad_flag", odd)

    def _texts(self, table: str, name: str, where: str, limit: int) -> list[str]:
        found = self._db.sql(
            f"SELECT value FROM (SELECT json_extract_string(text, '$.{name}') AS value, "
            f"min(row) AS row FROM {table} WHERE {where} GROUP BY 1) WHERE value IS NOT NULL "
            f"ORDER BY row LIMIT {limit}"
        )
        return [row[0] for row in found.fetchall()]

    def _position(self, shape: Shape, ours: str) -> int | None:
        theirs = self.chosen.get(ours)
        return None if theirs is None else position(self._files, shape, theirs)

    def _select(self, shape: Shape, scan: str) -> str:
        """SQL: our columns of files of one shape, as text, and the parsed day and numbers."""
        at: Mapping[str, int | None] = {name: self._position(shape, name) for name in NAMES}
        columns = []
        for name, index in at.items():
            value = "NULL::VARCHAR"
            if index is not None and name in ("sku", "warehouse"):
                value = identity(shape.reference(index), shape.types[index] == "number")
            elif index is not None:
                value = text(shape.reference(index))
            if name == "warehouse" and self._options.warehouse is not None:
                value = quote(self._options.warehouse)
            columns.append(f"{value} AS {name}")
        date_column = at["date"] or 0
        typed_day = shape.types[date_column] in ("date", "timestamp", "instant")
        days = day(shape, date_column, self._options)
        if typed_day:
            columns.append(f"{days} AS day")
        inner = f"SELECT {', '.join(columns)} FROM {scan}"
        parsed = [
            f"{number(name, self._options, self._typed(shape, at[name]))} AS {name}_"
            for name in NUMBERS
        ]
        middle = f"SELECT *, {', '.join(parsed + ([] if typed_day else [f'{days} AS day']))}"
        names = ", ".join((*NAMES, *(f"{name}_" for name in NUMBERS), "day"))
        marks = "0"
        if shape.kind == "csv" or any(not self._typed(shape, at[name]) for name in NUMBERS):
            marks = Marks(self._options).sql(shape.delimiter if shape.kind == "csv" else "")
        return f"SELECT {names}, ({marks})::UTINYINT AS marks FROM ({middle} FROM ({inner}))"

    @staticmethod
    def _typed(shape: Shape, index: int | None) -> bool:
        return index is None or shape.types[index] != "text"

    def _rule(self) -> str:
        """SQL: the first rule by which a row's demand does not count, or NULL."""
        unknown = "sku IS NULL OR warehouse IS NULL"
        if self._known_ids:
            unknown += " OR (sku, warehouse) NOT IN (SELECT (sku, warehouse) FROM attributes)"
        if self._plan:
            return f"CASE WHEN {unknown} THEN 'unknown_id' WHEN day IS NULL THEN 'bad_date' END"
        negative = "demand_ < 0" if self._options.negative == "refuse" else "false"
        return f"""CASE
            WHEN {unknown} THEN 'unknown_id'
            WHEN day IS NULL THEN 'bad_date'
            WHEN blank AND (on_sale_ = 0 OR known_ = 0) THEN NULL
            WHEN demand_ IS NULL OR isnan(demand_) THEN 'missing_demand'
            WHEN {negative} THEN 'negative_demand'
            WHEN abs(demand_) > {MAX_DEMAND} THEN 'absurd_demand'
            WHEN on_sale_ = 0 AND demand_ > 0 THEN 'demand_off_sale'
        END"""

    def _window(self) -> str:
        """SQL: the row is inside the chosen days, or its date is unusable."""
        if self._plan:
            return "true"
        bounds = [
            f"day {sign} DATE '{bound.isoformat()}'"
            for sign, bound in (
                (">=", self._options.first_day),
                ("<=", self._options.last_day),
            )
            if bound is not None
        ]
        return f"(day IS NULL OR ({' AND '.join(bounds)}))" if bounds else "true"


# Spreadsheets end in rows that hold nothing.
_FILLED = "coalesce(sku, date, demand) IS NOT NULL"
_FLAW = f"""CASE
    WHEN CASE WHEN priced THEN false ELSE NOT {blank("price")} END THEN 'bad_price'
    WHEN {" OR ".join(f"{name}_ IS NULL" for name in FLAGS)} THEN 'bad_flag'
    WHEN CASE WHEN on_hand_ IS NULL THEN NOT {blank("on_hand")} END THEN 'bad_on_hand'
END"""
_KINDS = {
    "bad_price": "is not a positive number",
    "bad_flag": "is neither 0 nor 1 (nor yes, no, true, false, x)",
    "bad_on_hand": "is not a number",
}


def open_files(path: str | Path, work: Path, options: LongOptions) -> Files:
    """The files at a path; copies in UTF-8 go to a folder of their own in `work`."""
    folder = work / f"utf8-{len(list(work.glob('utf8-*')))}"
    folder.mkdir(parents=True)
    return Files(Path(path), folder, options.encoding)
