"""Sales of days and the hours of each day on which there was nothing to sell.

Shape letters: N inventories, T days, H hours of business, G groups of similar products.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

HOURS = 16
"""H: hours of business a day. Bit h of a mask is the h-th of them."""
CLOSED = (1 << HOURS) - 1
"""Mask of a day without stock from the first hour to the last."""
KINDS = 14
"""Weekdays, each as a working day and as a holiday: kind = 2 * weekday + holiday."""


@dataclass(frozen=True)
class StockoutDays:
    """What was sold, and when there was no stock.

    Args:
        sales: [N, T] float, units, at least 0.
        mask: [N, T] uint32: bit h is set if there was no stock in the h-th hour of business, bit
            ``HOURS`` if there was none in the hour after the last one.
        group: [N] number of the group, 0..G-1.
        kind: [N, T] 0..``KINDS`` - 1.
        offer: [N, T] number of the offer (price and promotion), 0 = none.
    """

    sales: Array
    mask: Array
    group: Array
    kind: Array
    offer: Array

    @property
    def shut(self) -> Array:
        """[N, T] the hours of business without stock, as a mask."""
        found: Array = self.mask & CLOSED
        return found

    @property
    def holiday(self) -> Array:
        """[N, T] 0 or 1."""
        found: Array = self.kind & 1
        return found

    def until(self, day: int) -> StockoutDays:
        """The days before ``day``."""
        daily = {name: getattr(self, name)[:, :day] for name in ("sales", "mask", "kind", "offer")}
        return replace(self, **daily)

    def of(self, rows: Array) -> StockoutDays:
        """Some of the inventories."""
        names = ("sales", "mask", "group", "kind", "offer")
        return StockoutDays(**{name: getattr(self, name)[rows] for name in names})


def emptied(mask: Array) -> Array:
    """The hours at whose end the shelf had become empty, as a mask.

    Args:
        mask: As in :class:`StockoutDays`.
    """
    found: Array = ~mask & (mask >> 1) & CLOSED
    return found


def bits(mask: Array) -> Array:
    """[..., H] 1 where the bit of the hour is set, else 0; float32."""
    found: Array = (np.asarray(mask)[..., None] >> np.arange(HOURS)) & 1
    return found.astype(np.float32)
