"""Setting 1 of the study by dynamic programming: the least expected cost of anyone.

Orders on days t = 2, 4, ..., 28 arrive a day later and govern days t + 1 and t + 2. With
y = net inventory + order on day t, the stock at the end of these days is y minus the demand of
two and of three days, so

    G_t(y) = E[c(y - d_t - d_{t+1}) + c(y - d_t - d_{t+1} - d_{t+2}) + f_{t+2}(y - d_t - d_{t+1})]
    f_t(x) = min over y >= x of G_t(y),        f_30 = 0,        c(x) = h x+ + b x-.

G_t is convex, so the best order lifts the net inventory to the level that minimises it (an
order-up-to level per day). The limit of 100 units on an order never binds near the optimum.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from envs.demand import SETTING1_LOW, SETTING1_SPREAD
from envs.rollout import Decision
from envs.state import Observation
from pipeline.baselines import order_up_to
from pipeline.solvers.solution import Solution, as_levels

Array = NDArray[np.float64]

SHORTAGE_COST, HOLDING_COST = 0.9, 0.1
ORDER_DAYS = range(2, 29, 2)
COUNTED_DAYS = 28
GRID = np.arange(-100, 101)
"""Net inventories that the recursion covers, units."""


@dataclass(frozen=True)
class LevelPerReview:
    """Order up to a level of its own on each review day of setting 1.

    Attributes:
        levels: [16] units by review, which is the feature that the observation shows (day // 2).
    """

    levels: Tensor

    def __call__(self, observation: Observation) -> Decision:
        """A :data:`~envs.rollout.Policy`."""
        review = observation.features[:, 0].round().long()
        return order_up_to(self.levels.to(observation.scale.dtype)[review], observation)


def known_law() -> Array:
    """[31, D] probability of each demand on each day: low_t plus U{0..4}."""
    law = np.zeros((len(SETTING1_LOW), max(SETTING1_LOW) + SETTING1_SPREAD + 1))
    for day, low in enumerate(SETTING1_LOW):
        law[day, low : low + SETTING1_SPREAD + 1] = 1.0 / (SETTING1_SPREAD + 1)
    return law


def empirical_law(demand: Tensor) -> Array:
    """[31, D] share of the trajectories with each demand on each day.

    Args:
        demand: [31, N] whole units.
    """
    whole = demand.round().long()
    counts = torch.nn.functional.one_hot(whole).sum(1)
    return (counts / demand.shape[1]).double().numpy()


def solve_setting1(law: Array | None = None) -> Solution:
    """The best levels for a law of demand, and what they cost under the true one.

    Args:
        law: [31, D]; default: the true law. The study's second reference uses the empirical law
            of its training trajectories.

    Returns:
        The policy, its expected cost per counted day under the true law, and the levels by day
        as ``level_2``, ..., ``level_28``.
    """
    levels = _best_levels(known_law() if law is None else law)
    cost = expected_cost(levels)
    policy = LevelPerReview(as_levels({day // 2: level for day, level in levels.items()}, 16))
    return Solution(policy, cost, parameters={f"level_{d}": v for d, v in levels.items()})


def expected_cost(levels: dict[int, int]) -> float:
    """Expected cost per counted day of order-up-to levels, under the true law.

    Follows the distribution of the net inventory from day to day.
    """
    law = known_law()
    stock = np.zeros(len(GRID))
    stock[-GRID[0]] = 1.0
    total, arriving = 0.0, {}
    for day in range(len(law)):
        if day - 1 in arriving:
            # Yesterday's order lifted the position then; today it lifts the stock.
            stock = arriving.pop(day - 1)
        if day in levels:
            lifted = np.where(GRID < levels[day], stock, 0.0)
            after = stock - lifted
            after[levels[day] - GRID[0]] += lifted.sum()
            arriving[day] = _after_demand(after, law[day])
        stock = _after_demand(stock, law[day])
        if day > ORDER_DAYS[0]:
            total += float(_day_cost() @ stock)
    return total / COUNTED_DAYS


def _best_levels(law: Array) -> dict[int, int]:
    levels: dict[int, int] = {}
    to_go = np.zeros(len(GRID))
    for day in reversed(ORDER_DAYS):
        third = _expected(_day_cost(), law[day + 2])
        governed = _day_cost() + third + to_go
        value = _expected(_expected(governed, law[day + 1]), law[day])
        best = int(value[-GRID[0] :].argmin())
        levels[day] = best
        # Below the level everyone orders up to it; above, nothing.
        to_go = np.where(GRID < best, value[best - GRID[0]], value)
    return dict(sorted(levels.items()))


def _day_cost() -> Array:
    """[len(GRID)] cost of a day that ends with each net inventory."""
    return np.where(GRID < 0, -SHORTAGE_COST * GRID, HOLDING_COST * GRID)


def _expected(value: Array, demand: Array) -> Array:
    """E[value(x - d)] for every x of the grid; beyond its lower end the line goes on."""
    low = np.arange(-len(demand), 0)
    extended = np.concatenate((value[0] + (value[1] - value[0]) * low, value))
    return np.convolve(extended, demand)[len(demand) : len(demand) + len(value)]


def _after_demand(stock: Array, demand: Array) -> Array:
    """Distribution of x - d; what falls below the grid is kept at its lower end."""
    result = np.zeros_like(stock)
    for units in np.flatnonzero(demand).tolist():
        result[: len(stock) - units] += demand[units] * stock[units:]
        result[0] += demand[units] * stock[:units].sum()
    return result
