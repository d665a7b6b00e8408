"""What counts, and how rows of inventories become figures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from envs.horizon import horizon_metrics
from envs.metrics import SUMS, metric_names
from envs.problems.settings import study_setting1
from envs.rollout import Decision, rollout
from envs.state import InventoryState, Observation, Scenario
from pipeline.evaluation.play import (
    counted_days,
    evaluate_scenario,
    play_policy,
    summarize,
    summarize_source,
)
from pipeline.scenarios.dataset import DatasetSource
from tests.rows import evaluate_dataset

Problem = Callable[..., tuple[Scenario, InventoryState]]


def base_stock(observation: Observation) -> Decision:
    return Decision(observation.scale - observation.stock.sum(-1))


def row(**columns: float) -> dict[str, float]:
    """An inventory over ten counted days."""
    usual = {
        "counted_days": 10, "weight": 1.0, "cost": 1.0, "stockout_rate_pct": 5.0,
        "mean_demand": 4.0, "mean_sales": 3.0, "mean_inventory": 6.0,
    }  # fmt: skip
    return usual | columns


def table_of(*lines: dict[str, float]) -> pd.DataFrame:
    return pd.DataFrame(list(lines))


def test_stockout_rates_are_weighted_and_cost_counts_every_inventory_once() -> None:
    table = table_of(
        row(weight=1.0, cost=10.0, stockout_rate_pct=10.0),
        row(weight=3.0, cost=20.0, stockout_rate_pct=0.0),
        row(weight=6.0, cost=60.0, stockout_rate_pct=5.0),
    )
    summary = summarize(table)
    assert summary["cost"] == 30.0
    assert summary["stockout_rate_pct"] == pytest.approx((1 * 10 + 3 * 0 + 6 * 5) / 10)


def test_without_weights_mean_demand_weighs() -> None:
    table = table_of(
        row(mean_demand=1.0, stockout_rate_pct=50.0), row(mean_demand=3.0, stockout_rate_pct=10.0)
    ).drop(columns="weight")
    assert summarize(table)["stockout_rate_pct"] == 20.0


def test_turnover_and_fill_rate_are_ratios_of_totals() -> None:
    """One inventory that hardly sells must not make the turnover time of all."""
    slow = row(weight=50.0, mean_demand=0.02, mean_sales=0.01, mean_inventory=80.0)
    table = table_of(row(), row(), slow)
    summary = summarize(table)
    assert summary["turnover_days"] == pytest.approx((6 + 6 + 80) / (3 + 3 + 0.01))
    assert summary["fill_rate_pct"] == pytest.approx(100 * 6.01 / 8.02)
    half = table.assign(counted_days=[10, 5, 10])  # fewer days, less stock and fewer sales
    assert summarize(half)["turnover_days"] == pytest.approx((6 + 3 + 80) / (3 + 1.5 + 0.01))


def test_stock_that_nobody_buys_counts_in_the_turnover() -> None:
    dead = row(mean_demand=0.0, mean_sales=0.0, mean_inventory=9.0)
    assert summarize(table_of(row(), dead))["turnover_days"] == pytest.approx(15 / 3)
    assert np.isnan(summarize(table_of(dead))["turnover_days"])
    assert np.isnan(summarize(table_of(dead))["fill_rate_pct"])


def test_inventories_without_a_counted_day_are_left_out() -> None:
    nothing = {name: float("nan") for name in row()} | {"weight": 5.0, "counted_days": 0}
    assert summarize(table_of(row(), nothing)) == summarize(table_of(row()))


def test_figures_that_are_not_numbers_are_not_left_out() -> None:
    """A policy that has diverged must be seen."""
    assert np.isnan(summarize(table_of(row(), row(cost=float("nan"))))["cost"])


def test_a_tile_without_weight_has_no_stockout_rate() -> None:
    assert np.isnan(summarize(table_of(row(weight=0.0)))["stockout_rate_pct"])


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
        ("fill_rate_pct", expected.fill_rate),
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
    assert set(metric_names()) < set(table.columns)
    known = table["stockout_rate_pct"].notna()
    expected = np.average(table["stockout_rate_pct"][known], weights=table["weight"][known])
    assert summarize(table)["stockout_rate_pct"] == pytest.approx(expected)


def test_the_blocks_of_a_row_add_up_to_it(source: DatasetSource) -> None:
    table = pd.concat(evaluate_dataset(source, "test", play_policy(base_stock)))
    start, stop = source.days("test")
    blocks = {name: np.stack(table[f"block_{name}"].to_list()) for name in SUMS}
    assert {values.shape for values in blocks.values()} == {(600, (stop - start) // 7)}
    counted = table["counted_days"]
    assert (blocks["days"].sum(1) == counted).all()
    for name, mean in {"demand": "mean_demand", "sales": "mean_sales", "stock": "mean_inventory",
                       "unmet": None}.items():  # fmt: skip
        each = table["mean_demand"] - table["mean_sales"] if mean is None else table[mean]
        np.testing.assert_allclose(
            blocks[name].sum(1), (each * counted).fillna(0.0), rtol=1e-4, atol=1e-2
        )
    known = counted > 0
    cost = (
        table["shortage_cost"] * blocks["unmet"].sum(1)
        + table["holding_cost"] * blocks["stock"].sum(1)
    ) / counted
    np.testing.assert_allclose(cost[known], table["cost"][known], rtol=1e-4)
    stockouts = 100 * blocks["stockout_days"].sum(1) / counted
    np.testing.assert_allclose(stockouts[known], table["stockout_rate_pct"][known], atol=1e-3)


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
