"""What counts, and how rows of inventories become figures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from envs.objective import horizon_metrics
from envs.rollout import Decision, rollout
from envs.state import InventoryState, Observation, Scenario
from envs.study import study_setting1
from pipeline.evaluate import (
    METRICS,
    counted_days,
    evaluate_dataset,
    evaluate_scenario,
    play_policy,
    summarize,
    summarize_source,
)
from pipeline.sources import DatasetSource

Problem = Callable[..., tuple[Scenario, InventoryState]]


def base_stock(observation: Observation) -> Decision:
    return Decision(observation.scale - observation.stock.sum(-1))


def rows(**columns: list[float]) -> pd.DataFrame:
    return pd.DataFrame(columns)


def test_rates_are_weighted_and_cost_counts_every_inventory_once() -> None:
    table = rows(
        weight=[1.0, 3.0, 6.0],
        cost=[10.0, 20.0, 60.0],
        stockout_rate_pct=[10.0, 0.0, 5.0],
        turnover_days=[8.0, float("nan"), 2.0],
        mean_demand=[100.0, 100.0, 100.0],
    )
    assert summarize(table) == {
        "cost": 30.0,
        "stockout_rate_pct": pytest.approx((1 * 10 + 3 * 0 + 6 * 5) / 10),
        "turnover_days": pytest.approx((1 * 8 + 6 * 2) / 7),
    }


def test_without_weights_mean_demand_weighs() -> None:
    table = rows(
        cost=[1.0, 3.0], stockout_rate_pct=[50.0, 10.0], turnover_days=[4.0, 8.0],
        mean_demand=[1.0, 3.0],
    )  # fmt: skip
    assert summarize(table) == {"cost": 2.0, "stockout_rate_pct": 20.0, "turnover_days": 7.0}


def test_inventories_without_a_counted_day_are_left_out() -> None:
    nan = float("nan")
    table = rows(
        weight=[1.0, 5.0], cost=[4.0, nan], stockout_rate_pct=[10.0, nan],
        turnover_days=[nan, nan], mean_demand=[2.0, nan],
    )  # fmt: skip
    summary = summarize(table)
    assert (summary["cost"], summary["stockout_rate_pct"]) == (4.0, 10.0)
    assert np.isnan(summary["turnover_days"])


def test_a_tile_without_weight_has_no_rates() -> None:
    table = rows(
        weight=[0.0], cost=[4.0], stockout_rate_pct=[10.0], turnover_days=[1.0], mean_demand=[2.0]
    )
    assert np.isnan(summarize(table)["stockout_rate_pct"])


def test_days_before_the_first_order_can_arrive_are_not_counted() -> None:
    scenario = study_setting1(3, seed=1)
    table = evaluate_scenario(scenario, play_policy(base_stock))
    assert table["counted_days"].tolist() == [28, 28, 28]
    # Demand of the warm-up is not in the means.
    expected = scenario.demand[3:].mean(0)
    np.testing.assert_allclose(table["mean_demand"], expected, rtol=1e-5)


def test_days_off_sale_are_not_counted(random_problem: Problem) -> None:
    scenario, _ = random_problem(3, n=20, days=30, random_counted=True)
    table = evaluate_scenario(scenario, play_policy(base_stock))
    assert scenario.counted is not None
    for i in range(20):
        lead = int(scenario.lead_time[i])
        first = int(scenario.review[:, i].nonzero()[0]) + lead
        assert table["counted_days"][i] == int(scenario.counted[first:, i].sum())


def test_a_scenario_of_its_own_does_not_change_what_is_counted(random_problem: Problem) -> None:
    """Perfect hindsight plays other reviews and lead times on the same days."""
    scenario, _ = random_problem(4, n=10, days=30)
    other, _ = random_problem(4, n=10, days=30, longest=0)
    plain = evaluate_scenario(scenario, play_policy(base_stock))
    exchanged = evaluate_scenario(scenario, lambda _: (other, base_stock))
    assert plain["counted_days"].tolist() == exchanged["counted_days"].tolist()
    assert (plain["counted_days"] < 30).any()


@pytest.mark.parametrize("backlog", [False, True])
def test_figures_are_those_of_the_trajectory(random_problem: Problem, backlog: bool) -> None:
    """Days are added up as they are played; a policy may know its inventories by their row."""
    scenario, start = random_problem(8, n=50, days=60, backlog=backlog, random_counted=True)
    with torch.no_grad():
        played = rollout(scenario, base_stock, start)
    own = torch.linspace(0.5, 2.0, 50, dtype=torch.float64)
    exchanged = replace(
        scenario, basis=played.order.unsqueeze(-1), shortage_cost=own, holding_cost=own
    )
    table = evaluate_scenario(
        scenario, lambda _: (exchanged, lambda seen: Decision(seen.basis[:, 0])), start
    )
    expected = horizon_metrics(
        played.outcome,
        scenario.demand,
        scenario.shortage_cost,
        scenario.holding_cost,
        counted_days(scenario),
    )
    for column, values in (
        ("counted_days", expected.counted_days),
        ("mean_demand", expected.mean_demand),
        ("mean_sales", expected.mean_sales),
        ("mean_inventory", expected.mean_inventory),
        ("cost", expected.cost),
        ("stockout_rate_pct", expected.stockout_rate),
        ("turnover_days", expected.turnover_time),
    ):
        np.testing.assert_allclose(table[column], values, rtol=1e-9, atol=1e-9, err_msg=column)


def test_evaluation_is_deterministic(source: DatasetSource) -> None:
    scenario = source.load("validation", 0)
    one, two = (evaluate_scenario(scenario, play_policy(base_stock)) for _ in range(2))
    pd.testing.assert_frame_equal(one, two)


def test_a_data_sets_rows_carry_ids_and_weights(source: DatasetSource) -> None:
    table = pd.concat(evaluate_dataset(source, "validation", play_policy(base_stock)))
    raw, _ = source.open("validation", 0)
    assert table["inventory_id"].tolist() == list(raw.inventory_id)
    np.testing.assert_array_equal(table["weight"], raw.static["weight"])
    assert set(METRICS) < set(table.columns)
    known = table["stockout_rate_pct"].notna()
    expected = np.average(table["stockout_rate_pct"][known], weights=table["weight"][known])
    assert summarize(table)["stockout_rate_pct"] == pytest.approx(expected)


def test_shares_of_the_tiles_add_up_to_the_split(source: DatasetSource) -> None:
    whole, steps, inventories = summarize_source(source, "train", base_stock)
    parts = [summarize_source(source, "train", base_stock, first_tile=w, every=2) for w in range(2)]
    assert steps == sum(part[1] for part in parts) == 74 * inventories
    assert inventories == sum(part[2] for part in parts) == 540
    scenarios = [source.load("train", tile) for tile in range(5)]
    table = pd.concat([evaluate_scenario(s, play_policy(base_stock)) for s in scenarios])
    assert whole == summarize(table)
    nothing = summarize_source(source, "validation", base_stock, first_tile=1, every=2)
    assert nothing == ({}, 0, 0)


def test_no_gradients_are_kept(source: DatasetSource) -> None:
    scenario = source.load("validation", 0)
    factor = torch.tensor(1.0, requires_grad=True)
    evaluate_scenario(scenario, play_policy(lambda o: Decision(factor * o.scale)))
