"""Order-up-to a * forecast + k * error, (a, k) by class of inventories: what a planner would tune.

Classes are bands of the critical ratio, of intermittency (share of days without demand), of the
review period and of the lead time, with as many inventories in each. Every (a, k) of a grid
is played once on training inventories. A class takes the pair with the least cost, where its
cost per inventory is shrunk towards that of the coarser class that it is a part of, and that
one's towards the next coarser one's: few inventories decide little on their own.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.interpolate import RectBivariateSpline
from torch import Tensor

from envs.objective import Objective
from envs.state import Observation, Scenario
from pipeline.baselines.base import PER_CLASS, DayRule
from pipeline.evaluation.play import play_policy, play_scenario
from pipeline.features.build import FEATURES
from pipeline.policies.order_up_to import (
    FORECAST,
    ForecastErrorRule,
    feature,
    order_up_to_given_level,
    tuning_tiles,
)
from pipeline.scenarios.source import ScenarioSource

BANDS = {"log_cost_ratio": 8, "zero_share": 3, "review_period": 4, "lead_time": 3}
"""Feature -> most bands, from the one that matters most to the one that does least: a coarser
class leaves out the last ones. (The logarithm of b / h keeps critical ratios near 1 apart.)"""
FORECAST_GRID = (0.3, 0.6, 0.9, 1.3, 1.8, 2.5, 3.5)
ERROR_GRID = (-0.5, 0.0, 0.5, 1.1, 1.8, 2.8, 4.2, 6.0)
"""Grid of a and k; between its points costs are interpolated."""
FINE = 12
"""Parts that a step of the grid is divided into."""
PRIOR_INVENTORIES = 20.0
"""A coarser class counts as so many inventories of the finer one."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Classes:
    """Bands of features as of a day."""

    cuts: Mapping[str, Sequence[float]]
    """Feature of :data:`BANDS` -> values between its bands, ascending."""

    @classmethod
    def of_sample(cls, columns: Mapping[str, Tensor]) -> Classes:
        """Bands with (nearly) as many of the sample's inventories each; equal values together."""
        return cls({name: _cuts(columns[name].numpy(), bands) for name, bands in BANDS.items()})

    @property
    def sizes(self) -> list[int]:
        """Bands of each feature."""
        return [len(cuts) + 1 for cuts in self.cuts.values()]

    def of(self, columns: Mapping[str, Tensor]) -> Tensor:
        """[N] class, from the features [N] by name."""
        result = torch.zeros(len(next(iter(columns.values()))), dtype=torch.long)
        for name, cuts in self.cuts.items():
            bounds = torch.tensor(cuts, dtype=torch.float32)
            band = torch.bucketize(columns[name].contiguous(), bounds)
            result = result * (len(cuts) + 1) + band
        return result


def _cuts(values: NDArray[np.float32], bands: int) -> list[float]:
    """Half-way between two values that occur, where the share below is next to a quantile."""
    found, count = np.unique(values.astype(np.float64), return_counts=True)
    below = np.cumsum(count)[:-1] / len(values)
    if not len(below):
        return []
    at = {int(np.abs(below - share).argmin()) for share in np.arange(1, bands) / bands}
    return [float((found[i] + found[i + 1]) / 2) for i in sorted(at)]


@dataclass(frozen=True)
class OrderUpToPerClass(ForecastErrorRule, DayRule):
    """Order-up-to a * forecast + k * error with a pair (a, k) for every class."""

    name = PER_CLASS
    title = "Order-up-to per class"
    prose = "class-tuned order-up-to"

    classes: Classes
    forecast_factors: Sequence[float]
    """[classes] a."""
    error_factors: Sequence[float]
    """[classes] k."""

    def weights(self, observation: Observation) -> Tensor:
        """[N, 2] (a, k) of each inventory's class as of the day."""
        table = torch.tensor([self.forecast_factors, self.error_factors]).T
        return table[self.classes.of({name: feature(observation, name) for name in BANDS})]

    @classmethod
    def tune(cls, source: ScenarioSource, objective: Objective) -> OrderUpToPerClass:
        """The pairs with the least (shrunk) cost, by the objective, on training inventories."""
        costs, columns = [], []
        for tile in tuning_tiles(source, "train"):
            scenario = source.load("train", tile)
            costs.append(_grid_costs(source, scenario, objective))
            columns.append(scenario.features[0])
        first = torch.cat(columns)
        sample = {name: first[:, FEATURES.index(name)] for name in BANDS}
        classes = Classes.of_sample(sample)
        shrunk = shrunk_costs(
            np.concatenate(costs, axis=1), classes.of(sample).numpy(), classes.sizes
        )
        pairs = [_least(cost) for cost in shrunk]
        return cls(classes, [a for a, _ in pairs], [k for _, k in pairs])


def _grid_costs(
    source: ScenarioSource, scenario: Scenario, objective: Objective
) -> NDArray[np.float32]:
    """[pairs of the grid, N] each inventory's cost; NaN where no day is counted."""
    forecast = scenario.basis[..., FORECAST]
    error = scenario.features[..., FEATURES.index("forecast_error")] * scenario.scale
    # The levels are all that the rule sees: no feature is copied day by day.
    blind = replace(scenario, features=scenario.features[..., :0])
    start = source.evaluation_start(scenario)
    costs = []
    for a in FORECAST_GRID:
        for k in ERROR_GRID:
            level = torch.add(a * forecast, error, alpha=k).unsqueeze(-1)
            played = play_policy(order_up_to_given_level)
            metrics = play_scenario(replace(blind, basis=level), played, start)
            costs.append(objective.of_inventories(metrics, scenario).numpy())
    return np.stack(costs)


def shrunk_costs(
    costs: NDArray[np.floating], class_of: NDArray[np.int64], sizes: Sequence[int]
) -> Array:
    """Mean cost per inventory of each class, shrunk towards the coarser classes.

    Args:
        costs: [pairs, N]; inventories with a NaN are left out.
        class_of: [N], numbered with the last of the features running fastest.
        sizes: Bands of each feature; leaving out the last one gives the next coarser classes.

    Returns:
        [classes, pairs]; a class without inventories has its coarser class's.
    """
    known = np.isfinite(costs).all(0)
    costs, class_of = costs[:, known], class_of[known]
    classes = int(np.prod(sizes))
    count = np.bincount(class_of, minlength=classes).astype(np.float64)
    total = np.stack([np.bincount(class_of, row, classes) for row in costs], axis=1)
    # From all inventories to the classes themselves.
    mean: Array = total.sum(0, keepdims=True) / max(count.sum(), 1.0)
    for depth in range(1, len(sizes) + 1):
        coarse = int(np.prod(sizes[:depth]))
        prior = np.repeat(mean, sizes[depth - 1], axis=0)
        own = total.reshape(coarse, -1, total.shape[1]).sum(1)
        n = count.reshape(coarse, -1).sum(1)[:, None]
        mean = (own + PRIOR_INVENTORIES * prior) / (n + PRIOR_INVENTORIES)
    return mean


def _least(cost: Array) -> tuple[float, float]:
    """The pair with the least cost [pairs], between the points next to the grid's best one."""
    surface = cost.reshape(len(FORECAST_GRID), len(ERROR_GRID))
    best = np.unravel_index(surface.argmin(), surface.shape)
    finer = [_between(grid, int(at)) for grid, at in zip(_GRIDS, best, strict=True)]
    # Logarithms: costs rise steeply where stock is missing, and a spline must not swing there.
    logarithm = np.log(np.maximum(surface, 1e-9 * max(float(surface.max()), 1e-12)))
    values = RectBivariateSpline(*_GRIDS, logarithm)(*finer)
    a, k = np.unravel_index(values.argmin(), values.shape)
    return round(float(finer[0][a]), 4), round(float(finer[1][k]), 4)


_GRIDS = (np.array(FORECAST_GRID), np.array(ERROR_GRID))


def _between(grid: Array, at: int) -> Array:
    """Points from the grid point before ``at`` to the one after it."""
    ends = grid[max(at - 1, 0) : at + 2]
    return np.unique(
        np.concatenate([np.linspace(x, y, FINE + 1) for x, y in itertools.pairwise(ends)])
    )
