"""How good imputed demand is: days whose demand was observed are cut short, imputed and compared.

A day is cut as real days are, by a shelf that runs empty. Its stock, in shares of the expected
demand, is that of a random day with a real stockout and about the same expected demand; if the
day's demand reaches it, the hour in which it does is drawn (pieces fall into the hours by the
profile), and nothing is known of the rest. So a day is cut the likelier, and the earlier, the more
was asked for. Figures are weighted such that levels of demand and hours without stock are as
frequent as among real stockouts. The law is fitted again with these days cut short: it never sees
what they are judged by.

What remains is that days which were observed are days on which the real stock sufficed: their
demand is low for what was expected. Where stock hardly ever ran out they are nearly all days, and
the figures of those inventories (`by days in stock`) say most about the law.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from envs.errors import DataError
from pipeline.data.stockouts.days import CLOSED, HOURS, StockoutDays, bits, emptied
from pipeline.data.stockouts.law import DemandLaw, Prediction

Array = npt.NDArray[Any]

SHARE = 0.1
"""Of the observed days that are candidates; about half of them are cut."""
LEVELS = (0.35, 0.5, 0.7, 1.0, 1.5, 2.5, 4.0)
"""Ends of classes of expected demand, units a day."""
SHUT = (3, 6, 9, 12)
"""Ends of classes of hours without stock."""
IN_STOCK = (0.5, 0.6, 0.7, 0.8)
"""Ends of classes of the share of an inventory's days without a stockout."""
INTERVAL = (0.1, 0.9)


@dataclass(frozen=True)
class Cut:
    """Days with some of them, M, cut short."""

    days: StockoutDays
    row: Array
    """[M]"""
    column: Array
    """[M]"""
    demand: Array
    """[M] units, that were asked for."""


@dataclass(frozen=True)
class Figures:
    """Of some days that were cut."""

    name: str
    days: int
    nothing: float
    """Mean absolute error, units, of taking the sales for the demand."""
    error: float
    """Mean absolute error of the predictive mean."""
    ratio: float
    """The second over the first."""
    bias: float
    """Mean error of the predictive mean, as a share of the demand that was not seen."""
    coverage: float
    """Share within the 80 % interval. Its ends are whole pieces: a demand that equals one counts
    with the probability that makes the interval one of exactly 80 %."""
    coverage_closed: float
    """The same with both ends counted in, where the interval holds more than 80 %."""


@dataclass(frozen=True)
class CheckReport:
    """All figures of a check."""

    all: Figures
    by_demand: list[Figures]
    by_hours: list[Figures]
    by_days_in_stock: list[Figures]

    def to_json(self) -> str:
        """With all fields by name."""
        return json.dumps(asdict(self), indent=2) + "\n"

    def describe(self) -> str:
        """A table for the terminal."""
        head = f"{'':<26}{'days':>9}{'nothing':>9}{'error':>8}{'ratio':>7}{'bias':>7}{'in 80 %':>9}"
        parts = {
            "": [self.all],
            "expected demand": self.by_demand,
            "hours without stock": self.by_hours,
            "days in stock": self.by_days_in_stock,
        }
        lines = [head]
        for title, rows in parts.items():
            lines += [title] if title else []
            lines += [
                f"  {f.name:<24}{f.days:>9,}{f.nothing:>9.3f}{f.error:>8.3f}{f.ratio:>7.2f}"
                f"{f.bias:>+7.0%}{f.coverage:>9.1%}"
                for f in rows
            ]
        return "\n".join(lines)


def imputation_check(
    days: StockoutDays, fit: Callable[[StockoutDays], DemandLaw], seed: int
) -> CheckReport:
    """Cuts observed days short, fits the law again, and compares what it imputes.

    Args:
        days: With real stockouts.
        fit: Fits the law.
        seed: Of the days that are cut.

    Raises:
        DataError: There are no stockouts, or too few observed days.
    """
    generator = np.random.default_rng(seed)
    first = fit(days)
    cut = cut_short(days, first, generator)
    found = _of(fit(cut.days).predict(cut.days), cut)
    level = np.digitize(first.predict(days).rate, LEVELS)
    shut = np.digitize(bits(days.shut).sum(-1), SHUT)
    own_level, own_shut = level[cut.row, cut.column], _shut(cut)
    weight = _matching(level * 8 + shut, _interrupted(days), own_level * 8 + own_shut)
    in_stock = np.digitize((days.shut == 0).mean(1), IN_STOCK)[cut.row]
    judged = _Judged(cut, found, weight, generator)
    return CheckReport(
        judged.figures("all", np.ones(len(weight), bool)),
        judged.classes(own_level, LEVELS, "units a day"),
        judged.classes(own_shut, SHUT, "hours"),
        judged.classes(in_stock, IN_STOCK, "of the days"),
    )


def cut_short(days: StockoutDays, law: DemandLaw, generator: np.random.Generator) -> Cut:
    """Cuts observed days where a stock, drawn from those of real stockouts, runs out."""
    found = law.predict(days)
    level = np.digitize(found.rate, LEVELS)
    stopped = _interrupted(days)
    row, column = np.nonzero((days.shut == 0) & (generator.random(days.shut.shape) < SHARE))
    stock = np.full(len(row), np.inf)
    for each in np.unique(level[row, column]):
        own, real = level[row, column] == each, stopped & (level == each)
        if real.any():
            stock[own] = generator.choice((days.sales / found.rate)[real], int(own.sum()))
    asked = np.rint(days.sales[row, column] / law.grain)
    stock = np.maximum(np.rint(stock * found.rate[row, column] / law.grain), 1.0)
    runs_out = asked >= stock
    row, column, asked, stock = (x[runs_out] for x in (row, column, asked, stock))
    # The hour of the stock's last piece among all that were asked for at times like the profile's.
    moment = generator.beta(stock, asked - stock + 1.0)
    ends = law.profile.shares[days.group[row], days.holiday[row, column]].cumsum(1)
    first = _first_shut(moment, ends)
    cut = (first > 0) & (first < HOURS)
    row, column, stock, first = (x[cut] for x in (row, column, stock, first))
    if not len(row):
        raise DataError(
            "days", 0, "Use data with stockouts, and with more days without one.",
            "could be cut short",
        )  # fmt: skip
    demand = days.sales[row, column]
    sales, mask = days.sales.copy(), days.mask.copy()
    sales[row, column] = np.minimum(stock * law.grain, demand)
    mask[row, column] = (2 * CLOSED + 1) & ~((1 << first) - 1)
    return Cut(replace(days, sales=sales, mask=mask), row, column, demand)


def _first_shut(moment: Array, ends: Array) -> Array:
    """[M] the hour from which on there is no stock: the one that begins nearest to the moment.

    Args:
        moment: [M] when stock ran out, as a share of the day's demand.
        ends: [M, H] the share of the demand up to the end of each hour.
    """
    hour = np.minimum((ends < moment[:, None]).sum(1), HOURS - 1)
    rows = np.arange(len(hour))
    begin = np.where(hour > 0, ends[rows, hour - 1], 0.0)
    part = (moment - begin) / np.maximum(ends[rows, hour] - begin, 1e-12)
    found: Array = (hour + (part >= 0.5)).astype(np.int64)
    return found


def _interrupted(days: StockoutDays) -> Array:
    """[N, T] bool: stock ran out in an hour of business."""
    found: Array = (days.shut > 0) & (days.shut < CLOSED) & (emptied(days.mask) > 0)
    return found


def _shut(cut: Cut) -> Array:
    """[M] class of hours without stock."""
    found: Array = np.digitize(bits(cut.days.shut[cut.row, cut.column]).sum(-1), SHUT)
    return found


def _of(found: Prediction, cut: Cut) -> Prediction:
    """[M] only the days that were cut."""
    names = ("sales", "open_share", "rate", "shape")
    at = {name: getattr(found, name)[cut.row, cut.column] for name in names}
    return replace(found, **at)


def _matching(cell: Array, real: Array, own: Array) -> Array:
    """[M] weights that make cells as frequent as among the ``real`` days."""
    size = int(max(cell.max(), own.max())) + 1
    wanted, there = np.bincount(cell[real], minlength=size), np.bincount(own, minlength=size)
    weight: Array = (wanted / np.maximum(there, 1))[own]
    return weight


class _Judged:
    """Imputed beside real demand of M days."""

    def __init__(
        self, cut: Cut, found: Prediction, weight: Array, generator: np.random.Generator
    ) -> None:
        self._weight = weight
        self._unseen = cut.demand - found.sales
        self._error = found.mean() - cut.demand
        less, most = found.below(cut.demand)
        place = less + (most - less) * generator.random(len(less))
        self._inside = (place > INTERVAL[0]) & (place < INTERVAL[1])
        low, high = (found.quantile(level) for level in INTERVAL)
        slack = 1e-6 * found.grain
        self._closed = (cut.demand >= low - slack) & (cut.demand <= high + slack)

    def figures(self, name: str, which: Array) -> Figures:
        weight = self._weight[which]

        def mean(values: Array) -> float:
            return float((weight * values[which]).sum() / weight.sum())

        nothing, error = mean(self._unseen), mean(np.abs(self._error))
        return Figures(
            name=name,
            days=int(which.sum()),
            nothing=nothing,
            error=error,
            ratio=error / max(nothing, 1e-12),
            bias=mean(self._error) / max(nothing, 1e-12),
            coverage=mean(self._inside.astype(float)),
            coverage_closed=mean(self._closed.astype(float)),
        )

    def classes(self, number: Array, ends: tuple[float, ...], unit: str) -> list[Figures]:
        """Figures of each class that has days with a weight."""
        names = [f"below {ends[0]:g} {unit}"]
        names += [f"{a:g} to {b:g} {unit}" for a, b in pairwise(ends)]
        names += [f"from {ends[-1]:g} {unit}"]
        return [
            self.figures(name, which)
            for k, name in enumerate(names)
            if self._weight[which := number == k].sum() > 0
        ]
