"""Two figures per class of inventories, tuned by playing every pair of a grid once.

A class takes the pair with the least cost, shrunk towards the coarser classes', between the
points next to the grid's best one.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.interpolate import RectBivariateSpline
from torch import Tensor

from envs.objective import Objective
from envs.rollout import Policy
from envs.state import Scenario
from pipeline.baselines.classes import BANDS, Classes, shrunk_costs
from pipeline.evaluation.play import PolicyFor, play_scenario
from pipeline.features.build import FEATURES
from pipeline.policies.order_up_to import forecast_errors, given_level, tuning_scenarios
from pipeline.scenarios.source import ScenarioSource

FINE = 12
"""Parts that a step of the grid is divided into."""

Array = NDArray[np.float64]
Columns = Callable[[Scenario], Mapping[str, Tensor]]
"""[N] features that classes are made of, as of a scenario's first day."""
PlayPair = Callable[[float, float], tuple[Scenario, Policy]]
"""What is played with a pair of figures."""
Candidates = Callable[[Scenario], PlayPair]
"""Of a tile."""


@dataclass(frozen=True)
class Grid:
    """The values of two figures that are tried, ascending; four at least of each."""

    first: tuple[float, ...]
    second: tuple[float, ...]

    @property
    def pairs(self) -> list[tuple[float, float]]:
        """All, the second running fastest."""
        return list(itertools.product(self.first, self.second))

    def least(self, cost: Array) -> tuple[float, float]:
        """The pair with the least ``cost`` [pairs], between the points next to the best one."""
        ends = (np.array(self.first), np.array(self.second))
        surface = cost.reshape(len(self.first), len(self.second))
        best = np.unravel_index(surface.argmin(), surface.shape)
        finer = [_between(points, int(at)) for points, at in zip(ends, best, strict=True)]
        # Logarithms: costs rise steeply where stock is missing, and a spline must not swing there.
        logarithm = np.log(np.maximum(surface, 1e-9 * max(float(surface.max()), 1e-12)))
        values = RectBivariateSpline(*ends, logarithm)(*finer)
        one, other = np.unravel_index(values.argmin(), values.shape)
        return round(float(finer[0][one]), 4), round(float(finer[1][other]), 4)


def _between(points: Array, at: int) -> Array:
    """Points from the grid point before ``at`` to the one after it."""
    ends = points[max(at - 1, 0) : at + 2]
    return np.unique(
        np.concatenate([np.linspace(x, y, FINE + 1) for x, y in itertools.pairwise(ends)])
    )


LEVEL_GRID = Grid((0.7, 0.85, 1.0, 1.15, 1.35), (-0.6, 0.0, 0.6, 1.2, 2.0))
"""Of a and k, for levels that are about right already."""


class Pairs(NamedTuple):
    """What was tuned."""

    classes: Classes
    first: Sequence[float]
    """[classes]."""
    second: Sequence[float]
    """[classes]."""

    def of(self, features: Tensor) -> Tensor:
        """[2, ...] the pair of each day's class, from features [..., F]."""
        return torch.tensor([self.first, self.second])[:, self.classes.of(by_name(features))]


def first_day(scenario: Scenario) -> dict[str, Tensor]:
    """The features of :data:`~pipeline.baselines.classes.BANDS` on the first day, [N]."""
    return by_name(scenario.features[0])


def tune_pairs(
    source: ScenarioSource,
    objective: Objective,
    grid: Grid,
    candidates: Candidates,
    columns: Columns = first_day,
    bands: Mapping[str, int] = BANDS,
) -> Pairs:
    """The pairs with the least (shrunk) cost, by the objective, on training inventories."""
    (found,) = tune_pairs_at((1.0,), source, objective, grid, candidates, columns, bands)
    return found


def tune_pairs_at(
    factors: Sequence[float],
    source: ScenarioSource,
    objective: Objective,
    grid: Grid,
    candidates: Candidates,
    columns: Columns = first_day,
    bands: Mapping[str, int] = BANDS,
) -> list[Pairs]:
    """:func:`tune_pairs` where shortages count each of ``factors`` times; played once for all."""
    costs: list[NDArray[np.float32]] = []
    samples: list[Mapping[str, Tensor]] = []
    for scenario in tuning_scenarios(source, "train"):
        costs.append(grid_costs(source, scenario, objective, grid, candidates(scenario)))
        samples.append(columns(scenario))
    sample = {name: torch.cat([own[name] for own in samples]) for name in bands}
    classes = Classes.of_sample(sample, bands)
    class_of, (other, shortage) = classes.of(sample).numpy(), np.concatenate(costs, axis=2)

    def best(factor: float) -> Pairs:
        shrunk = shrunk_costs(other + np.float32(factor) * shortage, class_of, classes.sizes)
        pairs = [grid.least(cost) for cost in shrunk]
        return Pairs(classes, [one for one, _ in pairs], [other for _, other in pairs])

    return [best(factor) for factor in factors]


def grid_costs(
    source: ScenarioSource,
    scenario: Scenario,
    objective: Objective,
    grid: Grid,
    play_pair: PlayPair,
) -> NDArray[np.float32]:
    """[2, pairs of the grid, N] each inventory's cost, without shortages and of shortages alone;
    NaN where no day is counted."""
    start = source.evaluation_start(scenario)
    costs = []
    for one, other in grid.pairs:
        metrics = play_scenario(scenario, _always(play_pair(one, other)), start)
        shortage = objective.shortages_of(metrics, scenario)
        whole = objective.of_inventories(metrics, scenario)
        costs.append(torch.stack((whole - shortage, shortage)).numpy())
    return np.stack(costs, axis=1)


def _always(played: tuple[Scenario, Policy]) -> PolicyFor:
    return lambda _: played


def corrected(scenario: Scenario, level: Tensor) -> PlayPair:
    """Order-up-to a * level + k * error, for pairs (a, k).

    Args:
        scenario: A tile.
        level: [T, N] units.
    """
    error = forecast_errors(scenario)
    return lambda a, k: given_level(scenario, torch.add(a * level, error, alpha=k))


def corrected_level(scenario: Scenario, level: Tensor, pairs: Pairs) -> Tensor:
    """[T, N] units: a * level + k * error, with the pair (a, k) of each day's class."""
    a, k = pairs.of(scenario.features)
    result: Tensor = a * level + k * forecast_errors(scenario)
    return result


def by_name(features: Tensor) -> dict[str, Tensor]:
    """[...] each of :data:`~pipeline.baselines.classes.BANDS`, from features [..., F]."""
    return {name: features[..., FEATURES.index(name)] for name in BANDS}
