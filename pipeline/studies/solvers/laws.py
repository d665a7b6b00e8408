"""Distributions of demand: scipy's, for a day and for the sum of several days."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from envs.errors import ScenarioError
from envs.problems.classical import DemandLaw, Geometric, Poisson

NEGLIGIBLE = 1e-15
"""Probability of demand that is left out of a table of probabilities."""


def total_demand(law: DemandLaw, days: int) -> Any:
    """Demand of several days as a frozen scipy distribution.

    Truncation of Normal demand at 0 is ignored, as in the closed forms of the literature.
    """
    match law:
        case Poisson(mean):
            return stats.poisson(days * mean)
        case Geometric():
            return stats.nbinom(days, law.success)
        case _:
            return stats.norm(days * law.mean, np.sqrt(days) * law.std)


def daily_probabilities(law: DemandLaw) -> NDArray[np.float64]:
    """P(demand of a day = 0, 1, 2, ...), up to a negligible tail.

    Raises:
        ScenarioError: Demand is continuous.
    """
    if not isinstance(law, Poisson | Geometric):
        raise ScenarioError(
            "demand", type(law).__name__, "Use Poisson or Geometric demand for an exact solution, "
            "or search_by_simulation().", "is continuous",
        )  # fmt: skip
    day = total_demand(law, 1)
    probabilities: NDArray[np.float64] = day.pmf(np.arange(int(day.isf(NEGLIGIBLE)) + 2))
    probabilities /= probabilities.sum()
    return probabilities


def expected_leftover(law: DemandLaw, days: int, level: float) -> float:
    """E[max(level - D, 0)] with D the demand of ``days`` days.

    Normal (Zipkin 2000, Foundations of Inventory Management, C.2.5): sigma (z Phi(z) + phi(z)).
    On whole numbers: the sum of P(D <= k) over k < level.

    A standard Normal leaves phi(0) = 0.3989 of its mean; a Poisson demand of mean 1 is 0 with
    probability 1 / e, and then a stock of 1 is left.

    >>> from envs.problems.classical import Normal
    >>> round(expected_leftover(Normal(0.0, 1.0), 1, 0.0), 4)
    0.3989
    >>> round(expected_leftover(Poisson(1.0), 1, 1.0), 4)
    0.3679
    """
    demand = total_demand(law, days)
    if isinstance(law, Poisson | Geometric):
        whole = int(np.floor(level))
        below = float(demand.cdf(np.arange(whole)).sum()) if whole > 0 else 0.0
        # Between whole levels the expectation is linear.
        return below + (level - whole) * float(demand.cdf(whole))
    std = np.sqrt(days) * law.std
    z = (level - days * law.mean) / std
    return float(std * (z * stats.norm.cdf(z) + stats.norm.pdf(z)))


def expected_cost(
    law: DemandLaw, days: int, level: float, shortage_cost: float, holding_cost: float
) -> float:
    """E[h max(level - D, 0) + b max(D - level, 0)] with D the demand of ``days`` days.

    Poisson demand of mean 1 and a stock of 1: 1 / e is left and 1 / e is short.

    >>> round(expected_cost(Poisson(1.0), 1, 1.0, 3.0, 1.0), 4)
    1.4715
    """
    leftover = expected_leftover(law, days, level)
    return holding_cost * leftover + shortage_cost * (days * law.mean - level + leftover)
