"""Reads FreshRetailNet-50K as series by days, and judges its rows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from envs.errors import DataError
from pipeline.data.importing.common import carry, read_columns
from pipeline.data.quality import Quarantine, absurd
from pipeline.data.schema import inventory_ids
from pipeline.data.stockouts.days import CLOSED, HOURS, StockoutDays
from pipeline.data.stockouts.fit import fit_law
from pipeline.data.stockouts.law import DemandLaw

Array = npt.NDArray[Any]

FILE = "train_daily.parquet"
KEYS = ("store_id", "product_id", "dt")
COLUMNS = (
    *KEYS, "first_category_id", "sale_amount", "stockout_hours_mask", "discount", "holiday_flag",
    "activity_flag",
)  # fmt: skip
FIRST_HOUR = 6
GRAIN = 0.1
"""Of the normalised amounts: 98 % of them are multiples of it, so it is bought at a time."""
DISCOUNT_STEP = 0.05
"""Discounts are means over a day's customers, known in the evening; what was planned is rounded."""
OFFERS = np.asarray([0.575, 0.675, 0.775, 0.825, 0.875, 0.925, 0.975])
"""Relative prices that separate the offers that factors of demand are fitted for."""


@dataclass(frozen=True)
class FreshSource:
    """The table as series: N of them, T days; sorted by store and product."""

    store: Array
    """[N]"""
    product: Array
    """[N]"""
    category: Array
    """[N] number of the first category."""
    first_day: date
    row: Array
    """[N, T] number of the row in the file, from 0; -1 where there is none."""
    sales: Array
    """[N, T] float64; NaN where missing."""
    mask: Array
    """[N, T] uint32: hours of business without stock, and the hour after them."""
    price: Array
    """[N, T] relative to the list price, above 0."""
    promotion: Array
    """[N, T] uint8."""
    event: Array
    """[N, T] uint8."""

    @property
    def ids(self) -> list[str]:
        """[N] inventory ids."""
        return inventory_ids(self.product, self.store)

    def days(self, good: Array) -> StockoutDays:
        """As the law of demand sees them; a day that is not ``good`` tells nothing."""
        weekday = (self.first_day.weekday() + np.arange(self.sales.shape[1])) % 7
        price = np.digitize(self.price, OFFERS)
        return StockoutDays(
            sales=np.where(good, self.sales, 0.0),
            mask=np.where(good, self.mask, np.uint32(CLOSED)),
            group=np.unique(self.category, return_inverse=True)[1],
            kind=2 * weekday + self.event,
            offer=2 * (len(OFFERS) - price) + self.promotion,
        )

    def law(self, days: StockoutDays, until: int) -> DemandLaw:
        """Fitted on the days before ``until``."""
        groups = int(days.group.max()) + 1
        return fit_law(days.until(until), groups, 2 * (len(OFFERS) + 1), GRAIN)


def read_fresh(folder: Path) -> FreshSource:
    """The table as series by days.

    Raises:
        DataError: The file or a column is missing or unreadable, or a series has two rows for a
            day, or more than one category.
    """
    table = _read(folder / FILE)
    columns = {name: table[name].to_numpy() for name in COLUMNS if name != "dt"}
    day = table["dt"].cast(pa.date32()).cast(pa.int32()).to_numpy()
    pair = columns["store_id"].astype(np.int64) << 32 | columns["product_id"].astype(np.int64)
    pairs, first, series = np.unique(pair, return_index=True, return_inverse=True)
    start, shape = int(day.min()), (len(pairs), int(day.max() - day.min()) + 1)
    cell = series.astype(np.int64) * shape[1] + (day - start)
    row = np.full(shape[0] * shape[1], -1)
    row[cell] = np.arange(len(cell))
    store, product = (columns[name][first].astype(str) for name in KEYS[:2])
    if (twice := row[cell] != np.arange(len(cell))).any():
        at = int(np.argmax(twice))
        where = f"{product[series[at]]}@{store[series[at]]} on {_date(int(day[at]))}"
        raise DataError("row of product_id@store_id", where, "Keep one of them.", "is there twice")
    category = columns["first_category_id"]
    if (other := category != category[first][series]).any():
        at = int(np.argmax(other))
        name = f"{product[series[at]]}@{store[series[at]]}"
        raise DataError(
            "first_category_id of product_id@store_id", name, "Give a series one category.",
            "changes",
        )  # fmt: skip
    row = row.reshape(shape)

    def grid(name: str, missing: float) -> Array:
        values = columns[name].astype(np.float64)
        return np.where(row >= 0, values[row], missing)

    hours = grid("stockout_hours_mask", 0).astype(np.uint32)
    discount = np.rint(grid("discount", np.nan) / DISCOUNT_STEP) * DISCOUNT_STEP
    # A discount of 0 stands for days without a sale, which nobody knows ahead.
    price = carry(np.where((discount > 0) & (discount <= 2), discount, np.nan))
    return FreshSource(
        store=store,
        product=product,
        category=category[first],
        first_day=_date(start),
        row=row,
        sales=grid("sale_amount", np.nan),
        mask=(hours >> np.uint32(FIRST_HOUR)) & np.uint32((1 << (HOURS + 1)) - 1),
        price=np.where(np.isnan(price), 1.0, price),
        promotion=(grid("activity_flag", 0) > 0).astype(np.uint8),
        event=(grid("holiday_flag", 0) > 0).astype(np.uint8),
    )


def judge(fresh: FreshSource, quarantine: Quarantine) -> Array:
    """[N, T] bool: False where the sales break a quality rule, and are no lower bound of demand."""
    sales, there = fresh.sales, fresh.row >= 0
    rules = {
        "missing_demand": there & ~np.isfinite(sales),
        "negative_demand": sales < 0,
        "absurd_demand": absurd(sales),
        "gap": ~there,
    }
    bad = np.zeros(sales.shape, bool)
    for rule, flags in rules.items():
        rows, days = np.nonzero(flags & ~bad)
        bad |= flags
        found = fresh.row[rows, days]
        dates = [_date(fresh.first_day.toordinal() - _EPOCH + int(t)).isoformat() for t in days]
        values = [{"demand": float(value)} for value in sales[rows, days]]
        if rule == "gap":
            values = [{"first": day, "last": day, "days": 1} for day in dates]  # type: ignore[dict-item]
        quarantine.add(
            rule,
            rows=[None if row < 0 else int(row) + 1 for row in found],
            sku=fresh.product[rows].tolist(),
            warehouse=fresh.store[rows].tolist(),
            date=dates,
            values=values,
        )
    return ~bad


_EPOCH = date(1970, 1, 1).toordinal()


def _date(days: int) -> date:
    """Of days since 1970."""
    return date.fromordinal(_EPOCH + days)


def _read(path: Path) -> pa.Table:
    if not path.is_file():
        raise DataError(
            "file", str(path), f"Name a folder that holds {FILE} of FreshRetailNet-50K.",
            "is missing",
        )  # fmt: skip
    try:
        read_columns(path, pq.read_schema(path).names, list(COLUMNS))
        table = pq.read_table(path, columns=list(COLUMNS))
    except (OSError, pa.ArrowException) as error:
        raise DataError(
            "file", str(path), "Copy it again.", f"cannot be read as Parquet ({error})"
        ) from error
    if not len(table):
        raise DataError("rows", 0, f"Copy {path} again.", "are none")
    return table
