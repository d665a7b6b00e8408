"""What an import of a long table says about the rows it read, for the terminal and the manifest."""

from __future__ import annotations

import duckdb

from pipeline.data.importing import duck
from pipeline.data.importing.long.options import LongOptions

_BUSY = 20.0
"""Units a day, of all inventories together, that do not fall to 0 by chance."""


def returns(db: duckdb.DuckDBPyConnection, options: LongOptions) -> list[str]:
    """What became of negative demand, and of several rows of a day."""
    notes = []
    if options.negative != "refuse":
        rows, total = db.sql(
            "SELECT count(*), coalesce(-sum(demand), 0) FROM staged "
            "WHERE demand < 0 AND rule IS NULL"
        ).fetchall()[0]
        how = {"ignore": "ignored", "subtract": "subtracted"}[options.negative]
        if rows:
            notes.append(f"returns: {rows:,} rows of {total:,g} units {how} (--returns)")
    if options.same_day == "sum":
        notes.append("several rows of a day were added up")
    return notes


def sold_out(db: duckdb.DuckDBPyConnection) -> list[str]:
    """On how many days demand was not observed."""
    days, inventories = db.sql(
        "SELECT count(*), count(DISTINCT (sku, warehouse)) FROM staged "
        "WHERE known = 0 AND rule IS NULL"
    ).fetchall()[0]
    if not days:
        return []
    return [f"sold out: {days:,} days of {inventories:,} inventories, whose demand is not known"]


def silence(db: duckdb.DuckDBPyConnection) -> list[str]:
    """Last days on which nobody bought anything: rows of days to come, filled with 0?"""
    ((last, busy, days, mean),) = db.sql("""
        WITH total AS (
            SELECT day, sum(demand) AS units FROM staged WHERE rule IS NULL AND known = 1
            GROUP BY day
        ), busy AS (SELECT max(day) AS day FROM total WHERE units > 0)
        SELECT max(t.day), max(b.day), count(*) FILTER (t.day > b.day),
            avg(t.units) FILTER (t.day <= b.day) FROM total t, busy b
    """).fetchall()
    if not days or mean < _BUSY:
        return []
    return [
        f"no demand at all on the last {days} days, to {last}: if these are days to come, give "
        f"--last-day {busy}"
    ]


def without_price(db: duckdb.DuckDBPyConnection, stated: bool) -> int:
    """How many inventories have no price on any day, nor in the attributes if these have prices."""
    join = "LEFT JOIN attributes a USING (sku, warehouse) WHERE a.price IS NULL" if stated else ""
    count: int = duck.value(
        db,
        "SELECT count(*) FROM (SELECT sku, warehouse FROM staged JOIN inventory USING (sku, "
        f"warehouse) GROUP BY sku, warehouse HAVING count(price) = 0) {join}",
    )
    return count
