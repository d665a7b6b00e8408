"""Imports the Walmart M5 data: 30,490 series of daily unit sales with weekly prices.

The folder must hold `sales_d<first>_d<last>.parquet` (item_id, dept_id, store_id, state_id and
one column d_<k> per day), `sell_prices.parquet` (store_id, item_id, wm_yr_wk, sell_price) and
`calendar.parquet` (d, date, wm_yr_wk, event_name_1, event_name_2, snap_<state>).

Sales are taken for demand: stockouts were not recorded. An item is off sale in a week without a
price, and on sale in all others, whether or not it sold. Where the calendar goes on after the last
day of sales, its events and SNAP days, and the prices as far as there are any, are days ahead.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from envs.errors import DataError
from pipeline.data.importing.common import (
    ImportOptions,
    carry,
    read_columns,
    regular_price,
    write_tile,
)
from pipeline.data.parts import PanelSpec, default_test_start
from pipeline.data.quality import Quarantine, absurd
from pipeline.data.schema import UNKNOWN, Manifest, inventory_ids
from pipeline.data.tiles import plan_tiles
from pipeline.data.writer import PanelWriter, check_out
from pipeline.tools.progress import Progress

Array = npt.NDArray[Any]

PROMOTION_CUT = 0.05
PROMOTION_WEEKS = 8


@dataclass
class _Source:
    """The M5 tables in memory: N series, T days, A days ahead of them, K weeks."""

    ids: pd.DataFrame
    sales: Array
    """[N, T] float32, NaN where missing."""
    price: Array
    """[N, K] float32, NaN in weeks without a price."""
    week: Array
    """[T + A] number of the week of a day, 0..K-1."""
    last_week: int
    """The last week in which any series has a price."""
    event: Array
    """[T + A]"""
    snap: dict[str, Array]
    """State -> [T + A]."""
    dates: list[str]
    """[T + A]"""


def import_m5(
    source: str | Path, out: str | Path, options: ImportOptions | None = None
) -> Manifest:
    """Import the folder SOURCE with the Walmart M5 tables as Parquet.

    Args:
        source: The folder.
        out: The data-set folder to make.
        options: See `ImportOptions`.

    Raises:
        DataError: A file or column is missing or unreadable, too many values break a quality
            rule, or `out` cannot be written.
    """
    options, out = options or ImportOptions(), Path(out)
    check_out(out, options.overwrite)
    m5 = _load(Path(source), options.days_ahead)
    n, num_days = m5.sales.shape
    plans = plan_tiles(n, options.tile_rows, options.validation_share)
    progress = Progress("data import m5", n, "inventories")
    with Quarantine(out) as quarantine:
        known = _judge(m5, quarantine)
        quarantine.stop_if_beyond(options.max_bad_share, m5.sales.size)
        ids = inventory_ids(m5.ids.item_id, m5.ids.store_id)
        # Shuffled, so that tiles are alike, and each series by its own name: one more changes
        # neither the order nor the split of the others.
        order = np.argsort(options.draws(ids).bits("order"), kind="stable")
        promotion = _promotions(m5.price)
        with PanelWriter(out, _spec(m5, out, options), options.overwrite) as writer:
            for plan in plans:
                rows = order[plan.first : plan.first + plan.rows]
                dynamic = {"demand": m5.sales[rows], "known": known[rows]}
                dynamic |= _known_ahead(m5, promotion, rows)
                price, on_sale = (dynamic[name][:, :num_days] for name in ("price", "on_sale"))
                base = np.round(regular_price(price, on_sale, options.history_days), 2)
                names, own = m5.ids.iloc[rows], [ids[row] for row in rows]
                static = {
                    "inventory_id": own,
                    "sku": names.item_id.tolist(),
                    "warehouse": names.store_id.tolist(),
                    "category": names.dept_id.tolist(),
                    "price": base.astype(np.float32),
                    **options.terms.draw(options.draws(own), base),
                }
                write_tile(writer, static, dynamic, plan.split)
                progress.add(plan.rows)
            return writer.finish(note=quarantine.describe(m5.sales.size))


def _spec(m5: _Source, out: Path, options: ImportOptions) -> PanelSpec:
    n, num_days = m5.sales.shape
    start = default_test_start(num_days) if options.test_start is None else options.test_start
    return PanelSpec(
        name=options.name or out.resolve().name,
        source=(
            f"Walmart M5 unit sales (stockouts unrecorded) of {n:,} item-store pairs; off "
            "sale in weeks without a price; promotion: price at least "
            f"{PROMOTION_CUT:.0%} below the maximum of the {PROMOTION_WEEKS} weeks "
            f"before; not in the source but drawn (seed {options.seed}): "
            f"{options.terms.describe()}."
        ),
        seed=options.seed,
        first_day=date.fromisoformat(m5.dates[0]),
        num_days=num_days,
        ahead_days=len(m5.week) - num_days,
        history_days=options.history_days,
        test_start=start,
        tile_rows=options.tile_rows,
        order_multiple=options.order_multiple,
        backlog=options.backlog,
    )


def _known_ahead(m5: _Source, promotion: Array, rows: Array) -> dict[str, Array]:
    """The quantities known ahead of some series, each [n, T + A].

    Args:
        promotion: [N, K].
        rows: Numbers of the n series.
    """
    shape = (len(rows), len(m5.week))
    num_days = m5.sales.shape[1]
    # After the last week with prices nobody knows what will be on sale, or for how much.
    unknown = (m5.week > m5.last_week) & (np.arange(shape[1]) >= num_days)
    weekly = {"on_sale": ~np.isnan(m5.price[rows]), "promotion": promotion[rows]}
    result = {
        name: np.where(unknown, UNKNOWN, values[:, m5.week]).astype(np.uint8)
        for name, values in weekly.items()
    }
    result["price"] = np.where(unknown, np.nan, carry(m5.price[rows])[:, m5.week])
    result["event"] = np.broadcast_to(m5.event, shape)
    result["snap"] = np.stack([m5.snap[state] for state in m5.ids.state_id.iloc[rows]])
    return result


def _load(folder: Path, days_ahead: int) -> _Source:
    paths = sorted(folder.glob("sales_d*_d*.parquet"))
    if len(paths) != 1:
        raise DataError(
            "M5 folder",
            str(folder),
            "Name a folder with sales_d<first>_d<last>.parquet, sell_prices.parquet and "
            "calendar.parquet.",
            f"holds {len(paths)} files sales_d*_d*.parquet and must hold one",
        )
    id_columns = ["item_id", "dept_id", "store_id", "state_id"]
    sales = _read(paths[0], id_columns)
    days = sorted((c for c in sales.columns if c.startswith("d_")), key=lambda c: int(c[2:]))
    if not days:
        raise DataError(
            f"column of {paths[0].name}", "d_<k>", "Add one column per day.", "is missing"
        )
    calendar = _read(
        folder / "calendar.parquet", ["d", "date", "wm_yr_wk", "event_name_1", "event_name_2"]
    ).set_index("d")
    if absent := [d for d in days if d not in calendar.index]:
        raise DataError("day", absent[0], "Complete calendar.parquet.", "is not in the calendar")
    calendar = calendar.loc[days + _following(days[-1], calendar.index, days_ahead)]
    states = sorted(sales.state_id.astype(str).unique())
    read_columns(folder / "calendar.parquet", list(calendar.columns), [f"snap_{s}" for s in states])
    weeks, week = np.unique(calendar.wm_yr_wk.to_numpy(), return_inverse=True)
    ids = sales[id_columns].astype(str).reset_index(drop=True)
    price = _weekly_prices(folder / "sell_prices.parquet", ids, weeks)
    return _Source(
        ids=ids,
        sales=sales[days].to_numpy(dtype=np.float32, na_value=np.nan),
        price=price,
        week=week,
        last_week=int(np.flatnonzero(~np.isnan(price).all(axis=0))[-1]),
        event=(calendar.event_name_1.notna() | calendar.event_name_2.notna())
        .to_numpy()
        .astype(np.uint8),
        snap={s: calendar[f"snap_{s}"].to_numpy().astype(np.uint8) for s in states},
        dates=[str(pd.Timestamp(day).date()) for day in calendar.date],
    )


def _following(last: str, calendar: pd.Index[str], days_ahead: int) -> list[str]:
    """Up to `days_ahead` days d_<k> after the `last` one, as far as the calendar goes."""
    first = int(last[2:]) + 1
    names = [f"d_{k}" for k in range(first, first + days_ahead)]
    return list(takewhile(calendar.__contains__, names))


def _weekly_prices(path: Path, ids: pd.DataFrame, weeks: Array) -> Array:
    """[N, K] prices; NaN in weeks without one."""
    table = _read(path, ["store_id", "item_id", "wm_yr_wk", "sell_price"])
    key = pd.MultiIndex.from_frame(ids[["item_id", "store_id"]])
    if key.has_duplicates:
        twice = "@".join(key[key.duplicated()][0])
        raise DataError("item_id@store_id", twice, "Keep one row per series.", "is there twice")
    table = table[table.wm_yr_wk.isin(weeks)]
    pairs = pd.MultiIndex.from_arrays([table.item_id.astype(str), table.store_id.astype(str)])
    row = key.get_indexer(pairs)
    if (row < 0).any():
        unknown = "@".join(pairs[int(np.argmax(row < 0))])
        raise DataError(
            "item_id@store_id of sell_prices.parquet", unknown, "Remove its rows.", "has no sales"
        )
    price = np.full((len(ids), len(weeks)), np.nan, np.float32)
    price[row, np.searchsorted(weeks, table.wm_yr_wk.to_numpy())] = table.sell_price.to_numpy()
    if (bad := ~(price > 0) & ~np.isnan(price)).any():
        raise DataError("sell_price", price[bad][0].item(), "Correct it.", "is not positive")
    if (none := np.isnan(price).all(axis=1)).any():
        series = "@".join(key[int(np.argmax(none))])
        raise DataError("item_id@store_id", series, "Remove it.", "has no price in any week")
    return price


def _judge(m5: _Source, quarantine: Quarantine) -> Array:
    """known [N, T]: 0 where the value breaks a quality rule."""
    sales = m5.sales
    priced = ~np.isnan(m5.price)[:, m5.week[: sales.shape[1]]]
    rules = {
        "missing_demand": ~np.isfinite(sales),
        "negative_demand": sales < 0,
        "absurd_demand": absurd(sales),
        "demand_off_sale": (sales > 0) & ~priced,
    }
    bad = np.zeros(sales.shape, bool)
    for rule, flags in rules.items():
        rows, days = np.nonzero(flags & ~bad)
        bad |= flags
        ids = m5.ids.iloc[rows]
        quarantine.add(
            rule,
            rows=(rows + 1).tolist(),
            sku=ids.item_id.tolist(),
            warehouse=ids.store_id.tolist(),
            date=[m5.dates[t] for t in days],
            values=[{"demand": float(v)} for v in sales[rows, days]],
        )
    return (~bad).astype(np.uint8)


def _promotions(price: Array) -> Array:
    """[N, K] flags: the price is well below the maximum of the weeks before; no look-ahead."""
    past = np.full_like(price, np.nan)
    for lag in range(1, PROMOTION_WEEKS + 1):
        past[:, lag:] = np.fmax(past[:, lag:], price[:, :-lag])
    with np.errstate(invalid="ignore"):
        cut: Array = price <= (1 - PROMOTION_CUT) * past
    return cut.astype(np.uint8)


def _read(path: Path, columns: list[str]) -> pd.DataFrame:
    if not path.is_file():
        raise DataError("file", str(path), "Complete the M5 folder.", "is missing")
    try:
        found = pq.read_schema(path).names
        read_columns(path, found, columns)
        return pq.read_table(path).to_pandas()
    except (OSError, pa.ArrowException) as error:
        raise DataError(
            "file", str(path), "Copy it again.", f"cannot be read as Parquet ({error})"
        ) from error
