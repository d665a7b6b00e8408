"""A small folder of FreshRetailNet's shape whose true demand is known: shelves that run empty."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.data.stockouts.days import CLOSED, HOURS, StockoutDays

Array = npt.NDArray[np.float64]
GRAIN = 0.1
DAYS = 75
FIRST_DAY = "2024-03-28"
SHAPE = 8.0
"""Of a day's gamma factor."""
PROFILE = np.asarray([1, 2, 4, 8, 12, 10, 6, 4, 4, 5, 7, 10, 12, 9, 4, 2], dtype=float)
PROFILE /= PROFILE.sum()
"""Nobody sells like this: a fit that starts flat has to find it."""


@dataclass(frozen=True)
class World:
    """What happened, and what was recorded of it."""

    rate: Array
    """[N, T] expected demand, units."""
    demand: Array
    """[N, T] units that were asked for."""
    sales: Array
    """[N, T]"""
    first: npt.NDArray[np.int64]
    """[N, T] hour of business from which on there was no stock: 0 all day, ``HOURS`` never."""
    holiday: npt.NDArray[np.int64]
    """[T]"""
    weekday: npt.NDArray[np.int64]
    """[T]"""

    @property
    def mask(self) -> npt.NDArray[np.uint32]:
        """[N, T] of the hours of business and the one after them."""
        hour = np.arange(HOURS + 1)
        shut = (hour >= self.first[..., None]) & (self.first[..., None] < HOURS)
        found: npt.NDArray[np.uint32] = (shut << hour).sum(-1).astype(np.uint32)
        return found

    @property
    def days(self) -> StockoutDays:
        """All of one group, without offers."""
        shape = self.sales.shape
        kind = np.broadcast_to(2 * self.weekday + self.holiday, shape)
        zero = np.zeros(shape, np.int64)
        return StockoutDays(self.sales, self.mask, np.zeros(len(self.sales), int), kind, zero)

    @property
    def cut(self) -> npt.NDArray[np.bool_]:
        """[N, T] days on which stock ran out, but not all day."""
        return (self.first > 0) & (self.first < HOURS)


def world(n: int = 300, seed: int = 0, level: float = 0.8) -> World:
    """Each day its own stock, about as much as is expected; 3 % of the days have none at all.

    ``level`` is the median of mean demand, units a day.
    """
    rng = np.random.default_rng(seed)
    dates = pd.date_range(FIRST_DAY, periods=DAYS)
    weekday = dates.day_of_week.to_numpy().astype(np.int64)
    holiday = (weekday >= 5).astype(np.int64)
    own = level * np.exp(0.6 * rng.standard_normal(n))
    rate = own[:, None] * np.where(holiday == 1, 1.3, 0.9)
    pieces = rng.poisson(rate / GRAIN * rng.gamma(SHAPE, 1 / SHAPE, rate.shape))
    stock = np.rint(rate / GRAIN * np.exp(0.5 * rng.standard_normal(rate.shape) + 0.2))
    stock = np.maximum(stock, 1) * (rng.random(rate.shape) > 0.03)
    first = np.full(rate.shape, HOURS)
    sold = pieces.copy()
    for i, t in np.argwhere(pieces >= stock):
        if stock[i, t] == 0:
            sold[i, t], first[i, t] = 0, 0
            continue
        times = np.sort(rng.choice(HOURS, pieces[i, t], p=PROFILE) + rng.random(pieces[i, t]))
        hour = round(times[int(stock[i, t]) - 1])
        if 0 < hour < HOURS:
            sold[i, t], first[i, t] = stock[i, t], hour
    return World(rate, pieces * GRAIN, sold * GRAIN, first, holiday, weekday)


def table(given: World) -> pd.DataFrame:
    """As in train_daily.parquet; products 100, 101, ... in ten stores."""
    n, days = given.sales.shape
    hour = np.arange(24) - 6
    shut = (hour >= given.first[..., None]) & (given.first[..., None] < HOURS)
    # Shelves are empty until they are filled in the morning.
    night = (hour < 0) & (given.first[..., None] < HOURS)
    mask = ((shut | night) << np.arange(24)).sum(-1)
    assert ((mask >> 6) & CLOSED == given.mask & CLOSED).all()
    series = np.arange(n)
    return pd.DataFrame(
        {
            "city_id": 0,
            "store_id": np.repeat(series % 10, days),
            "product_id": np.repeat(100 + series // 10, days),
            "first_category_id": np.repeat(series // 10 % 2, days),
            "dt": np.tile(pd.date_range(FIRST_DAY, periods=days).date, n),
            "sale_amount": given.sales.ravel().astype(np.float32),
            "stockout_hours_mask": mask.ravel().astype(np.int32),
            "discount": 1.0,
            "holiday_flag": np.tile(given.holiday, n),
            "activity_flag": 0,
        }
    )


def write(folder: Path, frame: pd.DataFrame) -> Path:
    """Writes the folder."""
    folder.mkdir()
    frame.to_parquet(folder / "train_daily.parquet", row_group_size=10_000)
    return folder
