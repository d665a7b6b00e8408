"""What every registered baseline keeps to: it knows no future, grows with demand, has a bound."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
import pytest
import torch

from envs.rollout import Trajectory, rollout
from envs.state import Scenario
from pipeline.baselines.base import BASELINES, Baseline, day_rules
from pipeline.baselines.rules import perfect_hindsight
from pipeline.data.draws import Draws
from pipeline.evaluation.play import evaluate_scenario
from pipeline.features.build import scenario_of
from pipeline.scenarios.dataset import DatasetSource
from pipeline.scenarios.start import evaluation_start

Tuned = dict[str, Baseline]
NAMES = list(BASELINES)


@torch.no_grad()
def play(baseline: Baseline, scenario: Scenario) -> Trajectory:
    played, policy = baseline.policy_for(scenario)
    return rollout(played, policy, evaluation_start(scenario))


@pytest.mark.parametrize("name", NAMES)
def test_later_demand_changes_no_order_before_it(
    tuned: Tuned, source: DatasetSource, name: str
) -> None:
    scenario, day = source.load("test", 0), 30
    demand, counted = scenario.demand.clone(), scenario.counted
    assert counted is not None
    demand[day:] = 3 * demand[day:].flip(0) + 1
    other = replace(scenario, demand=demand, counted=counted & (torch.rand(counted.shape) < 0.7))
    other.counted[:day] = counted[:day]  # type: ignore[index]
    before, after = play(tuned[name], scenario).order, play(tuned[name], other).order
    torch.testing.assert_close(after[: day + 1], before[: day + 1], rtol=0, atol=0)
    assert (after[day + 1 :] != before[day + 1 :]).any()
    assert (before[: day + 1] > 0).any()


@pytest.mark.parametrize("factor", [0.25, 8.0])
@pytest.mark.parametrize("name", NAMES)
def test_an_inventory_k_times_as_large_gets_orders_k_times_as_large(
    tuned: Tuned, history: Any, name: str, factor: float
) -> None:
    """Powers of 2 leave features as they are to the last bit: no tree takes another branch."""
    small, large = (
        scenario_of(
            h.build(first=60), h.static, 60, h.days, first_day=date(2024, 1, 3), max_lead_time=9,
            backlog=False, draws=Draws(1, []),
        )
        for h in (history, history.but(demand=history.dynamic["demand"] * np.float32(factor)))
    )  # fmt: skip
    orders = play(tuned[name], small).order
    assert (orders > 0).any()
    torch.testing.assert_close(
        play(tuned[name], large).order,
        orders * factor,
        rtol=1e-3,
        atol=1e-3 * factor * float(small.scale.mean()),
    )


@pytest.mark.parametrize("name", NAMES)
def test_none_beats_perfect_hindsight(tuned: Tuned, source: DatasetSource, name: str) -> None:
    scenario = source.load("test", 1)
    bound = evaluate_scenario(scenario, perfect_hindsight)["cost"].to_numpy()
    cost = evaluate_scenario(scenario, tuned[name].policy_for)["cost"].to_numpy()
    assert not (bound > cost + 1e-4).any()
    assert np.nanmean(bound) < 0.7 * np.nanmean(cost)


@pytest.mark.parametrize("name", day_rules())
def test_a_rule_orders_for_a_day_what_it_orders_in_play(
    tuned: Tuned, source: DatasetSource, name: str
) -> None:
    """Levels are worked out for a whole tile, or from one observation."""
    scenario, rule = source.load("test", 0), tuned[name]
    start = evaluation_start(scenario)
    with torch.no_grad():
        by_day = rollout(scenario, rule, start).order  # type: ignore[arg-type]
    torch.testing.assert_close(play(rule, scenario).order, by_day, rtol=1e-3, atol=1e-3)
