"""Best-so-far loss against the number of configurations tried, in expectation over orders."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.evaluation.intervals import Interval

Array = NDArray[np.float64]
RESAMPLES = 2000


@dataclass(frozen=True)
class Tried:
    """The configurations of one method that finished (seed 0)."""

    validation: Array
    test: Array

    @classmethod
    def of(cls, trials: pd.DataFrame, setting: str, method: str) -> Tried:
        """From :mod:`~pipeline.studies.synthetic.measuring.measure`'s trials."""
        rows = trials[
            (trials["setting"] == setting)
            & (trials["method"] == method)
            & (trials["seed"] == 0)
            & (trials["status"] == "finished")
        ]
        rows = rows.dropna(subset=["validation", "test"])
        return cls(rows["validation"].to_numpy(float), rows["test"].to_numpy(float))


def best_so_far(validation: Array, values: Array) -> Array:
    """Expected value of the configuration that validates best among the first k, k = 1..n.

    The mean over all n! orders, in closed form: the r-th best of n is the best of k drawn
    ones with probability C(n - r, k - 1) / C(n, k).

    Args:
        validation: [n] what is chosen by, less is better.
        values: [n] what is averaged, such as the test loss.
    """
    n = len(validation)
    ranked = values[np.argsort(validation, kind="stable")]
    return np.array([_shares(n, k) @ ranked for k in range(1, n + 1)])


@cache
def _shares(n: int, k: int) -> Array:
    """[n] probability of the r-th best of n to be the best of k."""
    return np.array([math.comb(n - r, k - 1) / math.comb(n, k) for r in range(1, n + 1)])


def regret(tried: Tried, k: int) -> float:
    """Expected test loss after k configurations relative to that after all, in percent."""
    n = len(tried.test)
    ranked = tried.test[np.argsort(tried.validation, kind="stable")]
    return 100.0 * float(_shares(n, min(k, n)) @ ranked / ranked[0] - 1.0)


def regret_difference(none: Tried, base: Tried, k: int, seed: int = 0) -> Interval:
    """Regret of NONE minus that of BASE after k configurations, bootstrap over configurations."""
    if min(len(none.test), len(base.test)) < 3:
        return Interval(math.nan, math.nan, math.nan)
    generator = np.random.default_rng(seed)

    def resampled(tried: Tried) -> Tried:
        pick = generator.integers(0, len(tried.test), len(tried.test))
        return Tried(tried.validation[pick], tried.test[pick])

    drawn = [regret(resampled(none), k) - regret(resampled(base), k) for _ in range(RESAMPLES)]
    low, high = np.percentile(drawn, (2.5, 97.5))
    return Interval(regret(none, k) - regret(base, k), float(low), float(high))


def needed_to_beat(base: Tried, none: Tried) -> int | None:
    """Configurations of BASE after which its expected test loss is below NONE's after all."""
    if min(len(none.test), len(base.test)) == 0:
        return None
    target = best_so_far(none.validation, none.test)[-1]
    below = np.flatnonzero(best_so_far(base.validation, base.test) < target)
    return int(below[0]) + 1 if len(below) else None
