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

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from envs.problems.settings import SETTING1_LOW, SETTING1_SPREAD, feature_of, study_scenario
from envs.rollout import Decision
from envs.state import Observation
from pipeline.policies.order_up_to import order_up_to
from pipeline.studies.solvers.solution import Solution

Array = NDArray[np.float64]

_PROBLEM = study_scenario(torch.zeros(len(SETTING1_LOW), 1, dtype=torch.float64))
"""The problem without its demand: costs, review days and counted days."""
ORDER_DAYS: list[int] = _PROBLEM.review[:, 0].nonzero()[:, 0].tolist()
GRID = np.arange(-100, 101)
"""Net inventories that the recursions cover, units."""


@dataclass(frozen=True)
class LevelPerReview:
    """Order up to a level of its own on each review day of setting 1.

    Attributes:
        levels: [16] units by review, day // 2, which the observation's feature shows.
    """

    levels: Tensor

    def __call__(self, observation: Observation) -> Decision:
        """A :data:`~envs.rollout.Policy`."""
        review = feature_of("setting1", observation.features[:, 0]).round().long()
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
    by_review = torch.full((len(SETTING1_LOW) // 2 + 1,), -torch.inf)
    for day, level in levels.items():
        by_review[day // 2] = level
    return Solution(
        LevelPerReview(by_review),
        expected_cost(levels),
        parameters={f"level_{day}": level for day, level in levels.items()},
    )


def expected_cost(levels: Mapping[int, int]) -> float:
    """Expected cost per counted day of order-up-to levels by day, under the true law.

    Follows the distribution of the net inventory from day to day.
    """
    law, counted = known_law(), _counted_days()
    stock = np.zeros(len(GRID))
    stock[_at(0)] = 1.0
    total = 0.0
    ordered: Array | None = None
    for day, demand in enumerate(law):
        if ordered is not None:
            stock, ordered = ordered, None  # yesterday's order has arrived
        if day in levels:
            # No order is on its way on a review day: stock and position are the same.
            short = levels[day] > GRID
            ordered = np.where(short, 0.0, stock)
            ordered[_at(levels[day])] += stock[short].sum()
            ordered = _after_demand(ordered, demand)
        stock = _after_demand(stock, demand)
        if counted[day]:
            total += float(_day_cost() @ stock)
    return total / float(counted.sum())


def _best_levels(law: Array) -> dict[int, int]:
    levels: dict[int, int] = {}
    to_go = np.zeros(len(GRID))
    for day in reversed(ORDER_DAYS):
        second_day = _expected(_day_cost(), law[day + 2])
        value = _expected(_expected(_day_cost() + second_day + to_go, law[day + 1]), law[day])
        best = int(GRID[value.argmin()])
        levels[day] = best
        # Below the level everyone orders up to it; above it nobody orders.
        to_go = np.where(best > GRID, value[_at(best)], value)
    return dict(sorted(levels.items()))


def _at(stock: int) -> int:
    """Place of a net inventory on the grid."""
    return stock - int(GRID[0])


def _counted_days() -> NDArray[np.bool_]:
    assert _PROBLEM.counted is not None
    counted: NDArray[np.bool_] = _PROBLEM.counted[:, 0].numpy()
    return counted


def _day_cost() -> Array:
    """Cost of a day that ends with each net inventory of the grid."""
    shortage, holding = float(_PROBLEM.shortage_cost[0]), float(_PROBLEM.holding_cost[0])
    return np.where(GRID < 0, -shortage * GRID, holding * GRID)


def _expected(value: Array, demand: Array) -> Array:
    """E[value(x - d)] for every x of the grid; beyond its lower end the line goes on."""
    below = value[0] + (value[1] - value[0]) * np.arange(-len(demand), 0)
    extended = np.concatenate((below, value))
    return np.convolve(extended, demand)[len(demand) : len(demand) + len(value)]


def _after_demand(stock: Array, demand: Array) -> Array:
    """Distribution of x - d; what falls below the grid is kept at its lower end."""
    result = np.zeros_like(stock)
    for units in np.flatnonzero(demand).tolist():
        result[: len(stock) - units] += demand[units] * stock[units:]
        result[0] += demand[units] * stock[:units].sum()
    return result
