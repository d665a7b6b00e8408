"""The rows of one tile of a long table, pivoted into a panel and judged series by series."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.data.imports import ImportOptions, carry, regular_price
from pipeline.data.long_table import FLAGS
from pipeline.data.quality import Quarantine, absurd
from pipeline.data.schema import inventory_ids
from pipeline.data.terms import TERMS, drawn_prices
from pipeline.data.tiles import TilePlan

Array = npt.NDArray[Any]

NO_CATEGORY = "unknown"


@dataclass
class LongTile:
    """The rows of one tile, pivoted: n inventories, T days."""

    plan: TilePlan
    rows: pd.DataFrame
    inventories: pd.DataFrame
    first_day: date
    num_days: int
    values: dict[str, Array] = field(init=False)
    bad: Array = field(init=False)
    """[n, T] the day has a quarantined row."""
    listed: Array = field(init=False)
    """[n, T] the day has a row."""

    def __post_init__(self) -> None:
        shape = (self.plan.rows, self.num_days)
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

    def judge(self, quarantine: Quarantine, absent_day: str) -> None:
        """Apply the rules that need the whole series: duplicates, absurd values, gaps."""
        i, t = self._cells()
        twice = self.rows.duplicated(["number", "t"], keep=False).to_numpy()
        accepted = ~self.rows.bad.to_numpy()
        self._quarantine(quarantine, "duplicate_day", twice & accepted)
        self.bad[i[twice], t[twice]] = True
        flags = absurd(np.where(self.bad, np.nan, self.values["demand"]))
        self._quarantine(quarantine, "absurd_demand", flags[i, t] & ~self.bad[i, t])
        self.bad |= flags
        between = np.maximum.accumulate(self.listed, axis=1)
        between &= np.maximum.accumulate(self.listed[:, ::-1], axis=1)[:, ::-1]
        absent = between & ~self.listed
        if absent_day == "zero":
            self.values["demand"][absent] = 0.0
            self.values["on_sale"][absent] = 1.0
        else:
            self._quarantine_gaps(quarantine, absent)

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
        if "category" in given:
            static["category"] = given.category.fillna(NO_CATEGORY).tolist()
        if "weight" in given:
            static["weight"] = given.weight.to_numpy(dtype=np.float32, na_value=np.nan)
        return static

    def dynamic(self) -> dict[str, Array]:
        """Quantities [n, T]; to be called after `static`, which fixes missing prices."""
        price = carry(np.where(self.bad, np.nan, self.values["price"]))
        price = np.where(np.isnan(price), self._base[:, None], price)
        result = {"demand": self.values["demand"], "on_sale": self.on_sale(), "price": price}
        result["known"] = np.ones_like(result["on_sale"])
        for name in ("promotion", "event", "snap"):
            result[name] = np.nan_to_num(np.where(self.bad, 0, self.values[name]))
        return result

    def on_sale(self) -> Array:
        """[n, T] 1 on days with an accepted row that does not say otherwise."""
        on_sale: Array = (self.values["on_sale"] == 1) & ~self.bad
        return on_sale.astype(np.uint8)

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
