"""Projected levels as baselines: what they order, and where they pay."""

from __future__ import annotations

from typing import Any

import torch

from envs.objective import DEFAULT_OBJECTIVE
from envs.state import Observation
from pipeline.baselines.classes import BANDS, Classes
from pipeline.baselines.per_class import OrderUpToPerClass
from pipeline.baselines.projected import CappedProjectedLevel, ProjectedLevel
from pipeline.evaluation.play import evaluate_scenario
from pipeline.features.build import BASIS, FEATURES
from pipeline.policies.order_up_to import FORECAST
from pipeline.scenarios.given import GivenScenarios

EVERYONE = Classes({name: [] for name in BANDS})


def observation() -> Observation:
    """L = 3, P = 1, nearly certain demand of 2.5 a day."""
    features, basis = torch.zeros(3, len(FEATURES)), torch.zeros(3, len(BASIS))
    for name, value in (
        ("lead_time", 3 / 14), ("review_period", 1 / 7), ("lead_time_forecast", 7.5),
        ("forecast_error", 1e-3),
    ):  # fmt: skip
        features[:, FEATURES.index(name)] = value
    basis[:, FORECAST] = 10.0
    stock = torch.tensor([[0.0, 0.0, 0.0, 0.0], [20.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 4.0]])
    return Observation(stock, torch.ones(3), basis, features)


def test_it_orders_what_the_stock_on_arrival_lacks() -> None:
    rule = ProjectedLevel(False, EVERYONE, [2.0], [0.0])
    seen = observation()
    # The level is 5; on arrival there will be nothing, 12.5 and 4.
    decision = rule(seen)
    torch.testing.assert_close(decision.order, torch.tensor([5.0, 0.0, 1.0]), rtol=0, atol=1e-2)
    level = rule.actions.position_level(decision.columns["action"], seen)
    filled = (level - seen.stock.sum(1)).clamp(min=0.0)
    torch.testing.assert_close(filled, decision.order)


def test_the_cap_is_a_multiple_of_what_is_needed_until_the_next_order() -> None:
    rule = CappedProjectedLevel(
        ProjectedLevel(False, EVERYONE, [2.0], [0.0]), EVERYONE, [1.2], [1.5]
    )
    expected = torch.tensor([3.75, 0.0, 2.0])
    torch.testing.assert_close(rule(observation()).order, expected, rtol=0, atol=1e-2)


def test_projected_levels_pay_where_sales_are_lost_and_lead_times_long(law: Any) -> None:
    problem = {"dispersion": 50.0, "lead": (8, 8), "cost_ratio": (4.0, 4.01), "backlog": False}
    train, later = (law(seed, n=200, days=150, **problem) for seed in (1, 2))
    source = GivenScenarios({"train": [train]})
    cost = {
        kind: evaluate_scenario(later, kind.tune(source, DEFAULT_OBJECTIVE).policy_for)[
            "cost"
        ].sum()
        for kind in (OrderUpToPerClass, ProjectedLevel, CappedProjectedLevel)
    }
    assert cost[ProjectedLevel] < 0.95 * cost[OrderUpToPerClass]
    assert cost[CappedProjectedLevel] < 1.005 * cost[ProjectedLevel]


def test_a_tuning_for_several_trade_offs_is_the_tuning_for_each(law: Any) -> None:
    source = GivenScenarios({"train": [law(1, n=60, days=80, backlog=True)]})
    once, dear = ProjectedLevel.tune_at((1.0, 9.0), source, DEFAULT_OBJECTIVE)
    assert once == ProjectedLevel.tune(source, DEFAULT_OBJECTIVE)
    assert once.backlog
    assert sum(dear.error_factors) > sum(once.error_factors)
    assert ProjectedLevel.of_written(once.written()) == once
