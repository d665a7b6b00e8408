"""Retail-like demand: the random market that `generate` writes out tile by tile.

Demand of inventory i on day t is negative binomial with mean

    m_i · week · year · event · snap · promotion · trend · shock

m_i is lognormal (median 2 units a day and log-sigma 1.2 by default: four orders of magnitude
over a million inventories). Week and year are a category's profile with a small deviation of
each inventory's own; shocks are AR(1) day factors shared by a warehouse, by a category, and by
both. Some inventories are intermittent: on most days nobody asks at all.

What inventories share (calendar, shocks, SKUs) is drawn from the seed alone, what is an
inventory's own from the seed and the number of its tile: a tile's values depend neither on
other tiles nor on who makes it.

Quantities known ahead go on for A days after the last day of demand; nothing drawn for the past
depends on A.

Shape letters: n rows of a tile, T days of demand, A days ahead of them, C categories,
W warehouses, R regions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.data.draws import Draws
from pipeline.data.schema import inventory_ids
from pipeline.data.synthetic.parameters import (
    CATEGORIES,
    DISPERSION_MEDIAN,
    DISPERSION_SIGMA,
    EVENTS_PER_YEAR,
    INTERMITTENT_BELOW,
    INTERMITTENT_SHARE,
    MAX_MEAN,
    PROMOTION_DEPTHS,
    PROMOTION_RATE,
    PROMOTION_SLOT,
    REGIONS,
    SHOCK_BOTH,
    SHOCK_CATEGORY,
    SHOCK_PHI,
    SHOCK_WAREHOUSE,
    SKU_SHARE,
    TREND,
    WAREHOUSE_SHARE,
    WEEK_DEVIATION,
    YEAR_DEVIATION,
    RetailParameters,
)
from pipeline.data.terms import SupplyTerms

Array = npt.NDArray[Any]
F32 = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Market:
    """All that the inventories of a generated data set share.

    Args:
        seed: Everything is drawn from it.
        inventories: N.
        num_days: T.
        first_day: Calendar date of day 0.
        ahead_days: A.
        last_launch: Latest day on which a new product goes on sale.
        parameters, terms: Distributions.
        sku_prefix: What the skus' names begin with.
    """

    seed: int
    inventories: int
    num_days: int
    first_day: date
    ahead_days: int
    last_launch: int
    parameters: RetailParameters
    terms: SupplyTerms
    sku_prefix: str = "S"

    def tile(self, number: int, first: int, rows: int) -> tuple[dict[str, Any], dict[str, Array]]:
        """Static columns and quantities of the inventories [first, first + rows).

        Args:
            number: Number of the tile; with the seed it fixes all that is drawn here.

        Returns:
            Columns for `PartWriter.write`, each [n], and quantities, [n, T] or [n, T + A].
        """
        rng = self._rng(9, number)
        sku, warehouse = self._identify(np.arange(first, first + rows, dtype=np.int64))
        category = self._skus["category"][sku]
        p = self.parameters
        own = math.sqrt(1 - SKU_SHARE - WAREHOUSE_SHARE) * rng.standard_normal(rows)
        log_mean = math.log(p.median_demand) + p.log_sigma * (
            self._skus["level"][sku] + self._warehouse_level[warehouse] + own
        )
        price = self._skus["price"][sku]
        T, shape = self.num_days, (rows, self.num_days + self.ahead_days)
        promotion, depth = self._promotions(rng, self._rng(10, number), rows)
        log_mean_nt = self._log_mean(rng, log_mean, category, warehouse, depth[:, :T])
        demand = self._counts(rng, log_mean, log_mean_nt)
        on_sale = self._assortment(rng, self._rng(11, number), rows)
        demand *= on_sale[:, :T]
        known = self._observed(self._rng(12, number), demand)
        skus, names = [f"{self.sku_prefix}{s:07d}" for s in sku], [f"W{w:02d}" for w in warehouse]
        ids = inventory_ids(skus, names)
        static = {
            "inventory_id": ids,
            "sku": skus,
            "warehouse": names,
            "category": [CATEGORIES[c].name for c in category],
            "price": price,
            **self.terms.draw(Draws(self.seed, ids), price),
        }
        dynamic = {
            "demand": demand,
            "known": known,
            "on_sale": on_sale,
            "price": np.round(price[:, None] * (1 - depth), 2),
            "promotion": promotion,
            "event": np.broadcast_to(self._events[0], shape),
            "snap": self._snap[warehouse % REGIONS],
        }
        return static, dynamic

    @property
    def warehouses(self) -> int:
        """Number of warehouses W."""
        return self.parameters.warehouses or max(2, min(20, self.inventories // 50))

    def _rng(self, *key: int) -> np.random.Generator:
        return np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=key))

    def _identify(self, position: npt.NDArray[np.int64]) -> tuple[Array, Array]:
        """SKU and warehouse of positions in panel order: a bijection that scatters SKUs."""
        step, shift = self._scatter
        number = (step * position + shift) % self.inventories
        return number // self.warehouses, number % self.warehouses

    @cached_property
    def _scatter(self) -> tuple[int, int]:
        # Near the golden ratio, neighbours in panel order are far apart in the catalogue, and
        # every tile is an even sample of it. Coprime to N, so no inventory is met twice.
        n = self.inventories
        rng = self._rng(0)
        step = max(1, int(n * (0.618 + 0.01 * rng.random())))
        while math.gcd(step, n) != 1:
            step += 1
        return step, int(rng.integers(n))

    @cached_property
    def _skus(self) -> dict[str, Array]:
        """Category, demand level (share SKU_SHARE of the variance) and price of every SKU."""
        count = -(-self.inventories // self.warehouses)
        rng = self._rng(1)
        shares = np.array([c.share for c in CATEGORIES])
        category = rng.choice(len(CATEGORIES), size=count, p=shares / shares.sum()).astype(np.int8)
        level = rng.standard_normal(count)
        # Dear things sell slowly: log price falls with the level.
        spread = -0.25 * level + 0.55 * rng.standard_normal(count)
        price = np.array([c.price for c in CATEGORIES])[category] * np.exp(spread)
        price = np.maximum(np.round(price, 2), 0.05).astype(np.float32)
        scaled = (math.sqrt(SKU_SHARE) * level).astype(np.float32)
        return {"category": category, "level": scaled, "price": price}

    @cached_property
    def _warehouse_level(self) -> F32:
        level = math.sqrt(WAREHOUSE_SHARE) * self._rng(2).standard_normal(self.warehouses)
        return level.astype(np.float32)

    @cached_property
    def _events(self) -> tuple[Array, F32]:
        """Event flags [T + A] and effects on log demand [C, T + A]; they recur every year."""
        rng = self._rng(3)
        starts = rng.choice(365, size=EVENTS_PER_YEAR, replace=False) + 1
        lengths = rng.integers(1, 4, size=EVENTS_PER_YEAR)
        mean = np.array([c.event for c in CATEGORIES])
        effects = mean[:, None] + 0.15 * rng.standard_normal((len(CATEGORIES), EVENTS_PER_YEAR))
        flags = np.zeros(len(self._day_of_year), np.uint8)
        effect = np.zeros((len(CATEGORIES), len(flags)), np.float32)
        for start, length, lift in zip(starts, lengths, effects.T, strict=True):
            days = (self._day_of_year - start) % 365 < length
            flags[days] = 1
            effect[:, days] += lift[:, None]
        return flags, effect

    @cached_property
    def _snap(self) -> Array:
        """[R, T + A] flags: ten days of each month, others in each region."""
        rng = self._rng(4)
        month_day = np.array([day.day for day in self._dates])
        days = [rng.choice(15, size=10, replace=False) + 1 for _ in range(REGIONS)]
        return np.stack([np.isin(month_day, chosen) for chosen in days]).astype(np.uint8)

    @property
    def _dates(self) -> list[date]:
        days = range(self.num_days + self.ahead_days)
        return [self.first_day + timedelta(days=t) for t in days]

    @cached_property
    def _day_of_year(self) -> Array:
        """[T + A]"""
        return np.asarray([day.timetuple().tm_yday for day in self._dates])

    @cached_property
    def _weekday(self) -> Array:
        return (self.first_day.weekday() + np.arange(self.num_days)) % 7

    @cached_property
    def _shared_log_mean(self) -> F32:
        """[C, W, T]: category season, events, snap and shocks."""
        rng = self._rng(5)
        C, W, T = len(CATEGORIES), self.warehouses, self.num_days
        week = np.array([c.week for c in CATEGORIES])[:, self._weekday]
        peak = np.array([[c.peak] for c in CATEGORIES])
        angle = 2 * np.pi * (self._day_of_year[:T] - peak) / 365.25
        year = np.array([[c.year] for c in CATEGORIES]) * np.cos(angle)
        by_category = week + year + self._events[1][:, :T] + SHOCK_CATEGORY * _ar1(rng, (C,), T)
        snap = np.array([c.snap for c in CATEGORIES])
        regional = snap[:, None, None] * self._snap[np.arange(W) % REGIONS, :T]
        by_warehouse = SHOCK_WAREHOUSE * _ar1(rng, (W,), T)
        both = SHOCK_BOTH * _ar1(rng, (C, W), T)
        effect: F32 = (by_category[:, None] + by_warehouse + regional + both).astype(np.float32)
        return effect

    @cached_property
    def _basis(self) -> F32:
        """[10, T]: weekdays, yearly cosine and sine, time in years from the middle."""
        angle = 2 * np.pi * self._day_of_year[: self.num_days] / 365.25
        trend = (np.arange(self.num_days) - self.num_days / 2) / 365.25
        week = np.arange(7)[:, None] == self._weekday
        return np.vstack([week, np.cos(angle), np.sin(angle), trend]).astype(np.float32)

    def _log_mean(
        self, rng: np.random.Generator, level: Array, category: Array, warehouse: Array, depth: F32
    ) -> F32:
        n = len(level)
        deviation = np.array([WEEK_DEVIATION] * 7 + [YEAR_DEVIATION] * 2 + [TREND], np.float32)
        own = rng.standard_normal((n, len(deviation)), dtype=np.float32) * deviation
        log_mean: F32 = np.matmul(own, self._basis, dtype=np.float32)
        log_mean += level.astype(np.float32)[:, None]
        log_mean += self._shared_log_mean[category, warehouse]
        elasticity = 2.5 * np.exp(0.3 * rng.standard_normal((n, 1), dtype=np.float32))
        log_mean -= elasticity * np.log1p(-depth)
        return log_mean

    def _promotions(
        self, rng: np.random.Generator, ahead: np.random.Generator, n: int
    ) -> tuple[Array, F32]:
        """Flags and price cuts [n, T + A]: at most one promotion of 3 to 14 days in 28 days.

        Args:
            rng, ahead: Of the slots that hold days of demand, and of those after them.
        """
        days = self.num_days + self.ahead_days
        slots = -(-self.num_days // PROMOTION_SLOT)
        pieces = [_promotion_slots(rng, n, slots)]
        # One by one, so that more days ahead change none of those before them.
        coming = -(-days // PROMOTION_SLOT) - slots
        pieces += [_promotion_slots(ahead, n, 1) for _ in range(coming)]
        runs, start, length, depths = (np.hstack(piece) for piece in zip(*pieces, strict=True))
        day = np.arange(PROMOTION_SLOT, dtype=np.int16)
        start, length = start[:, :, None], length[:, :, None]
        flags = runs[:, :, None] & (day >= start) & (day < start + length)
        cut = np.where(flags, depths[:, :, None], np.float32(0))
        keep = slice(0, days)
        return flags.reshape(n, -1)[:, keep].view(np.uint8), cut.reshape(n, -1)[:, keep]

    def _counts(self, rng: np.random.Generator, level: Array, log_mean: F32) -> F32:
        """Negative binomial counts [n, T], zero-inflated for intermittent inventories."""
        n, T = log_mean.shape
        chance = np.where(level < math.log(INTERMITTENT_BELOW), INTERMITTENT_SHARE, 0.0)
        intermittent = np.flatnonzero(rng.random(n) < chance)
        active = rng.uniform(0.15, 0.6, size=(len(intermittent), 1)).astype(np.float32)
        log_mean[intermittent] -= np.log(active)
        spread = DISPERSION_SIGMA * rng.standard_normal((n, 1))
        shape = np.broadcast_to(DISPERSION_MEDIAN * np.exp(spread), (n, T))
        rate = rng.standard_gamma(shape)  # mean `shape`: Poisson given gamma is negative binomial
        rate *= np.minimum(np.exp(log_mean), MAX_MEAN) / shape
        demand = rng.poisson(rate).astype(np.float32)
        asked = rng.random((len(intermittent), T), dtype=np.float32) < active
        demand[intermittent] *= asked
        return demand

    def _assortment(self, rng: np.random.Generator, ends: np.random.Generator, n: int) -> Array:
        """[n, T + A] on_sale: 0 before a new product's launch, and from the planned end of others.

        An item ends in the second half of the days or in the four weeks after them, and four
        weeks after its launch at the earliest.
        """
        launch = rng.integers(1, self.last_launch + 1, size=n)
        launch[rng.random(n) >= self.parameters.new_share] = 0
        least = np.maximum(launch + 28, self.num_days // 2)
        end = least + (ends.random(n) * (self.num_days + 29 - least)).astype(np.int64)
        end[ends.random(n) >= self.parameters.end_share] = np.iinfo(np.int64).max
        day = np.arange(self.num_days + self.ahead_days)
        on_sale: Array = (day >= launch[:, None]) & (day < end[:, None])
        return on_sale.astype(np.uint8)

    def _observed(self, rng: np.random.Generator, demand: F32) -> Array:
        """[n, T] known: 0 on single days drawn at random, whose `demand` is set to 0."""
        known = np.ones(demand.shape, np.uint8)
        count = rng.binomial(demand.size, self.parameters.unknown_share)
        cells = rng.integers(demand.size, size=count)
        known.ravel()[cells] = 0
        demand.ravel()[cells] = 0
        return known


def _promotion_slots(rng: np.random.Generator, n: int, slots: int) -> tuple[Array, ...]:
    """Whether there is a promotion, its first day in the slot, its length and price cut, [n, S]."""
    runs = rng.random((n, slots)) < PROMOTION_RATE
    length = rng.integers(3, 15, size=(n, slots), dtype=np.int16)
    start = (rng.random((n, slots)) * (PROMOTION_SLOT - length)).astype(np.int16)
    depths = np.asarray(PROMOTION_DEPTHS, np.float32)[rng.integers(6, size=(n, slots))]
    return runs, start, length, depths


def _ar1(rng: np.random.Generator, shape: tuple[int, ...], num_days: int) -> Array:
    """[*shape, T] stationary AR(1) series with standard deviation 1."""
    noise = rng.standard_normal((num_days, *shape))
    noise[1:] *= math.sqrt(1 - SHOCK_PHI**2)
    for t in range(1, num_days):
        noise[t] += SHOCK_PHI * noise[t - 1]
    return np.moveaxis(noise, 0, -1)
