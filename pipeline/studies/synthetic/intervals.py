"""Intervals over seeds: Student's for a mean, Welch's for a difference."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Verdict = Literal["holds", "does not hold", "not separable", "not measured"]


@dataclass(frozen=True)
class Interval:
    """An estimate with its 95 % interval; NaN where there are too few seeds."""

    value: float
    low: float
    high: float

    def text(self, digits: int = 1, unit: str = "") -> str:
        """``4.2 [3.1, 5.3] %``."""
        value, low, high = (f"{x:.{digits}f}" for x in (self.value, self.low, self.high))
        return f"{value} [{low}, {high}]{unit and ' ' + unit}"

    @property
    def verdict(self) -> Verdict:
        """What it says about "the value is above 0"."""
        if math.isnan(self.value):
            return "not measured"
        if self.low > 0:
            return "holds"
        return "does not hold" if self.high < 0 else "not separable"


def mean_interval(values: Sequence[float]) -> Interval:
    """Mean of independent values (Student's t)."""
    known = np.asarray([v for v in values if math.isfinite(v)], dtype=float)
    if len(known) == 0:
        return Interval(math.nan, math.nan, math.nan)
    mean = float(known.mean())
    if len(known) == 1:
        return Interval(mean, math.nan, math.nan)
    half = float(stats.t.ppf(0.975, len(known) - 1) * known.std(ddof=1) / math.sqrt(len(known)))
    return Interval(mean, mean - half, mean + half)


def difference(a: Sequence[float], b: Sequence[float]) -> Interval:
    """Mean of ``a`` minus mean of ``b``, of independent values (Welch's t)."""
    x = np.asarray([v for v in a if math.isfinite(v)], dtype=float)
    y = np.asarray([v for v in b if math.isfinite(v)], dtype=float)
    if len(x) == 0 or len(y) == 0:
        return Interval(math.nan, math.nan, math.nan)
    value = float(x.mean() - y.mean())
    if len(x) < 2 or len(y) < 2:
        return Interval(value, math.nan, math.nan)
    vx, vy = x.var(ddof=1) / len(x), y.var(ddof=1) / len(y)
    if vx + vy == 0:
        return Interval(value, value, value)
    freedom = (vx + vy) ** 2 / (vx**2 / (len(x) - 1) + vy**2 / (len(y) - 1))
    half = float(stats.t.ppf(0.975, freedom) * math.sqrt(vx + vy))
    return Interval(value, value - half, value + half)


def combined(verdicts: Sequence[Verdict]) -> Verdict:
    """Of a claim about several cases: it holds if it does in all, fails if in any it fails."""
    known = [verdict for verdict in verdicts if verdict != "not measured"]
    if not known:
        return "not measured"
    if "does not hold" in known:
        return "does not hold"
    return "holds" if all(verdict == "holds" for verdict in known) else "not separable"


def paired_difference(cost: NDArray[np.float64], other: NDArray[np.float64]) -> Interval:
    """Relative difference of two mean costs on the same trajectories, in percent.

    The ratio of means is linearised (delta method): over hundreds of trajectories the interval
    agrees with a bootstrap, at no cost.

    Args:
        cost, other: [N] of the same trajectories; a pair with a NaN is left out.
    """
    known = np.isfinite(cost) & np.isfinite(other)
    cost, other = cost[known], other[known]
    mean = float(other.mean()) if len(other) else 0.0
    if len(cost) < 2 or mean == 0.0:
        return Interval(math.nan, math.nan, math.nan)
    ratio = float(cost.mean()) / mean
    error = float((cost - ratio * other).std(ddof=1)) / (abs(mean) * math.sqrt(len(cost)))
    reach = float(stats.norm.ppf(0.975)) * error
    return Interval(*(100 * (x - 1) for x in (ratio, ratio - reach, ratio + reach)))
