"""Reorder point: whole packs and minimum orders, and where it pays to wait for them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from envs.objective import DEFAULT_OBJECTIVE
from envs.orders import admissible, rules_of
from envs.state import Observation, Scenario
from pipeline.baselines.classes import BANDS, Classes
from pipeline.baselines.per_class import OrderUpToPerClass
from pipeline.baselines.reorder import SIZE_BANDS, ReorderPoint
from pipeline.evaluation.play import evaluate_scenario
from pipeline.policies.order_up_to import FORECAST
from pipeline.scenarios.given import GivenScenarios


def orders(scenario: Scenario, gap: float, position: list[float]) -> list[float]:
    """With S = 20 everywhere."""
    level = OrderUpToPerClass(Classes({name: [] for name in BANDS}), [1.0], [0.0])
    scenario.basis[..., FORECAST] = 20.0
    scenario.features[:] = 0.0
    rule = ReorderPoint(level, Classes({name: [] for name in SIZE_BANDS}), [1.0], [gap])
    played, policy = rule.policy_for(scenario)
    stock = torch.tensor(position).unsqueeze(1)
    seen = Observation(stock, played.scale[0], played.basis[0], played.features[0])
    # Too little is rounded to nothing, as in every simulation.
    return admissible(policy(seen).order, rules_of(scenario)).tolist()


@pytest.mark.parametrize(("gap", "sizes", "expected"), [
    (0.0, {"order_multiple": 6.0}, [0.0, 6.0, 6.0, 12.0, 24.0]),  # (R, s, nQ)
    (0.5, {"order_multiple": 6.0}, [0.0, 0.0, 6.0, 12.0, 24.0]),
    (1.0, {"order_multiple": 6.0}, [0.0, 0.0, 6.0, 12.0, 24.0]),
    (1.0, {"order_min": 10.0}, [0.0, 0.0, 0.0, 12.0, 20.0]),
    (0.5, {"order_min": 10.0}, [0.0, 0.0, 10.0, 12.0, 20.0]),
    (0.5, {"order_min": 10.0, "order_multiple": 6.0}, [0.0, 0.0, 12.0, 12.0, 24.0]),
    (1.0, {}, [0.0, 1.0, 6.0, 12.0, 20.0]),
])  # fmt: skip
def test_it_orders_whole_packs_and_no_less_than_the_minimum(
    law: Any, gap: float, sizes: dict[str, float], expected: list[float]
) -> None:
    scenario = replace(law(1, n=5, days=3), **sizes)
    assert orders(scenario, gap, [20.0, 19.0, 14.0, 8.0, 0.0]) == pytest.approx(expected)


def test_it_beats_filling_up_where_a_minimum_applies(law: Any) -> None:
    """Half of the inventories must order at least 0.7 scales at a time."""
    train, later = (
        replace(
            tile := law(seed, n=600, days=150, backlog=False),
            order_multiple=1.0,
            order_min=(0.7 * tile.scale[0] * (torch.arange(600) % 2)).ceil(),
        )
        for seed in (1, 2)
    )
    source = GivenScenarios({"train": [train]})
    cost = {}
    for kind in (OrderUpToPerClass, ReorderPoint):
        rule = kind.tune(source, DEFAULT_OBJECTIVE)
        cost[kind] = evaluate_scenario(later, rule.policy_for)["cost"].sum()
    assert cost[ReorderPoint] < cost[OrderUpToPerClass]
