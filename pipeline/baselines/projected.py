"""Projected level: order what the expected stock on arrival lacks to a level.

The projected inventory level policy (van Jaarsveld and Arts 2024; :mod:`envs.projection`) with
levels that follow the forecast: a * forecast of the review period that an order has to last for,
plus k * error, with (a, k) tuned per class. The capped one never orders more than a multiple of
that period's forecast.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from envs.objective import Objective
from envs.projection import DailyDemand, projected_stock
from envs.rollout import Decision, Policy
from envs.state import Observation, Scenario
from pipeline.baselines.base import DayRule, tuned_last
from pipeline.baselines.classes import Classes
from pipeline.baselines.grid import Grid, Pairs, PlayPair, tune_pairs, tune_pairs_at
from pipeline.features.coming import DatasetDemand
from pipeline.policies.order_up_to import (
    FORECAST,
    ForecastErrorRule,
    feature,
    forecast_error,
    stockless,
)
from pipeline.scenarios.source import ScenarioSource

GRID = Grid((0.3, 0.8, 1.4, 2.2, 3.5), (-0.5, 0.0, 0.5, 1.1, 1.9, 3.2, 5.0))
"""Of a and k."""
CAPPED = Grid((0.85, 0.95, 1.05, 1.2), (0.9, 1.1, 1.4, 2.0, 4.0, 20.0))
"""Of factors of the level, and of caps in forecasts of the review period; the last is no cap in
practice."""


@dataclass(frozen=True)
class ProjectedLevel(ForecastErrorRule, DayRule):
    """Orders what the projected stock lacks to a level, with a pair (a, k) for every class."""

    name = "projected_level"
    title = "Projected level"
    prose = "projected level"

    backlog: bool
    """Of the data that it was tuned on."""
    classes: Classes
    forecast_factors: Sequence[float]
    """[classes] a."""
    error_factors: Sequence[float]
    """[classes] k."""

    @classmethod
    def tune(cls, source: ScenarioSource, objective: Objective) -> ProjectedLevel:
        """The pairs with the least (shrunk) cost, by the objective, on training inventories."""

        def tune() -> ProjectedLevel:
            return cls(_backlog(source), *tune_pairs(source, objective, GRID, _levels))

        return tuned_last(cls, source, objective, tune)

    @classmethod
    def tune_at(
        cls, factors: Sequence[float], source: ScenarioSource, objective: Objective
    ) -> list[ProjectedLevel]:
        """The same for every factor on shortages; the grid is played once."""
        found = tune_pairs_at(factors, source, objective, GRID, _levels)
        return [cls(_backlog(source), *pairs) for pairs in found]

    def weights(self, observation: Observation) -> Tensor:
        """[N, 2] (a, k) of each inventory's class as of the day."""
        pairs = Pairs(self.classes, self.forecast_factors, self.error_factors)
        return pairs.of(observation.features).movedim(0, -1)

    def level(self, weights: Tensor, observation: Observation) -> Tensor:
        """[N] units on arrival."""
        error = forecast_error(observation)
        return weights[..., 0] * _until_next(observation) + weights[..., 1] * error

    def position_level(self, weights: Tensor, observation: Observation) -> Tensor:
        """[N] units: as much above the position as the level is above the projected stock."""
        above = self.level(weights, observation) - self._projected(observation)
        return observation.stock.sum(-1) + above

    def __call__(self, observation: Observation) -> Decision:
        """A :data:`~envs.rollout.Policy`; its action are the weights."""
        weights = self.weights(observation)
        lacking = self.level(weights, observation) - self._projected(observation)
        return Decision(lacking.clamp(min=0.0), {"action": weights})

    def policy_for(self, scenario: Scenario) -> tuple[Scenario, Policy]:
        """The same, with the levels of a tile worked out for all days at once."""
        return _given(scenario, _levels_of(scenario, self))

    def _projected(self, observation: Observation) -> Tensor:
        return DatasetDemand(self.backlog).projected_stock(observation)


@dataclass(frozen=True)
class CappedProjectedLevel(DayRule):
    """The same with a factor of the level and a cap on orders for every class."""

    name = "capped_projected_level"
    title = "Capped projected level"
    prose = "capped projected level"

    level: ProjectedLevel
    """What :attr:`level_factors` correct."""
    classes: Classes
    level_factors: Sequence[float]
    """[classes]."""
    caps: Sequence[float]
    """[classes] in forecasts of the review period."""

    @classmethod
    def tune(cls, source: ScenarioSource, objective: Objective) -> CappedProjectedLevel:
        """Level and cap with the least cost, by the objective, on training inventories."""
        level = ProjectedLevel.tune(source, objective)

        def candidates(scenario: Scenario) -> PlayPair:
            levels, period = _levels_of(scenario, level), _until_next(stockless(scenario))
            return lambda factor, cap: _given(scenario, factor * levels, cap * period)

        return cls(level, *tune_pairs(source, objective, CAPPED, candidates))

    def __call__(self, observation: Observation) -> Decision:
        """A :data:`~envs.rollout.Policy`."""
        factor, cap = self._pair(observation)
        level = factor * self.level.level(self.level.weights(observation), observation)
        lacking = (level - self.level._projected(observation)).clamp(min=0.0)
        return Decision(torch.minimum(lacking, cap * _until_next(observation)))

    def policy_for(self, scenario: Scenario) -> tuple[Scenario, Policy]:
        """The same, with the levels and caps of a tile worked out for all days at once."""
        seen = stockless(scenario)
        factor, cap = self._pair(seen)
        return _given(scenario, factor * _levels_of(scenario, self.level), cap * _until_next(seen))

    def _pair(self, observation: Observation) -> Tensor:
        return Pairs(self.classes, self.level_factors, self.caps).of(observation.features)


def _backlog(source: ScenarioSource) -> bool:
    return source.load("train", 0).backlog


def _until_next(observation: Observation) -> Tensor:
    """[...] units: forecast from an order's arrival until the next one's."""
    until_arrival = feature(observation, "lead_time_forecast") * observation.scale
    return (observation.basis[..., FORECAST] - until_arrival).clamp(min=0.0)


def _levels(scenario: Scenario) -> PlayPair:
    """The rule's levels on all days of a tile, for every pair (a, k)."""
    seen = stockless(scenario)
    period, error = _until_next(seen), forecast_error(seen)
    return lambda a, k: _given(scenario, torch.add(a * period, error, alpha=k))


def _levels_of(scenario: Scenario, rule: ProjectedLevel) -> Tensor:
    """[T, N] units."""
    seen = stockless(scenario)
    return rule.level(rule.weights(seen), seen)


def _given(scenario: Scenario, level: Tensor, cap: Tensor | None = None) -> tuple[Scenario, Policy]:
    """Of levels and caps [T, N] units; None: no cap."""
    lead_time, demand = DatasetDemand().read(stockless(scenario))
    basis = (level,) if cap is None else (level, cap)
    played = replace(
        scenario,
        basis=torch.stack(basis, -1),
        features=torch.stack((lead_time, *demand), -1),
    )
    return played, partial(_filled, backlog=scenario.backlog)


def _filled(observation: Observation, *, backlog: bool) -> Decision:
    """For scenarios whose basis features are level (and cap), and whose features lead time, mean
    and standard deviation of a day's demand."""
    lead_time, mean, std = observation.features.unbind(-1)
    demand = DailyDemand(mean, std)
    projected = projected_stock(observation.stock, lead_time, demand, backlog=backlog)
    level, *cap = observation.basis.unbind(-1)
    lacking = (level - projected).clamp(min=0.0)
    return Decision(torch.minimum(lacking, cap[0]) if cap else lacking)
