"""Reorder point: whole packs and minimum orders, and where it pays to wait for them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from envs.objective import DEFAULT_OBJECTIVE
from envs.state import Observation, Scenario
from pipeline.baselines.classes import BANDS, Classes
from pipeline.baselines.per_class import OrderUpToPerClass
from pipeline.baselines.reorder import SIZE_BANDS, ReorderPoint
from pipeline.evaluation.play import evaluate_scenario
from pipeline.policies.order_up_to import FORECAST
from pipeline.scenarios.dataset import DatasetSource
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
    return policy(seen).order.tolist()


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


def test_it_beats_filling_up_where_a_minimum_applies(source: DatasetSource) -> None:
    """Half of the inventories must order at least two thirds of a level."""
    train, later = (
        replace(
            tile := source.load(split, 0),
            order_multiple=1.0,
            order_min=(0.7 * tile.scale[0] * (torch.arange(tile.num_inventories) % 2)).ceil(),
        )
        for split in ("train", "test")
    )
    given = GivenScenarios({"train": [train]})
    cost = {
        kind: evaluate_scenario(later, kind.tune(given, DEFAULT_OBJECTIVE).policy_for)["cost"].sum()
        for kind in (OrderUpToPerClass, ReorderPoint)
    }
    assert cost[ReorderPoint] < cost[OrderUpToPerClass]
