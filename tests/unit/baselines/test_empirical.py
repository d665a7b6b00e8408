"""Empirical quantiles: of the windows that had ended, mixed with the class's."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from envs.objective import DEFAULT_OBJECTIVE
from pipeline.baselines.classes import BANDS, Classes
from pipeline.baselines.empirical import (
    EVERY_DAYS,
    FLOOR,
    OWN_PERIODS,
    class_quantiles,
    own_quantile,
    past_windows,
    quantile_level,
)
from pipeline.baselines.windows import drawn_windows
from pipeline.policies.order_up_to import FORECAST
from pipeline.scenarios.dataset import DatasetSource
from pipeline.scenarios.given import GivenScenarios


def test_windows_are_those_that_ended_before_the_day(law: Any) -> None:
    scenario = law(3, n=8, days=30, lead=(1, 4))
    counted = torch.rand(30, 8, generator=torch.Generator().manual_seed(1)) < 0.9
    history = torch.randint(0, 5, (10, 8), generator=torch.Generator().manual_seed(2)).float()
    history[3, 2] = torch.nan
    scenario = replace(scenario, counted=counted, history=history)
    sums = past_windows(scenario).numpy()
    own = scenario.demand.masked_fill(~counted, torch.nan)
    all_days = torch.cat((history, own)).numpy()
    assert sums.shape == (40, 8)
    for day in range(40):
        for i in range(8):
            span = int(scenario.lead_time[i]) + 1
            expected = all_days[day - span : day, i].sum() if day >= span else np.nan
            np.testing.assert_allclose(sums[day, i], expected)


def test_the_quantile_is_that_of_the_last_weeks_windows(law: Any) -> None:
    scenario = law(3, n=8, days=60, lead=(1, 4))
    sums = past_windows(scenario)
    level, mean, count = own_quantile(scenario)
    for day in (0, 13, 59):
        week = day // EVERY_DAYS * EVERY_DAYS
        for i in range(8):
            ended = sums[: week + 1, i]
            ended = np.sort(ended[~ended.isnan()].numpy())
            assert count[day, i] == len(ended)
            b = float(scenario.shortage_cost[i])
            at = np.clip(b / (b + 1) * (len(ended) + 1) - 1, 0, max(len(ended) - 1, 0))
            expected = np.interp(at, np.arange(len(ended)), ended) if len(ended) else 0.0
            assert float(level[day, i]) == pytest.approx(expected, rel=1e-4)
            usual = ended.mean() if len(ended) else 0.0
            assert float(mean[day, i]) == pytest.approx(usual, rel=1e-4)


def test_an_inventory_without_a_past_has_its_classs_quantile(law: Any) -> None:
    scenario = law(3, n=8, days=80, lead=(3, 3))
    everyone = Classes({name: [] for name in BANDS})
    level = quantile_level(scenario, everyone, [1.5])
    torch.testing.assert_close(level[0], 1.5 * scenario.scale[0])
    own, mean, windows = own_quantile(scenario)
    share = windows[-1] / 4 / (windows[-1] / 4 + OWN_PERIODS)
    assert 0.6 < float(share[0]) < 0.9
    scale = scenario.scale[-1]
    moved = (scenario.basis[-1, :, FORECAST] + FLOOR * scale) / (mean[-1] + FLOOR * scale)
    assert 1.05 < float(moved.max()) < 2
    torch.testing.assert_close(level[-1], share * moved * own[-1] + (1 - share) * 1.5 * scale)


def test_a_classs_quantile_is_that_of_its_windows(law: Any) -> None:
    source = GivenScenarios({"train": [law(1, n=400, cost_ratio=(19.0, 19.001), lead=(2, 2))]})
    drawn = drawn_windows(source, DEFAULT_OBJECTIVE, 10**6, torch.Generator().manual_seed(0))
    classes, quantiles = class_quantiles(drawn)
    assert classes.sizes[1] == 3  # by intermittency
    overall = float(np.quantile(drawn.demand.numpy(), 0.95))
    assert min(quantiles) < overall < max(quantiles)
    assert max(quantiles) < 1.5 * overall


def test_a_test_tile_knows_the_days_before_it(source: DatasetSource) -> None:
    raw, scenario = source.open("test", 0)
    start, _ = source.days("test")
    assert scenario.history is not None
    assert scenario.history.shape == (start, scenario.num_inventories)
    demand = raw.dynamic["demand"][:, :start].T
    observed = (raw.dynamic["known"][:, :start] * raw.dynamic["on_sale"][:, :start]).T > 0
    np.testing.assert_array_equal(
        scenario.history.numpy(), np.where(observed, demand, np.nan).astype(np.float32)
    )
    _, _, count = own_quantile(scenario)
    assert float(count[0].median()) > 50
