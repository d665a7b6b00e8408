"""The calendar of a long table: weeks or months in place of days, and days that were closed.

Shape letters: W warehouses, T days.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt

from envs.errors import DataError
from pipeline.data.importing.long.options import FLAGS, LongOptions
from pipeline.data.importing.long.values import quote

Array = npt.NDArray[Any]

_SHARE = 0.9
"""Share of the steps between dates that make a table one of weeks or months."""
_REGULAR = {"week": "step = 7", "month": "step BETWEEN 28 AND 31"}
_ODD = {
    "two weeks": (14,),
    "four or five weeks": (28, 35),
    "a quarter": (90, 91, 92),
    "half a year": (181, 182, 183, 184),
    "a year": (365, 366),
}
"""What rows can stand for and no option reads -> days from one to the next."""
_STEPS = """
    SELECT * FROM (
        SELECT warehouse, day - lag(day) OVER (PARTITION BY warehouse ORDER BY day) AS step
        FROM (SELECT DISTINCT warehouse, day FROM staged WHERE rule IS NULL)
    ) WHERE step IS NOT NULL
"""
_LEAST_STEPS = 8
"""Steps from which on the dates of one warehouse are looked at."""
_HOLE = 60
"""Days without any row beyond which a few rows are far from the others."""
_LEAST_ROWS = 4
"""Rows from which on an inventory's weekdays are looked at."""
_BUSY = 20
"""Rows a day from which on a day without any row, in a table of days with demand, is closed."""
_LATE = 7
"""Days without a row, the last of the table, that do not end a warehouse."""
_WEEKS = 4
"""Weeks after which a weekday that never has a row is closed."""


def check_period(db: duckdb.DuckDBPyConnection, options: LongOptions) -> None:
    """Refuse a table whose rows stand for weeks or months, and are not said to.

    Args:
        db: With the table `staged`.
        options: `period`.

    Raises:
        DataError: The dates of a warehouse, or those of each inventory, are weeks or months
            apart.
    """
    if options.period == "day":
        return
    _check_odd(db)
    if options.period is not None:
        return
    for period, apart in (("week", "a week"), ("month", "a month")):
        if _apart(db, period):
            dated = " (--period-date last if it is dated by its last day)"
            raise DataError(
                "date",
                _first_days(db, "true"),
                f"Give --period {period} to spread each row's demand evenly over the days of its "
                f"{period}{dated if period == 'week' else ''}, or --period day if the other days "
                "are closed.",
                f"are {apart} apart: the rows are {period}ly, not daily",
            )
    _check_mixed(db)


def _check_odd(db: duckdb.DuckDBPyConnection) -> None:
    """Refuse rows that stand for a number of days that can be neither spread nor played."""
    counts = dict(db.sql(f"SELECT step, count(*) FROM ({_STEPS}) GROUP BY step").fetchall())
    total = sum(counts.values())
    for apart, steps in _ODD.items():
        if total >= 3 and sum(counts.get(step, 0) for step in steps) >= _SHARE * total:
            raise DataError(
                "date",
                _first_days(db, "true"),
                "Write a row for each day, week or month, or give --period day if the other days "
                "are closed.",
                f"are {apart} apart: a row stands neither for a day nor for a week or month",
            )


def _check_mixed(db: duckdb.DuckDBPyConnection) -> None:
    """Refuse weeks or months of some warehouses among days of others."""
    for period, good in _REGULAR.items():
        found = db.sql(
            f"SELECT warehouse FROM ({_STEPS}) GROUP BY warehouse HAVING count(*) >= {_LEAST_STEPS}"
            f" AND count(*) FILTER ({good}) >= {_SHARE} * count(*) ORDER BY warehouse LIMIT 4"
        ).fetchall()
        names = [str(row[0]) for row in found]
        if names:
            where = f"warehouse = {quote(names[0])}"
            raise DataError(
                "date",
                _first_days(db, where),
                f"Bring all warehouses to the same period, e.g. spread these rows over the days "
                f"of their {period}, or give --period day if they are open on these days only.",
                f"are a {period} apart in warehouse {', '.join(names[:3])}"
                f"{' ...' if len(names) > 3 else ''}, and daily in others",
            )


def _first_days(db: duckdb.DuckDBPyConnection, where: str) -> str:
    days = db.sql(
        f"SELECT DISTINCT day FROM staged WHERE rule IS NULL AND {where} ORDER BY day LIMIT 3"
    ).fetchall()
    return ", ".join(str(row[0]) for row in days)


def check_holes(db: duckdb.DuckDBPyConnection, max_share: float) -> None:
    """Refuse a few rows that are far from all others: a mistyped year would add years of days.

    Args:
        db: With the table `staged`.
        max_share: Largest share of the rows that are a few.

    Raises:
        DataError: More than `_HOLE` days without any row lie between them and the others.
    """
    found = db.sql(
        "SELECT day, count(*) AS n FROM staged WHERE day IS NOT NULL GROUP BY day ORDER BY day"
    ).fetchnumpy()
    days, before = found["day"], np.cumsum(found["n"])
    if len(days) < 2:
        return
    total = int(before[-1])
    for at in np.flatnonzero(np.diff(days).astype("timedelta64[D]").astype(int) > _HOLE):
        edge = [str(day.astype("datetime64[D]")) for day in days[at : at + 2]]
        early, late = int(before[at]), total - int(before[at])
        if min(early, late) > max_share * total:
            continue
        first = early <= late
        day, other = edge if first else edge[::-1]
        option = "--first-day" if first else "--last-day"
        raise DataError(
            "date",
            day,
            f"Correct it, or leave such rows out with {option} {other}.",
            f"({min(early, late):,} of {total:,} rows) is far from the others: no row lies between "
            f"it and {other}",
        )


def _apart(db: duckdb.DuckDBPyConnection, period: str) -> bool:
    """Nearly all steps from one date to the next are of that length."""
    total, fitting = db.sql(
        f"SELECT count(*), count(*) FILTER ({_REGULAR[period]}) FROM ({_STEPS})"
    ).fetchall()[0]
    if total >= 3 and fitting >= _SHARE * total:
        return True
    # Weeks that end on different weekdays: each inventory has one of its own.
    same = "isodow(day)" if period == "week" else "day(day)"
    rows, single = db.sql(f"""
        SELECT coalesce(sum(n), 0), coalesce(sum(n) FILTER (kinds = 1), 0) FROM (
            SELECT count(*) AS n, bit_count(bit_or(1::BIGINT << {same})) AS kinds FROM staged
            WHERE rule IS NULL GROUP BY sku, warehouse HAVING count(*) >= {_LEAST_ROWS}
        )
    """).fetchall()[0]
    return bool(rows > 0 and single >= 0.95 * rows)


def spread(db: duckdb.DuckDBPyConnection, options: LongOptions) -> None:
    """Replace each row of `staged` by one row per day of its week or month.

    The demand is spread evenly and keeps its sum; whole demand stays whole: a day gets the
    quotient, or one more on days that differ from row to row, so that no weekday is favoured.
    """
    if options.period == "week":
        start = "day" if options.period_date == "first" else "day - 6"
        length = "7"
    else:
        start, length = "date_trunc('month', day)::DATE", "day(last_day(day))"
    names = ", ".join(("price", *FLAGS, "rule", "flaw", "blank", "text"))
    db.execute(f"""
        CREATE TABLE daily AS
        WITH period AS (
            SELECT *, coalesce({start}, day) AS start,
                CASE WHEN day IS NULL THEN 1 ELSE {length} END AS length,
                (md5_number(concat_ws('@', sku, warehouse, day)) % 28)::INTEGER AS turn
            FROM staged
        )
        SELECT row, sku, warehouse, (start + k::INTEGER)::DATE AS day,
            CASE WHEN demand <> trunc(demand) THEN demand / length
                ELSE floor((demand * (k + 1) + turn % length) / length)
                    - floor((demand * k + turn % length) / length) END AS demand,
            {names}
        FROM period, range(31) AS r(k) WHERE k < length
    """).complete()
    db.execute("DROP TABLE staged; ALTER TABLE daily RENAME TO staged").complete()


@dataclass
class Closed:
    """Days on which a whole warehouse was closed."""

    warehouses: list[str]
    days: Array
    """[W, T] bool."""
    late: Array
    """[W, T] bool: the last days, of which a warehouse that was open till then has no row yet."""
    last: Array
    """[W] the last day of which it has rows."""

    def of(self, warehouses: Array) -> tuple[Array, Array, Array]:
        """`days` and `late` [n, T] and `last` [n] of n inventories, by their warehouses' names."""
        row = {name: i for i, name in enumerate(self.warehouses)}
        chosen = [row[name] for name in warehouses]
        return self.days[chosen], self.late[chosen], self.last[chosen]

    @property
    def waiting(self) -> dict[str, int]:
        """Warehouse -> number of days of which it has no row yet."""
        counts = self.late.sum(axis=1)
        return {self.warehouses[i]: int(counts[i]) for i in np.flatnonzero(counts)}

    def describe(self) -> str:
        """One clause, or nothing: how many days of which warehouse."""
        counts = self.days.sum(axis=1)
        some = [f"{self.warehouses[i]} {counts[i]} days" for i in np.flatnonzero(counts)]
        more = f" and {len(some) - 10} more warehouses" if len(some) > 10 else ""
        return f"closed: {', '.join(some[:10])}{more}" if some else ""


def closed_days(
    db: duckdb.DuckDBPyConnection, first: date, num_days: int, options: LongOptions
) -> Closed:
    """Find the days on which a warehouse was closed: none of its inventories has a row.

    A day is closed if two inventories or more, or else the same weekday at all times, say so.
    That only holds where a row is expected on each open day: in a warehouse with rows for less
    than half of its inventories, or open on less than half of the days, nothing is closed, and
    days without a row are gaps. Where days without demand have no row (`absent_day` zero), only
    a warehouse with many rows a day can be seen to be closed.

    Args:
        db: With the tables `staged` and `inventory` (number, sku, warehouse, first_day, last_day).
        first, num_days: Day 0 and T.
        options: `absent_day`.
    """
    names = [
        row[0] for row in db.sql("SELECT DISTINCT warehouse FROM inventory ORDER BY 1").fetchall()
    ]
    rows = _grid(db, names, first, num_days, "staged JOIN inventory USING (sku, warehouse)", "day")
    started = _grid(db, names, first, num_days, "inventory", "first_day")
    ended = _grid(db, names, first, num_days, "inventory", "last_day")
    active = np.cumsum(started, axis=1)
    active[:, 1:] -= np.cumsum(ended, axis=1)[:, :-1]
    empty = (active > 0) & (rows == 0)
    opened = rows > 0
    # [W] whether a row is expected on each open day.
    usual = np.asarray(
        [np.median(r[o]) if o.any() else 0.0 for r, o in zip(rows, opened, strict=True)]
    )
    # Days after a warehouse's last row: few of them are a file that comes late, more its end.
    last = num_days - 1 - np.argmax(opened[:, ::-1], axis=1)
    after = np.arange(num_days) > last[:, None]
    late = after & (after.sum(axis=1) <= _LATE)[:, None] & (options.after_last is None)
    if options.absent_day == "zero":
        busy = (usual >= _BUSY)[:, None]
        late &= busy
        ended = after & ~late & (options.after_last is None)
        return Closed(names, (empty | ended) & busy, late, last)
    complete = (rows * opened).sum(axis=1) >= 0.5 * (active * opened).sum(axis=1)
    complete &= opened.sum(axis=1) >= empty.sum(axis=1)
    weekday = np.arange(num_days) % 7
    never = np.zeros_like(empty)
    for day in range(7):
        same = weekday == day
        rest = (empty[:, same].sum(axis=1) >= _WEEKS) & ~opened[:, same].any(axis=1)
        never[:, same] = rest[:, None]
    late &= complete[:, None] & (usual >= 2)[:, None] & ~never
    return Closed(names, empty & complete[:, None] & ((active >= 2) | never), late, last)


def _grid(
    db: duckdb.DuckDBPyConnection,
    names: list[str],
    first: date,
    num_days: int,
    table: str,
    day: str,
) -> Array:
    """[W, T] rows of a table by warehouse and day."""
    found = db.sql(
        f"SELECT warehouse, ({day} - DATE '{first}')::INTEGER AS t, count(*) AS n FROM {table} "
        f"WHERE {day} >= DATE '{first}' AND {day} < DATE '{first}' + {num_days} GROUP BY 1, 2"
    ).fetchnumpy()
    grid = np.zeros((len(names), num_days), np.int64)
    index = {name: i for i, name in enumerate(names)}
    grid[[index[name] for name in found["warehouse"]], found["t"]] = found["n"]
    return grid
