"""Order-up-to rules on forecast and forecast error: what they share.

A rule's level is a * forecast + k * error over the protection period. It is a policy on
observations alone, so that it can play any scenario and decide the orders of a snapshot.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import replace

from torch import Tensor

from envs.rollout import Decision, Policy
from envs.state import Observation, Scenario
from pipeline.features.build import BASIS, FEATURES
from pipeline.scenarios.joined import side_by_side
from pipeline.scenarios.source import ScenarioSource, Split

FORECAST = BASIS.index("near_forecast")
TOGETHER = 1_024
"""Inventories that are played at a time, at least: a day's calls cost as much for fewer."""
TUNING_TILES = 8
"""Tiles that baselines are tuned on: some 16,000 inventories settle a few figures for each of a
hundred classes, and a million would take minutes per baseline."""


def feature(observation: Observation, name: str) -> Tensor:
    """[N] a feature as the network sees it."""
    return observation.features[..., FEATURES.index(name)]


def critical_ratio(features: Tensor) -> Tensor:
    """[...] b / (b + h * P), from features [..., F].

    A unit too many is held for about a review period; a unit short is short once.
    """
    cost_ratio = (4.0 * features[..., FEATURES.index("log_cost_ratio")]).exp()
    held_days = 7.0 * features[..., FEATURES.index("review_period")]
    return cost_ratio / (cost_ratio + held_days)


def forecast_error(observation: Observation) -> Tensor:
    """[N] units: standard deviation of the forecast's error over the protection period."""
    return feature(observation, "forecast_error") * observation.scale


def order_up_to(level: Tensor, observation: Observation) -> Decision:
    """Orders what the inventory position lacks to ``level`` [N] units."""
    return Decision((level - observation.stock.sum(-1)).clamp(min=0.0))


def order_up_to_given_level(observation: Observation) -> Decision:
    """For scenarios whose only basis feature is the level itself."""
    return order_up_to(observation.basis[..., 0], observation)


def forecast_errors(scenario: Scenario) -> Tensor:
    """[T, N] :func:`forecast_error` of all days."""
    return scenario.features[..., FEATURES.index("forecast_error")] * scenario.scale


def given_level(scenario: Scenario, level: Tensor) -> tuple[Scenario, Policy]:
    """Order-up-to levels [T, N] units that are laid out for all days: what depends on no stock
    need not be worked out day by day, and no feature is copied."""
    blind = scenario.features[..., :0]
    return replace(scenario, basis=level.unsqueeze(-1), features=blind), order_up_to_given_level


def stockless(scenario: Scenario) -> Observation:
    """What is observed on all days of a tile, [T, N, ...], but for the stock (no column)."""
    no_stock = scenario.scale.unsqueeze(-1)[..., :0]
    return Observation(no_stock, scenario.scale, scenario.basis, scenario.features)


def tuning_scenarios(source: ScenarioSource, split: Split) -> Iterator[Scenario]:
    """At most :data:`TUNING_TILES` tiles of a split, evenly spread; small ones played together."""
    tiles = source.num_tiles(split)
    waiting: list[Scenario] = []
    for tile in range(0, tiles, -(-tiles // TUNING_TILES)):
        waiting.append(source.load(split, tile))
        if sum(each.num_inventories for each in waiting) >= TOGETHER:
            yield side_by_side(waiting)
            waiting = []
    if waiting:
        yield side_by_side(waiting)


class ForecastErrorRule(ABC):
    """Order-up-to a * forecast + k * error."""

    @abstractmethod
    def weights(self, observation: Observation) -> Tensor:
        """[N, 2] a and k."""

    def level(self, weights: Tensor, observation: Observation) -> Tensor:
        """[N] units."""
        error = forecast_error(observation)
        return weights[..., 0] * observation.basis[..., FORECAST] + weights[..., 1] * error

    def position_level(self, weights: Tensor, observation: Observation) -> Tensor:
        """[N] units that the inventory position is filled up to."""
        return self.level(weights, observation)

    def __call__(self, observation: Observation) -> Decision:
        """A :data:`~envs.rollout.Policy`; its action are the weights."""
        weights = self.weights(observation)
        decision = order_up_to(self.level(weights, observation), observation)
        return Decision(decision.order, {"action": weights})

    @property
    def actions(self) -> RuleActions:
        """What explains its orders."""
        return RuleActions(self)


class RuleActions:
    """A rule's action, as :class:`~pipeline.policies.action_models.ActionModel` says it."""

    is_level = True
    outputs = 2

    def __init__(self, rule: ForecastErrorRule) -> None:
        self._rule = rule

    def coefficients(self, action: Tensor) -> Tensor:
        """[N, 2] of the forecast and of its error."""
        return action

    def target(self, action: Tensor, observation: Observation) -> Tensor:
        """[N] units: the level."""
        return self._rule.level(action, observation)

    def position_level(self, action: Tensor, observation: Observation) -> Tensor:
        """[N] units that the inventory position is filled up to."""
        return self._rule.position_level(action, observation)
