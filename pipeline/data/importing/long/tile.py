"""The rows of one tile of a long table, pivoted into a panel and judged series by series.

Shape letters: n inventories, T days of demand, A days ahead of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.data.importing.common import ImportOptions, carry, regular_price
from pipeline.data.importing.long.options import FLAGS, LongOptions
from pipeline.data.importing.long.plan import PLANNED
from pipeline.data.quality import Quarantine, absurd
from pipeline.data.schema import ORDER_COLUMNS, UNKNOWN, inventory_ids
from pipeline.data.terms import TERMS, drawn_prices
from pipeline.data.tiles import TilePlan

Array = npt.NDArray[Any]

NO_CATEGORY = "unknown"


@dataclass
class Ahead:
    """The days after the last day of demand.

    Args:
        days: A.
        rows: Rows ahead of a tile: number, t (from 0) and `PLANNED`, unknown values missing.
        constants: Flags that no source has -> their value.
    """

    days: int
    rows: pd.DataFrame
    constants: Mapping[str, int]

    def quantities(self, plan: TilePlan) -> dict[str, Array]:
        """Quantity -> [n, A]; NaN (a price) or UNKNOWN (a flag) where nothing is known."""
        i, t = self.rows.number.to_numpy() - plan.first, self.rows.t.to_numpy()
        result = {}
        for name in PLANNED:
            grid = np.full((plan.rows, self.days), np.nan)
            grid[i, t] = self.rows[name].to_numpy(dtype=np.float64, na_value=np.nan)
            if name in self.constants:
                grid[:] = self.constants[name]
            if name != "price":
                grid = np.where(np.isnan(grid), UNKNOWN, grid).astype(np.uint8)
            result[name] = grid
        return result


@dataclass
class LongTile:
    """The rows of one tile, pivoted.

    Args:
        plan: Which tile.
        rows: Its rows: number, t, row, demand, price, `FLAGS`, bad.
        inventories: Its sku, warehouse and attributes, [n].
        closed: [n, T] the inventory's warehouse was closed.
        late: [n, T] it has no row yet of these days, the table's last ones.
        last: [n] the last day of which it has rows.
        first_day: Day 0.
    """

    plan: TilePlan
    rows: pd.DataFrame
    inventories: pd.DataFrame
    closed: Array
    late: Array
    last: Array
    first_day: date
    values: dict[str, Array] = field(init=False)
    bad: Array = field(init=False)
    """[n, T] the demand of the day cannot be used."""
    listed: Array = field(init=False)
    """[n, T] the day has a row."""

    def __post_init__(self) -> None:
        shape = self.closed.shape
        i, t = self._cells()
        self.values = {}
        for name in ("demand", "price", *FLAGS):
            grid = np.full(shape, np.nan)
            grid[i, t] = self.rows[name].to_numpy(dtype=np.float64, na_value=np.nan)
            self.values[name] = grid
        self.bad, self.listed = np.zeros(shape, bool), np.zeros(shape, bool)
        self.listed[i, t] = True
        rejected = self.rows.bad.to_numpy()
        self.bad[i[rejected], t[rejected]] = True

    def judge(self, quarantine: Quarantine, long: LongOptions) -> None:
        """Apply the rules that need the whole series: duplicates, absurd values, absent days."""
        i, t = self._cells()
        twice = self.rows.duplicated(["number", "t"], keep=False).to_numpy()
        accepted = ~self.rows.bad.to_numpy()
        self._quarantine(quarantine, "duplicate_day", twice & accepted)
        self.bad[i[twice], t[twice]] = True
        flags = absurd(np.where(self.bad, np.nan, self.values["demand"]))
        self._quarantine(quarantine, "absurd_demand", flags[i, t] & ~self.bad[i, t])
        self.bad |= flags
        self._judge_absent(quarantine, long)

    def _judge_absent(self, quarantine: Quarantine, long: LongOptions) -> None:
        """What days without a row are: not yet or no longer on sale, closed, zero, or a gap."""
        begun = np.maximum.accumulate(self.listed, axis=1)
        goes_on = np.maximum.accumulate(self.listed[:, ::-1], axis=1)[:, ::-1]
        absent = begun & ~self.listed & ~self.closed
        # What was sold to the end of its warehouse's rows goes on; what ended before has ended.
        waiting = self.late & self.listed[np.arange(len(self.last)), self.last][:, None]
        self.bad |= waiting
        absent &= ~waiting
        if long.zero_after_last:
            self._zero(absent & ~goes_on)
        absent &= goes_on
        if long.absent_day == "zero":
            self._zero(absent)
            # The first sale is no launch: an item off sale until then would tell policies, who
            # know the assortment ahead, the day of that sale.
            unknown = ~begun & ~self.closed
            self.values["on_sale"][unknown], self.values["known"][unknown] = 1.0, 0.0
        else:
            self._quarantine_gaps(quarantine, absent)
            self.bad |= absent
        self._mend_on_sale()

    def _mend_on_sale(self) -> None:
        """A day whose figure is lost is on sale as the days around it are."""
        on_sale = self.values["on_sale"]
        doubtful = self.bad & (on_sale != 1)
        some = doubtful.any(axis=1)
        around = carry(np.where(doubtful[some], np.nan, on_sale[some]))
        on_sale[some] = np.where(doubtful[some], np.nan_to_num(around, nan=1.0), on_sale[some])

    def _zero(self, days: Array) -> None:
        self.values["demand"][days] = 0.0
        self.values["on_sale"][days] = self.values["known"][days] = 1.0

    def static(self, options: ImportOptions) -> dict[str, Any]:
        """Columns of inventories.parquet; what is not given is drawn."""
        n, given = self.plan.rows, self.inventories
        ids = inventory_ids(given.sku, given.warehouse)
        draws = options.draws(ids)
        base = regular_price(carry(self.values["price"]), self.on_sale(), options.history_days)
        base = np.where(np.isnan(base), drawn_prices(draws), base)
        if "price" in given:
            stated = given.price.to_numpy(dtype=np.float64, na_value=np.nan)
            base = np.where(np.isnan(stated), base, stated)
        terms = {
            name: given[name].to_numpy(dtype=np.float64, na_value=np.nan)
            for name in TERMS
            if name in given
        }
        self._base = np.round(base, 4)
        static = {
            "inventory_id": ids,
            "sku": given.sku.tolist(),
            "warehouse": given.warehouse.tolist(),
            "category": [NO_CATEGORY] * n,
            "price": self._base.astype(np.float32),
            **options.terms.draw(draws, self._base, terms),
        }
        for name in ORDER_COLUMNS:
            if name in given:
                static[name] = given[name].to_numpy(dtype=np.float64, na_value=np.nan)
        if "category" in given:
            static["category"] = given.category.fillna(NO_CATEGORY).tolist()
        if "weight" in given:
            static["weight"] = given.weight.to_numpy(dtype=np.float32, na_value=np.nan)
        return static

    def dynamic(self, ahead: Ahead | None = None) -> dict[str, Array]:
        """Quantities, [n, T], or [n, T + A] if known ahead; to be called after `static`."""
        price = carry(self.values["price"])
        price = np.where(np.isnan(price), self._base[:, None], price)
        result = {"on_sale": self.on_sale(), "price": price}
        for name in ("promotion", "event", "snap"):
            result[name] = np.nan_to_num(self.values[name]).astype(np.uint8)
        if ahead is not None and ahead.days:
            planned = ahead.quantities(self.plan)
            result = {k: np.concatenate([v, planned[k]], axis=1) for k, v in result.items()}
        known = ~self.bad & (self.values["known"] != 0)
        demand = np.nan_to_num(self.values["demand"])
        return {"demand": demand, "known": known.astype(np.uint8), **result}

    def on_sale(self) -> Array:
        """[n, T] 1 on days on which the item could be bought, whether or not demand is known."""
        on_sale: Array = (self.values["on_sale"] == 1).astype(np.uint8)
        return on_sale

    def _cells(self) -> tuple[Array, Array]:
        return self.rows.number.to_numpy() - self.plan.first, self.rows.t.to_numpy()

    def _day(self, t: np.integer[Any] | int) -> str:
        return (self.first_day + timedelta(days=int(t))).isoformat()

    def _quarantine(self, quarantine: Quarantine, rule: str, chosen: Array) -> None:
        rows = self.rows[chosen]
        ids = self.inventories.iloc[rows.number.to_numpy() - self.plan.first]
        names = ["demand", "price", *FLAGS]
        quarantine.add(
            rule,
            rows=rows.row.tolist(),
            sku=ids.sku.tolist(),
            warehouse=ids.warehouse.tolist(),
            date=[self._day(t) for t in rows.t],
            values=[
                {k: None if pd.isna(v) else v for k, v in row.items()}
                for row in rows[names].to_dict("records")
            ],
        )

    def _quarantine_gaps(self, quarantine: Quarantine, absent: Array) -> None:
        edges = np.diff(absent.astype(np.int8), axis=1, prepend=0, append=0)
        row, start = np.nonzero(edges == 1)
        end = np.nonzero(edges == -1)[1]
        ids = self.inventories.iloc[row]
        quarantine.add(
            "gap",
            rows=[None] * len(row),
            sku=ids.sku.tolist(),
            warehouse=ids.warehouse.tolist(),
            date=[self._day(t) for t in start],
            values=[
                {"first": self._day(a), "last": self._day(b - 1), "days": int(b - a)}
                for a, b in zip(start, end, strict=True)
            ],
            count=int(absent.sum()),
        )
