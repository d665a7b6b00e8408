"""The trade-off as policies see it."""

from __future__ import annotations

import math

import pytest
import torch

from envs.objective import CostObjective, ServiceObjective
from pipeline.features.build import FEATURES
from pipeline.features.trade_off import CRITICAL, LOG_RATIO, seen_features, seen_scenario
from pipeline.scenarios.dataset import DatasetSource

COST, SERVICE = CostObjective(), ServiceObjective(stockout_weight=3.0)


def test_the_data_s_own_costs_are_seen_as_they_are(source: DatasetSource) -> None:
    scenario = source.load("train", 0)
    assert seen_scenario(scenario, COST) is scenario


def test_a_factor_moves_both_features_and_nothing_else(source: DatasetSource) -> None:
    scenario = source.load("train", 0)
    n = scenario.num_inventories
    factor = torch.linspace(0.1, 10.0, n)
    seen = seen_scenario(scenario, COST, factor)
    ratio = factor * scenario.shortage_cost / scenario.holding_cost
    torch.testing.assert_close(
        seen.features[..., LOG_RATIO], (ratio.log() / 4).expand_as(scenario.scale)
    )
    torch.testing.assert_close(
        seen.features[..., CRITICAL], (ratio / (1 + ratio)).expand_as(scenario.scale)
    )
    others = [i for i in range(len(FEATURES)) if i not in (LOG_RATIO, CRITICAL)]
    assert torch.equal(seen.features[..., others], scenario.features[..., others])
    assert torch.equal(seen.shortage_weight, scenario.shortage_cost * factor)
    assert torch.equal(seen.shortage_cost, scenario.shortage_cost)


def test_service_knows_no_costs(source: DatasetSource) -> None:
    """Its policies see its own weights, the same for all, whatever the data's costs are."""
    features = source.load("train", 0).features
    seen = seen_features(features, SERVICE, 2.0)
    assert seen[..., LOG_RATIO].unique().item() == pytest.approx(math.log(600.0) / 4)


def test_problems_without_costs_among_their_features_are_left_alone() -> None:
    features = torch.rand(3, 2, 1)
    assert seen_features(features, SERVICE) is features
