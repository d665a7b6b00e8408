"""Imports a long table (one row per SKU, warehouse and day), out of core.

DuckDB parses, sorts and, beyond its memory limit, spills to disk; Python sees one tile at a
time. So a table may be much larger than memory.

Columns: sku, warehouse, date, demand; optional price, promotion, event, snap, on_sale, known,
on_hand. A second file may give attributes per sku and warehouse: any of category, price, weight,
lead_time, lead_time_jitter, fill_min, review_period, review_offset, shortage_cost, holding_cost.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.data.importing.common import ImportOptions, write_tile
from pipeline.data.importing.long.options import LongOptions
from pipeline.data.importing.long.plan import constants
from pipeline.data.importing.long.table import LongTable
from pipeline.data.importing.long.tile import Ahead, LongTile
from pipeline.data.parts import PanelSpec, default_test_start
from pipeline.data.quality import Quarantine
from pipeline.data.schema import Manifest
from pipeline.data.tiles import TilePlan, plan_tiles
from pipeline.data.writer import PanelWriter, check_out
from pipeline.tools.progress import Progress

REMEDIES = {
    "unknown_id": "Complete the attributes, or the sku and warehouse of these rows",
    "bad_date": "If they are written differently, give --date-format",
    "missing_demand": "If a blank means that nothing was sold, write 0; write bare numbers, "
    "without a unit",
    "negative_demand": "If these are returns, give --returns ignore or --returns subtract (and "
    "--same-day sum, if a day has several rows)",
    "demand_off_sale": "If on_sale only says that the item was sold out, leave the column out "
    "(--ignore-columns on_sale) and give on_hand",
    "duplicate_day": "If several rows of a day are lines of a till, give --same-day sum",
    "gap": "If the table lists only days with sales, give --absent-day zero",
}
"""Rule -> what a user of this import may have meant."""


def import_long(
    source: str | Path,
    out: str | Path,
    options: ImportOptions | None = None,
    long: LongOptions | None = None,
) -> Manifest:
    """Import a long table.

    Args:
        source: A Parquet or CSV file, or a folder or glob pattern of such files.
        out: The data-set folder to make.
        options: See `ImportOptions`.
        long: See `LongOptions`.

    Raises:
        DataError: The source or a column is missing or unreadable, too many rows break a
            quality rule, an attribute is out of range, or `out` cannot be written.
    """
    options, long, out = options or ImportOptions(), long or LongOptions(), Path(out)
    check_out(out, options.overwrite)
    with Quarantine(out) as quarantine, LongTable(Path(source), out, options, long) as table:
        table.stage()
        table.quarantine_staged(quarantine)
        remedies = {**REMEDIES, **table.remedies()}
        quarantine.stop_if_beyond(options.max_bad_share, table.rows, remedies)
        first_day, num_days, n = table.index()
        start = default_test_start(num_days) if options.test_start is None else options.test_start
        plans = plan_tiles(n, options.tile_rows, options.validation_share)
        spec = PanelSpec(
            name=options.name or out.resolve().name,
            source=f"Imported from {Path(source).name}; {table.describe()}.",
            seed=options.seed,
            first_day=first_day,
            num_days=num_days,
            history_days=options.history_days,
            test_start=start,
            tile_rows=options.tile_rows,
            order_multiple=options.order_multiple,
            backlog=options.backlog,
            weight_meaning=table.weight_meaning,
            ahead_days=table.ahead_days,
            order_columns=table.order_columns,
        )
        fixed = constants(table.found, table.plan.given)
        progress = Progress("data import long", n, "inventories")
        with PanelWriter(out, spec, options.overwrite) as writer:
            for plan, rows in _by_tile(table.sorted_rows(), plans):
                inventories = table.inventories(plan)
                days = table.closed.of(inventories.warehouse.to_numpy())
                tile = LongTile(plan, rows, inventories, *days, first_day)
                tile.judge(quarantine, long)
                static = tile.static(options)
                ahead = Ahead(table.ahead_days, table.planned(plan), fixed)
                write_tile(writer, static, tile.dynamic(ahead), plan.split)
                progress.add(plan.rows)
            quarantine.stop_if_beyond(options.max_bad_share, table.days, remedies)
            return writer.finish(note=quarantine.describe(table.rows))


def _by_tile(
    batches: Iterator[pd.DataFrame], plans: list[TilePlan]
) -> Iterator[tuple[TilePlan, pd.DataFrame]]:
    """Cut sorted batches at the tiles' borders."""
    held: list[pd.DataFrame] = []
    remaining = iter(plans)
    plan = next(remaining)
    for batch in batches:
        rest = batch
        while len(rest) and rest.number.iloc[-1] >= plan.first + plan.rows:
            cut = int(np.searchsorted(rest.number.to_numpy(), plan.first + plan.rows))
            yield plan, pd.concat([*held, rest.iloc[:cut]], ignore_index=True)
            held, rest, plan = [], rest.iloc[cut:], next(remaining)
        held.append(rest)
    yield plan, pd.concat(held, ignore_index=True)
