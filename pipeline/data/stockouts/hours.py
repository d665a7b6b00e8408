"""Which share of a day's demand falls into each hour, from daily sales and hours without stock.

Nobody recorded sales by hour. But a shelf that runs empty says when its last piece was sold.
Demand is taken for a Poisson process in pieces of one ``grain``, of rate mu * w_h in hour h. A day
that sold s pieces and was emptied in hour h then has, up to factors without w, the likelihood

    w_h * W^(s - 1) * exp(-mu * W),   W = the share of its open hours,

whatever made the retailer stock s pieces: given mu, the stock says nothing about the demand of the
day. So a day that ran out early is not taken for a day on which the morning sells more, as it is
by a regression of the sales on the open hours. The likelihood is climbed by EM: the s - 1 pieces
fell into the open hours in proportion to w (Dempster, Laird and Rubin 1977).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.data.stockouts.days import CLOSED, HOURS, StockoutDays, bits, emptied

Array = npt.NDArray[Any]

STEPS = 30
"""Of EM; each one is cheap, for days with the same hours are summed up first."""
PRIOR_PIECES = 2000.0
"""The profile of all groups counts as so many pieces in each group's own."""


@dataclass(frozen=True)
class HourProfile:
    """Shares of a day's demand by hour of business.

    Args:
        shares: [G, 2, H]: of each group on working days and on holidays; each sums to 1.
    """

    shares: Array

    def open_share(self, days: StockoutDays) -> Array:
        """[N, T] float32: the share of the day's demand that falls into its open hours."""
        table = (bits(np.arange(CLOSED + 1)) @ self.shares.reshape(-1, HOURS).T).T
        closed = table[_cell(days), days.shut]
        result: Array = np.clip(1.0 - closed, 0.0, 1.0)
        result[days.shut == 0] = 1.0
        result[days.shut == CLOSED] = 0.0
        return result.astype(np.float32)

    @classmethod
    def flat(cls, groups: int) -> HourProfile:
        """Each hour alike: where a fit starts."""
        return cls(np.full((groups, 2, HOURS), 1.0 / HOURS))

    def refit(self, days: StockoutDays, rate: Array, grain: float) -> HourProfile:
        """The profile given how much each day would sell, climbing from this one.

        Days that did not run out count too: they are those that reached the late hours.

        Args:
            days: Days to learn from.
            rate: [N, T] expected demand of the whole day after what was sold on it, units.
            grain: Units that are bought at a time.
        """
        groups = len(self.shares)
        cells = _Cells.of(days, rate, grain, groups)
        pooled = self.shares.mean(0)
        for _ in range(STEPS):
            pooled = cells.step(np.tile(pooled, (groups, 1)), pool=True)
        shares, prior = self.shares.reshape(-1, HOURS), np.tile(pooled, (groups, 1))
        for _ in range(STEPS):
            shares = cells.step(shares, prior)
        return HourProfile(shares.reshape(groups, 2, HOURS))


@dataclass(frozen=True)
class _Cells:
    """Days with open hours, summed up by cell (group and holiday) and hours without stock."""

    cell: Array
    """[C] 2 * group + holiday."""
    open: Array
    """[C, H] 0 or 1."""
    last: Array
    """[C, H] days on which the shelf became empty at the end of the hour."""
    rest: Array
    """[C] pieces sold in other hours, or before."""
    exposure: Array
    """[C] pieces that the whole days would sell."""
    cells: int

    @classmethod
    def of(cls, days: StockoutDays, rate: Array, grain: float, groups: int) -> _Cells:
        part = days.shut < CLOSED
        mask, sales = days.mask[part].astype(np.int64), days.sales[part]
        key = (_cell(days)[part].astype(np.int64) << (HOURS + 1)) | (mask & (2 * CLOSED + 1))
        found, place = np.unique(key, return_inverse=True)
        hours = found & (2 * CLOSED + 1)
        ends = bits(emptied(hours))
        count = np.bincount(place)
        pieces = np.maximum(sales / grain, ends.sum(1)[place])
        return cls(
            cell=found >> (HOURS + 1),
            open=1.0 - bits(hours & CLOSED),
            last=ends * count[:, None],
            rest=np.bincount(place, pieces) - ends.sum(1) * count,
            exposure=np.bincount(place, rate[part] / grain),
            cells=2 * groups,
        )

    def step(self, shares: Array, prior: Array | None = None, pool: bool = False) -> Array:
        """Shares [2 G, H] of the next step of EM; [2, H] of all groups together with ``pool``."""
        open_share = np.maximum((self.open * shares[self.cell]).sum(1), 1e-9)
        sold = (
            self._last(shares) + self.open * shares[self.cell] * (self.rest / open_share)[:, None]
        )
        exposed = self.open * self.exposure[:, None]
        row, rows = (self.cell % 2, 2) if pool else (self.cell, self.cells)
        above, below = (_summed(values, row, rows) for values in (sold, exposed))
        if prior is not None:
            above = above + PRIOR_PIECES * prior
            below = below + PRIOR_PIECES
        rates = np.maximum(above / np.maximum(below, 1e-9), 1e-6)
        result: Array = rates / rates.sum(1, keepdims=True)
        return result

    def _last(self, shares: Array) -> Array:
        """[C, H] last pieces: around the end of the hour, in it or in the next one."""
        own = shares[self.cell]
        next_hour = np.concatenate((own[:, 1:], np.zeros((len(own), 1))), axis=1)
        here = self.last * own / (own + next_hour)
        later = np.roll(self.last - here, 1, axis=1)
        result: Array = here + later
        return result


def _summed(values: Array, row: Array, rows: int) -> Array:
    """[rows, H] sums of values [C, H] with the same row."""
    return np.stack([np.bincount(row, column, rows) for column in values.T], axis=1)


def _cell(days: StockoutDays) -> Array:
    """[N, T] 2 * group + holiday."""
    return 2 * days.group[:, None] + days.holiday
