"""Capped base stock: order what the position lacks to a level, but never more than a cap.

Under lost sales a level alone answers a stockout with orders that arrive together, when the
shortage is over; a cap spreads them. With one level and one cap the policy comes close to the
optimum whatever the lead time (L. Xin, Operations Research 69, 2021). Here levels follow
the forecast, so caps follow the level: a multiple of level * P / (L + P), what a level that is used
up evenly needs at a review. Every class has its own correction of the class-tuned level and its own
multiple.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from envs.objective import Objective
from envs.rollout import Decision, Policy
from envs.state import Observation, Scenario
from pipeline.baselines.base import DayRule
from pipeline.baselines.classes import BANDS, Classes
from pipeline.baselines.grid import Grid, PlayPair, tune_pairs
from pipeline.baselines.per_class import OrderUpToPerClass, levels_of
from pipeline.policies.order_up_to import feature, order_up_to, stockless
from pipeline.scenarios.source import ScenarioSource

GRID = Grid((0.85, 0.95, 1.0, 1.08, 1.2), (0.9, 1.1, 1.4, 1.8, 2.5, 4.0, 20.0))
"""Of factors of the class-tuned level, and of caps in level * P / (L + P); the last is no cap in
practice."""


@dataclass(frozen=True)
class CappedBaseStock(DayRule):
    """Order-up-to min(what is lacking, cap), with a level and a cap for every class."""

    name = "capped_base_stock"
    title = "Capped base stock"
    prose = "capped base stock"

    level: OrderUpToPerClass
    """What :attr:`level_factors` correct."""
    classes: Classes
    level_factors: Sequence[float]
    """[classes]."""
    caps: Sequence[float]
    """[classes] in level * P / (L + P)."""

    @classmethod
    def tune(cls, source: ScenarioSource, objective: Objective) -> CappedBaseStock:
        """Level and cap with the least cost, by the objective, on training inventories."""
        level = OrderUpToPerClass.tune(source, objective)

        def candidates(scenario: Scenario) -> PlayPair:
            levels, share = levels_of(scenario, level), _of_a_review(stockless(scenario))
            return lambda factor, cap: _given(scenario, factor * levels, cap * share)

        return cls(level, *tune_pairs(source, objective, GRID, candidates))

    def __call__(self, observation: Observation) -> Decision:
        """A :data:`~envs.rollout.Policy`."""
        factor, cap = self._pair(observation)
        level = factor * self.level.level(self.level.weights(observation), observation)
        lacking = order_up_to(level, observation).order
        return Decision(torch.minimum(lacking, cap * level * _of_a_review(observation)))

    def policy_for(self, scenario: Scenario) -> tuple[Scenario, Policy]:
        """The same, with the levels and caps of a tile worked out for all days at once."""
        seen = stockless(scenario)
        factor, cap = self._pair(seen)
        return _given(scenario, factor * levels_of(scenario, self.level), cap * _of_a_review(seen))

    def _pair(self, observation: Observation) -> Tensor:
        table = torch.tensor([self.level_factors, self.caps])
        return table[:, self.classes.of({name: feature(observation, name) for name in BANDS})]


def _of_a_review(observation: Observation) -> Tensor:
    """[...] P / (L + P)."""
    lead = 14.0 * feature(observation, "lead_time")
    period = 7.0 * feature(observation, "review_period")
    return period / (lead + period)


def _given(scenario: Scenario, level: Tensor, share: Tensor) -> tuple[Scenario, Policy]:
    """Of levels [T, N] units, and caps as shares of them."""
    blind = scenario.features[..., :0]
    basis = torch.stack((level, share * level), -1)
    return replace(scenario, basis=basis, features=blind), _capped


def _capped(observation: Observation) -> Decision:
    """For scenarios whose basis features are level and cap."""
    level, cap = observation.basis.unbind(-1)
    return Decision(torch.minimum(order_up_to(level, observation).order, cap))
