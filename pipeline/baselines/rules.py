"""Baselines that share the table with the learned policies.

Each is a policy under the same simulator, start and demand. What a baseline has to
choose it chooses on training inventories: on validation it competes like a method.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from envs.objective import Objective
from envs.rollout import Policy
from envs.state import Observation, Scenario
from pipeline.baselines.base import Baseline, Bound, DayRule
from pipeline.evaluation.play import PolicyFor, counted_days, play_policy, play_scenario
from pipeline.features.build import FEATURES
from pipeline.policies.order_up_to import (
    ForecastErrorRule,
    critical_ratio,
    given_level,
    tuning_scenarios,
)
from pipeline.scenarios.source import ScenarioSource

SAFETY_FACTORS = tuple(np.round(np.arange(-0.4, 3.01, 0.2), 2).tolist())
LEVEL_FACTORS = tuple(np.round(np.geomspace(0.2, 4.0, 24), 3).tolist())


def _best_candidates(
    source: ScenarioSource,
    candidates: Sequence[float],
    policy_of: Callable[[float], PolicyFor],
    group_of: Callable[[Scenario], Tensor],
    groups: int,
    objective: Objective,
) -> list[float]:
    """For each group of training inventories the candidate that costs least by the objective."""
    cost = np.zeros((len(candidates), groups))
    for scenario in tuning_scenarios(source, "train"):
        group = group_of(scenario).numpy()
        for row, candidate in enumerate(candidates):
            metrics = play_scenario(scenario, policy_of(candidate))
            own = objective.of_inventories(metrics, scenario).numpy()
            np.add.at(cost[row], group, np.nan_to_num(own))
    return [candidates[best] for best in cost.argmin(0)]


@dataclass(frozen=True)
class ForecastSafetyStock(ForecastErrorRule, DayRule):
    """Order-up-to forecast + k * z * error: what most planning systems do.

    z is the normal quantile of b / (b + h * P), error the standard deviation of the forecast over
    the protection period; one safety factor k for all is tuned on training inventories.
    """

    name = "forecast_safety_stock"
    title = "Forecast + safety stock"
    prose = "forecast + safety stock"

    safety_factor: float

    @classmethod
    def tune(cls, source: ScenarioSource, objective: Objective) -> ForecastSafetyStock:
        """The safety factor that is best on training inventories."""
        (best,) = _best_candidates(
            source,
            SAFETY_FACTORS,
            lambda factor: play_policy(cls(factor)),
            lambda scenario: torch.zeros(scenario.num_inventories, dtype=torch.long),
            groups=1,
            objective=objective,
        )
        return cls(best)

    def weights(self, observation: Observation) -> Tensor:
        """[N, 2] one, and the factor times the normal quantile."""
        quantile = torch.special.ndtri(critical_ratio(observation.features))
        return torch.stack((torch.ones_like(quantile), self.safety_factor * quantile), dim=-1)


@dataclass(frozen=True)
class BaseStockPerClass(Baseline):
    """A constant base-stock level per inventory: its scale on the first day times a factor.

    The factor is the best one, on training inventories, of the inventory's class: critical
    ratio (4 bands) x share of days without demand (3 bands) x protection period (3 bands).
    """

    name = "base_stock_per_class"
    title = "Base stock per class"
    prose = "base stock per class"

    factors: list[float] = field(default_factory=list)

    CLASSES: ClassVar[int] = 36

    @staticmethod
    def class_of(scenario: Scenario) -> Tensor:
        """[N] class of each inventory, as of the first day."""
        first = scenario.features[0].T.contiguous()
        ratio = torch.bucketize(
            first[FEATURES.index("critical_ratio")], torch.tensor([0.87, 0.93, 0.96])
        )
        zeros = torch.bucketize(first[FEATURES.index("zero_share")], torch.tensor([0.2, 0.6]))
        span = torch.bucketize(
            (scenario.lead_time + scenario.review_period).float(), torch.tensor([6.0, 12.0])
        )
        return (ratio * 3 + zeros) * 3 + span

    @classmethod
    def tune(cls, source: ScenarioSource, objective: Objective) -> BaseStockPerClass:
        """The factor of every class that is best on training inventories."""
        return cls(
            _best_candidates(
                source,
                LEVEL_FACTORS,
                lambda factor: cls([factor] * cls.CLASSES).policy_for,
                cls.class_of,
                cls.CLASSES,
                objective,
            )
        )

    def policy_for(self, scenario: Scenario) -> tuple[Scenario, Policy]:
        """The levels of a tile, fixed on its first day."""
        factor = torch.tensor(self.factors)[self.class_of(scenario)]
        return given_level(scenario, (factor * scenario.scale[0]).expand_as(scenario.scale))


def perfect_hindsight(scenario: Scenario) -> tuple[Scenario, Policy]:
    """Least cost of anyone who knows all demand: a lower bound, not a policy.

    An order matters only from its arrival on, so it is decided then: the scenario is
    exchanged for one without lead times (nor rules of orders) whose orders are placed on
    arrival days. A unit demanded on day d is worth stocking on the last arrival day a <= d while
    holding it until then, h per counted day, costs no more than not having it: b once where
    sales are lost, b per counted day until the next arrival where demand is owed.
    """
    days, n = scenario.demand.shape
    day = torch.arange(days).unsqueeze(1)
    lead = scenario.lead_time if scenario.order_lead_time is None else scenario.order_lead_time
    due = (day + lead).clamp(max=days)
    arrivals = torch.zeros(days + 1, n, dtype=torch.long)
    arrival = arrivals.scatter_add_(0, due, scenario.review.long())[:days] > 0
    # First arrival after each day; the horizon's end where none follows.
    later = torch.where(arrival, day, days).flip(0).cummin(0).values.flip(0)
    following = torch.cat((later[1:], torch.full((1, n), days)))

    counted = counted_days(scenario).to(torch.float64)
    passed = torch.cat((counted.new_zeros(1, n), counted.cumsum(0)))
    b, h = scenario.shortage_cost.double(), scenario.holding_cost.double().clamp(min=1e-12)
    if scenario.backlog:
        most = (h * passed[:days] + b * passed.gather(0, following)) / (b + h)
    else:
        most = passed[:days] + b / h
    worth = torch.searchsorted(
        passed.T.contiguous(), (most + 1e-9).T.contiguous(), right=True
    ).T.clamp(max=days)
    running = torch.cat((scenario.demand.new_zeros(1, n), scenario.demand.cumsum(0)))
    level = running.gather(0, torch.minimum(worth, following)) - running[:days]
    exchanged, policy = given_level(scenario, level)
    arriving = replace(
        exchanged,
        lead_time=torch.zeros_like(scenario.lead_time),
        review=arrival,
        order_lead_time=None,
        fill=None,
        order_multiple=0.0,
        order_max=float("inf"),
        order_min=0.0,
        demand_rate=None,
        demand_until_arrival=None,
        sellable=None,
        incoming=None,
        scale=torch.ones_like(scenario.scale),
    )
    return arriving, policy


HINDSIGHT = Bound("perfect_hindsight", "Perfect hindsight", perfect_hindsight)
