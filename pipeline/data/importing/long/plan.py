"""What is known of the days after the last day of demand: rows without demand, or a plan.

Letters: A days ahead.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import date
from pathlib import Path

import duckdb
import pandas as pd

from envs.errors import DataError
from pipeline.data.importing import duck
from pipeline.data.importing.long.options import FLAGS, LongOptions
from pipeline.data.importing.long.stage import Stage, open_files
from pipeline.data.tiles import TilePlan

MAX_AHEAD = 366
PLANNED = ("price", "promotion", "event", "snap", "on_sale")
"""Quantities that are known ahead."""


class LongPlan:
    """The rows of days ahead, in the table `ahead`: sku, warehouse, day and `PLANNED`.

    NULL is unknown. In a row that has the column of a flag, a blank one means what it means in
    the sales.

    Args:
        db: With the table `staged`; rows ahead leave it.
        found: Our columns that the sales have.
        options: `plan`, and how a table is read.
        work: Folder for temporary files.
    """

    def __init__(
        self,
        db: duckdb.DuckDBPyConnection,
        found: Collection[str],
        options: LongOptions,
        work: Path,
    ) -> None:
        self._db, self._found, self._options, self._work = db, set(found), options, work
        self.given: set[str] = set()
        """Quantities that some row ahead has a column for."""
        self.notes: list[str] = []
        self.rows = 0
        """Rows of the sales that turned out to be a plan."""

    def take(self) -> None:
        """Move rows without demand after the last day with any from `staged` to `ahead`.

        Raises:
            DataError: A plan cannot be read, or has bad rows.
        """
        last = duck.value(self._db, "SELECT max(day) FROM staged WHERE NOT blank AND rule IS NULL")
        planned = f"blank AND day > DATE '{last}' AND coalesce(rule, '') IN ('', 'missing_demand')"
        if last is None:
            planned = "false"
        self._db.execute(
            f"CREATE TABLE ahead AS SELECT row, sku, warehouse, day, {self._columns(self._found)} "
            f"FROM staged WHERE {planned}"
        ).complete()
        self.rows = duck.value(self._db, "SELECT count(*) FROM ahead")
        if self.rows:
            self.given |= self._found & set(PLANNED)
            self._db.execute(f"DELETE FROM staged WHERE {planned}").complete()
        if self._options.plan is not None:
            self._read(Path(self._options.plan))

    def index(self, last: date, limit: int) -> int:
        """Number the rows as `inventory` does and sort them.

        Args:
            last: The table's last day of demand.
            limit: Most days ahead to keep.

        Returns:
            A, the days ahead; 0 without a plan.
        """
        total = duck.value(self._db, "SELECT count(*) FROM ahead")
        if not total:
            return 0
        self._db.execute(f"""
            CREATE TABLE plan AS
            SELECT i.number, (a.day - DATE '{last}')::INTEGER - 1 AS t, {", ".join(PLANNED)}
            FROM (SELECT * FROM ahead WHERE day > DATE '{last}'
                    AND day <= DATE '{last}' + {limit}
                QUALIFY row_number() OVER (PARTITION BY sku, warehouse, day ORDER BY row DESC) = 1
            ) a JOIN inventory i USING (sku, warehouse)
            ORDER BY i.number, t
        """).complete()
        used, ahead, covered = self._db.sql(
            "SELECT count(*), coalesce(max(t) + 1, 0), count(DISTINCT number) FROM plan"
        ).fetchall()[0]
        n = duck.value(self._db, "SELECT count(*) FROM inventory")
        note = f"plan: {ahead} days ahead for {covered:,} of {n:,} inventories"
        if used < total:
            note += (
                f"; {total - used:,} of {total:,} rows not used (a day of the past, more than "
                f"{limit} days ahead, an unknown inventory, or a day given twice)"
            )
        self.notes.append(note)
        if ahead:
            self._name_missing(ahead)
        return int(ahead)

    def tile(self, plan: TilePlan) -> pd.DataFrame:
        """number, t (0 = the first day ahead) and `PLANNED` of a tile's inventories."""
        query = (
            f"SELECT * FROM plan WHERE number >= {plan.first} AND number < {plan.first + plan.rows}"
        )
        frame: pd.DataFrame = self._db.cursor().sql(query).df()
        return frame

    def _read(self, path: Path) -> None:
        stage = Stage(self._db, open_files(path, self._work, self._options), self._options, False,
                      plan=True)  # fmt: skip
        stage.load("planned")
        stage.check("planned", duck.value(self._db, "SELECT count(*) FROM planned"), 0.0)
        bad = self._db.sql(
            "SELECT coalesce(rule, flaw), text, count(*) OVER () FROM planned "
            "WHERE rule IS NOT NULL OR flaw IS NOT NULL ORDER BY row LIMIT 3"
        ).fetchall()
        if bad:
            raise DataError(
                f"rows of {path.name}",
                "; ".join(f"{rule} {text}" for rule, text, _ in bad),
                "Correct them.",
                f"are bad ({bad[0][2]:,} rows)",
            )
        has = set(stage.chosen)
        self.given |= has & set(PLANNED)
        self._db.execute(
            f"INSERT INTO ahead SELECT row + {self.rows}, sku, warehouse, day, "
            f"{self._columns(has)} FROM planned"
        ).complete()

    def _columns(self, has: Collection[str]) -> str:
        """SQL: `PLANNED` of staged rows whose file has some of the columns."""
        columns = [f"{'price' if 'price' in has else 'NULL::DOUBLE'} AS price"]
        for name in PLANNED[1:]:
            # A row says that the item is on sale unless it says otherwise, as in the sales.
            known = name in has or name == "on_sale"
            value = f"CASE WHEN flaw = 'bad_flag' THEN NULL ELSE {name} END" if known else "NULL"
            columns.append(f"({value})::UTINYINT AS {name}")
        return ", ".join(columns)

    def _name_missing(self, ahead: int) -> None:
        for name in ("promotion", "event", "snap", "price"):
            if name in self.given or name not in self._found:
                continue
            varied = f"SELECT min({name}) IS DISTINCT FROM max({name}) FROM staged"
            if duck.value(self._db, varied):
                self.notes.append(
                    f"plan: {name} varied in the past and is not in the plan: unknown on the "
                    f"{ahead} days ahead"
                )


def constants(found: Collection[str], given: Collection[str]) -> dict[str, int]:
    """Flags that neither the sales nor the plan have: constant, also on days ahead."""
    return {
        name: FLAGS[name]
        for name in ("promotion", "event", "snap")
        if name not in found and name not in given
    }
