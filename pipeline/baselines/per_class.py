"""Order-up-to a * forecast + k * error, (a, k) by class of inventories: what a planner would tune.

Classes are bands of the critical ratio, of intermittency (share of days without demand), of the
review period and of the lead time; :mod:`pipeline.baselines.grid` says how a class's pair is found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from envs.objective import Objective
from envs.state import Observation, Scenario
from pipeline.baselines.base import PER_CLASS, DayRule, tuned_last
from pipeline.baselines.classes import BANDS, Classes
from pipeline.baselines.grid import Grid, PlayPair, corrected, tune_pairs, tune_pairs_at
from pipeline.policies.order_up_to import FORECAST, ForecastErrorRule, feature, stockless
from pipeline.scenarios.source import ScenarioSource

GRID = Grid((0.3, 0.6, 0.9, 1.3, 1.8, 2.5, 3.5), (-0.5, 0.0, 0.5, 1.1, 1.8, 2.8, 4.2, 6.0))
"""Of a and k."""


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
        """The pairs with the least (shrunk) cost, by the objective, on training inventories.

        Other baselines start from them: the last ones found are kept.
        """

        def tune() -> OrderUpToPerClass:
            return cls(*tune_pairs(source, objective, GRID, forecast_levels))

        return tuned_last(cls, source, objective, tune)

    @classmethod
    def tune_at(
        cls, factors: Sequence[float], source: ScenarioSource, objective: Objective
    ) -> list[OrderUpToPerClass]:
        """The same for every factor on shortages; the grid is played once."""
        found = tune_pairs_at(factors, source, objective, GRID, forecast_levels)
        return [cls(*pairs) for pairs in found]


def forecast_levels(scenario: Scenario) -> PlayPair:
    """The rule's levels on all days of a tile, for every pair (a, k)."""
    return corrected(scenario, scenario.basis[..., FORECAST])


def levels_of(scenario: Scenario, rule: OrderUpToPerClass) -> Tensor:
    """[T, N] units: the rule's levels on all days of a tile."""
    seen = stockless(scenario)
    return rule.level(rule.weights(seen), seen)
