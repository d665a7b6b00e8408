"""Reorder point: nothing is ordered until the position falls to s, then whole packs to S or more.

Where orders have a pack size or a minimum, filling up to a level at every review makes orders
that are rounded this way or that. Here a position at or below s orders the fewest packs that
reach S, at least the minimum: (s, S), which is (R, s, nQ) where S = s. S is the class-tuned level
times a factor, S - s a multiple of the smallest order: both by class, and classes know how
the smallest order compares with an inventory's demand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from envs.objective import Objective
from envs.orders import smallest_order
from envs.rollout import Decision, Policy
from envs.state import Observation, Scenario
from pipeline.baselines.base import Baseline
from pipeline.baselines.classes import Classes
from pipeline.baselines.grid import Grid, PlayPair, first_day, tune_pairs
from pipeline.baselines.per_class import OrderUpToPerClass, levels_of
from pipeline.scenarios.source import ScenarioSource

ROUNDING = 1e-4
"""Of a pack: what is so little more than whole packs is whole packs."""
GRID = Grid((0.8, 0.9, 1.0, 1.1, 1.25), (0.0, 0.25, 0.5, 0.75, 1.0))
"""Of factors of the class-tuned level, and of S - s in smallest orders."""
SIZE = "smallest_order"
SIZE_BANDS = {SIZE: 6, "log_cost_ratio": 6, "zero_share": 2, "review_period": 2}
"""Classes: the smallest order in scales, and the most telling of
:data:`~pipeline.baselines.classes.BANDS`."""


@dataclass(frozen=True)
class ReorderPoint(Baseline):
    """Nothing above s; at or below it the fewest packs that reach S, at least the minimum."""

    name = "reorder_point"
    title = "Reorder point"
    prose = "reorder point"

    level: OrderUpToPerClass
    """What :attr:`level_factors` make S of."""
    classes: Classes
    level_factors: Sequence[float]
    """[classes]."""
    gaps: Sequence[float]
    """[classes] S - s, smallest orders."""

    @classmethod
    def tune(cls, source: ScenarioSource, objective: Objective) -> ReorderPoint:
        """S and s with the least cost, by the objective, on training inventories."""
        level = OrderUpToPerClass.tune(source, objective)

        def candidates(scenario: Scenario) -> PlayPair:
            levels, size = levels_of(scenario, level), _smallest(scenario)
            return lambda factor, gap: _given(scenario, factor * levels, gap * size)

        return cls(level, *tune_pairs(source, objective, GRID, candidates, _columns, SIZE_BANDS))

    def policy_for(self, scenario: Scenario) -> tuple[Scenario, Policy]:
        """S and s of a tile on all its days; the class is that of the first one."""
        table = torch.tensor([self.level_factors, self.gaps])
        factor, gap = table[:, self.classes.of(_columns(scenario))]
        return _given(scenario, factor * levels_of(scenario, self.level), gap * _smallest(scenario))


def _smallest(scenario: Scenario) -> Tensor:
    """[N] units: the smallest order but none."""
    pack, minimum = _sizes(scenario)
    return torch.maximum(pack, minimum)


def _sizes(scenario: Scenario) -> tuple[Tensor, Tensor]:
    """[N] units each: pack, and minimum in whole packs; 0 where there is none."""
    none = torch.zeros_like(scenario.scale[0])
    pack = none + scenario.order_multiple
    return pack, none + smallest_order(scenario.order_min, scenario.order_multiple)


def _columns(scenario: Scenario) -> dict[str, Tensor]:
    return {SIZE: _smallest(scenario) / scenario.scale[0], **first_day(scenario)}


def _given(scenario: Scenario, full: Tensor, gap: Tensor) -> tuple[Scenario, Policy]:
    """Of S [T, N] and S - s [N] units."""
    columns = full, full - gap, *(size.expand_as(full) for size in _sizes(scenario))
    blind = scenario.features[..., :0]
    return replace(scenario, basis=torch.stack(columns, -1), features=blind), _reordered


def _reordered(observation: Observation) -> Decision:
    """For scenarios whose basis features are S, s, pack and minimum."""
    full, point, pack, minimum = observation.basis.unbind(-1)
    position = observation.stock.sum(-1)
    lacking = (full - position).clamp(min=0.0)
    packs = (lacking / pack.clamp(min=1e-12) - ROUNDING).ceil() * pack
    order = torch.maximum(torch.where(pack > 0, packs, lacking), minimum)
    # Above s too little to be ordered, unless the rules of orders see an empty shelf ahead.
    little = torch.minimum(lacking, 0.4 * torch.maximum(pack, minimum))
    return Decision(torch.where((position <= point) & (lacking > 0), order, little))
