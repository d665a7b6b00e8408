"""Windows of demand: what a morning's features were followed by."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from envs.objective import DEFAULT_OBJECTIVE
from pipeline.baselines.windows import drawn_windows
from pipeline.features.build import FEATURES
from pipeline.scenarios.given import GivenScenarios

MARK = FEATURES.index("weekday_sin")


def test_a_window_is_the_demand_until_the_next_orders_arrival(law: Any) -> None:
    scenario = law(1, n=20, days=40, period=2, lead=(1, 9))
    # Says which day and inventory a row is of.
    day, inventory = torch.meshgrid(torch.arange(40), torch.arange(20), indexing="ij")
    scenario.features[..., MARK] = (100 * day + inventory).float()
    counted = torch.rand(40, 20, generator=torch.Generator().manual_seed(1)) < 0.98
    source = GivenScenarios({"train": [replace(scenario, counted=counted)]})
    drawn = drawn_windows(source, DEFAULT_OBJECTIVE, 10_000, torch.Generator().manual_seed(2))
    assert 50 < len(drawn.demand) < 200  # a quarter of all, less those cut and not recorded
    for row, demand, ratio, weight in zip(
        drawn.features[:, MARK].long().tolist(),
        drawn.demand,
        drawn.ratio,
        drawn.weight,
        strict=True,
    ):
        first, i = divmod(row, 100)
        days = slice(first, first + int(scenario.lead_time[i]) + 2)
        assert days.stop <= 40
        assert counted[days, i].all()
        scale, b = scenario.scale[0, i], float(scenario.shortage_cost[i])
        assert float(demand * scale) == pytest.approx(
            float(scenario.demand[days, i].sum()), rel=1e-4
        )
        assert float(ratio) == pytest.approx(b / (b + 2), rel=1e-4)
        # A unit too many costs 2 h until the next order; per day and over 1 - ratio: (b + 2 h) / 2.
        assert float(weight) == pytest.approx(float(scale) * (b + 2) / 2, rel=1e-3)


def test_days_off_sale_are_demand_of_zero_as_planned(law: Any) -> None:
    scenario = law(1, n=20, days=60, lead=(3, 3))
    counted = (torch.arange(60) % 4 > 0).unsqueeze(1).expand(60, 20)
    scenario.features[..., FEATURES.index("on_sale_share")] = 0.75
    planned = replace(scenario, counted=counted, demand=scenario.demand * counted)
    source = GivenScenarios({"train": [planned]})
    drawn = drawn_windows(source, DEFAULT_OBJECTIVE, 10_000, torch.Generator().manual_seed(2))
    assert len(drawn.demand) > 250
