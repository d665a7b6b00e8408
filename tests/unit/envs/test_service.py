"""The service objective: stockouts and turnover, and shortages that are weighed by a factor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from envs.dynamics import DayOutcome
from envs.errors import ConfigError
from envs.horizon import horizon_metrics
from envs.objective import CostObjective, ServiceObjective, objective_of
from envs.orders import rules_of
from envs.rollout import rollout
from envs.state import InventoryState, Scenario

Problem = Callable[..., tuple[Scenario, InventoryState]]
SERVICE = ServiceObjective(stockout_weight=2.0, turnover_weight=0.5)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def test_a_day_costs_its_stock_or_a_stockout(random_problem: Problem) -> None:
    scenario, _ = random_problem(0)
    two = scenario.days(0, 2).inventories(torch.tensor([0]))
    demand = SERVICE.day_size(two)
    end = torch.tensor([[3.0], [0.0]])
    outcome = DayOutcome(torch.zeros(2, 1), torch.tensor([[0.0], [1.0]]), end)
    days = SERVICE.day(outcome, two)
    assert days[0].item() == pytest.approx(0.5 * 3.0)
    # A day without stock is a hundred percentage points of a day.
    assert days[1].item() == pytest.approx(2.0 * 100.0 * demand.item())


def test_what_inventories_cost_adds_up_to_the_figure_of_many(random_problem: Problem) -> None:
    """Rules are tuned by the one, methods are selected by the other."""
    scenario, state = random_problem(1)
    orders = torch.rand(scenario.demand.shape) * 4
    outcome = rollout(scenario, orders, state).outcome
    metrics = horizon_metrics(
        outcome, scenario.demand, scenario.shortage_cost, scenario.holding_cost, scenario.counted
    )
    demand = metrics.mean_demand
    own = SERVICE.of_inventories(metrics, scenario).sum()
    figures = {
        "stockout_rate_pct": float((metrics.stockout_rate * demand).sum() / demand.sum()),
        "turnover_days": float(metrics.mean_inventory.sum() / demand.sum()),
    }
    assert SERVICE.figure(figures) == pytest.approx(float(own / demand.sum()), rel=1e-5)


def test_a_factor_weighs_shortages_and_nothing_else(random_problem: Problem) -> None:
    scenario, state = random_problem(2)
    weighed = replace(scenario, shortage_factor=torch.full_like(scenario.shortage_cost, 3.0))
    orders = torch.rand(scenario.demand.shape) * 4
    outcome = rollout(scenario, orders, state).outcome
    for objective in (CostObjective(), SERVICE):
        (kept, missed), (kept3, missed3) = (
            objective.day_parts(outcome, each) for each in (scenario, weighed)
        )
        assert torch.equal(kept, kept3)
        torch.testing.assert_close(missed3, 3.0 * missed)
        own = [
            objective.of_inventories(
                horizon_metrics(outcome, each.demand, each.shortage_cost, each.holding_cost), each
            )
            for each in (scenario, weighed)
        ]
        assert bool((own[1] >= own[0]).all())
        assert bool((own[1] > own[0]).any())
    costs = [
        horizon_metrics(outcome, s.demand, s.shortage_cost, s.holding_cost).cost
        for s in (scenario, weighed)
    ]
    assert torch.equal(*costs)  # what is reported stays true


def test_packs_pay_sooner_where_shortages_weigh_more() -> None:
    day = torch.ones(1, 1)
    scenario = Scenario(
        demand=day, lead_time=torch.tensor([1]), review_period=torch.tensor([1]),
        review=day > 0, shortage_cost=torch.tensor([1.0]), holding_cost=torch.tensor([0.1]),
        scale=day, basis=day.unsqueeze(-1), features=day.unsqueeze(-1), max_lead_time=1,
        demand_rate=0.1 * day, demand_until_arrival=0.1 * day, sellable=day * torch.inf,
        incoming=day * torch.inf, order_multiple=6.0,
    )  # fmt: skip
    assert rules_of(scenario).reorder_point.item() == -torch.inf  # type: ignore[union-attr]
    dear = replace(scenario, shortage_factor=torch.tensor([10.0]))
    assert rules_of(dear).reorder_point.item() > 0  # type: ignore[union-attr]


def test_the_smooth_loss_follows_the_true_one(random_problem: Problem) -> None:
    """The narrower the logistic function, the nearer to the share of days without stock."""
    scenario, state = random_problem(3)
    scenario = replace(scenario, order_multiple=0.0)
    orders = torch.rand(scenario.demand.shape) * 4
    outcome = rollout(scenario, orders, state).outcome
    exact = CostObjective.loss(SERVICE, outcome, scenario)  # type: ignore[arg-type]
    gaps = []
    for width in (1.0, 1e-4):
        smooth = replace(SERVICE, width=width, final_width=width).loss(outcome, scenario)
        gaps.append(float((smooth - exact).abs().mean()))
    assert gaps[1] < 0.1 * gaps[0]
    assert gaps[1] < 0.05 * float(exact.mean())


def test_the_smooth_loss_pulls_out_of_a_stockout() -> None:
    """Where stock is missing, more of it lowers the loss; a step would be flat."""
    demand = torch.full((3, 1), 4.0)
    one = torch.ones(3, 1)
    scenario = Scenario(
        demand=demand, lead_time=torch.tensor([1]), review_period=torch.tensor([1]),
        review=one > 0, shortage_cost=torch.ones(1), holding_cost=torch.ones(1), scale=8.0 * one,
        basis=one.unsqueeze(-1), features=one.unsqueeze(-1), max_lead_time=1,
    )  # fmt: skip
    orders = torch.full((3, 1), 3.0, requires_grad=True)
    outcome = rollout(scenario, orders).outcome
    SERVICE.loss(outcome, scenario).sum().backward()
    assert orders.grad is not None
    assert bool((orders.grad[:2] < 0).all())


def test_weights_are_checked_where_they_are_given() -> None:
    assert objective_of({"name": "service", "stockout_weight": 2.0}).written() == {
        "name": "service", "stockout_weight": 2.0,
    }  # fmt: skip
    with pytest.raises(ConfigError, match="stockout_weight"):
        objective_of({"name": "service", "stockout_weight": -1.0})
