"""What the orders of a day come to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from envs.orders import Reason


@dataclass(frozen=True)
class Orders:
    """What :func:`~pipeline.serving.decide.decide` wrote."""

    inventories: int = 0
    due: int = 0
    """Inventories that are reviewed on the day."""
    ordered: int = 0
    """Inventories with an order above 0."""
    units: float = 0.0
    """Sum of the orders."""
    reasons: Mapping[str, int] = field(default_factory=dict)
    """Code of ``orders.parquet`` -> inventories."""
    name: str = ""
    """Who gave them, and which version of it."""
    version: str = ""
    why: str = ""
    """Why it was chosen to."""
    added: float = 0.0
    """Units ordered above what was wanted, for the rules of orders (:mod:`envs.orders`)."""
    cut: float = 0.0
    """Units wanted and not ordered, for these rules."""
    holding: float = 0.0
    """Money a day for as long as the added units are held."""
    shortage: float = 0.0
    """Money if all units that were cut come to be missed."""
    path: Path = Path()
    """The file; this object stands for it wherever a path is asked for."""

    def __fspath__(self) -> str:
        return str(self.path)

    def frame(self) -> pd.DataFrame:
        """All rows: see :func:`~pipeline.serving.decide.orders_schema`."""
        return pd.read_parquet(self.path)

    def __str__(self) -> str:
        """In words, for the terminal."""
        given = (
            f"{self.inventories:,} inventories, {self.due:,} due, {self.ordered:,} orders over "
            f"{self.units:,.0f} units"
        )
        # Those that are not due are in the line already.
        why = [f"{n:,} {code}" for code, n in sorted(self.reasons.items()) if code != "not_due"]
        return "".join(
            (
                given,
                f" by {self.name} {self.version}".rstrip() if self.name else "",
                f" ({', '.join(why)})" if why else "",
                f": {self.why}" if self.why else "",
            )
        )

    @property
    def rounding(self) -> str:
        """What the order rules cost against the quantities wanted, in words; "" if nothing."""
        if not (self.added or self.cut):
            return ""
        return (
            f"Against what was wanted, order rules add {self.added:,.0f} units "
            f"({self.holding:,.2f} a day to hold) and cut {self.cut:,.0f} "
            f"(at most {self.shortage:,.2f} of shortages)."
        )

    def plus(self, decided: pa.Table, flags: NDArray[np.int64], given: pa.RecordBatch) -> Orders:
        """With further inventories: their orders, reasons, and rows of the snapshot."""
        order, wanted = (decided.column(n).to_numpy().astype(float) for n in ("order", "wanted"))
        costs = (given.column(n).to_numpy() for n in ("holding_cost", "shortage_cost"))
        holding, shortage = costs
        added, cut = np.maximum(order - wanted, 0.0), np.maximum(wanted - order, 0.0)
        counts = Counter(self.reasons)
        for reason in Reason:
            if number := int(((flags & int(reason)) > 0).sum()):
                counts[str(reason.name).lower()] += number
        return replace(
            self,
            inventories=self.inventories + len(decided),
            due=self.due + int(decided.column("due").to_numpy().sum()),
            ordered=self.ordered + int((order > 0).sum()),
            units=self.units + float(order.sum()),
            reasons=counts,
            added=self.added + float(added.sum()),
            cut=self.cut + float(cut.sum()),
            holding=self.holding + float((added * holding).sum()),
            shortage=self.shortage + float((cut * shortage).sum()),
        )
