"""Cost, stockout rate, turnover time and the credit of orders, on numbers made by hand."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from envs.credit import after_warm_up, decision_rewards, governed_days
from envs.dynamics import DayOutcome
from envs.horizon import horizon_metrics
from envs.objective import day_cost
from envs.state import InventoryState, Scenario

Problem = Callable[..., tuple[Scenario, InventoryState]]

# Two inventories over four days; the second is always out of stock and sells nothing.
SALES = torch.tensor([[4.0, 0.0], [6.0, 0.0], [2.0, 0.0], [0.0, 0.0]])
UNMET = torch.tensor([[0.0, 1.0], [3.0, 2.0], [0.0, 3.0], [0.0, 4.0]])
END = torch.tensor([[8.0, 0.0], [0.0, 0.0], [5.0, 0.0], [7.0, 0.0]])
OUTCOME = DayOutcome(SALES, UNMET, END)
B, H = torch.tensor([9.0, 2.0]), torch.tensor([1.0, 0.5])


def test_day_cost_charges_shortage_and_leftover() -> None:
    assert day_cost(OUTCOME, B, H)[:, 0].tolist() == [8.0, 27.0, 5.0, 7.0]
    owed = DayOutcome(torch.tensor([1.0]), torch.tensor([3.0]), torch.tensor([-3.0]))
    assert day_cost(owed, torch.tensor([2.0]), torch.tensor([10.0])).item() == 6.0


def test_metrics_over_all_days() -> None:
    metrics = horizon_metrics(OUTCOME, SALES + UNMET, B, H)
    assert metrics.cost.tolist() == [47.0 / 4, 2.0 * 10 / 4]
    assert metrics.stockout_rate.tolist() == [25.0, 100.0]
    assert metrics.turnover_time[0].item() == pytest.approx((20 / 4) / (12 / 4))
    assert metrics.turnover_time[1].isnan()
    assert metrics.fill_rate.tolist() == [pytest.approx(100 * 12 / 15), 0.0]
    assert metrics.mean_demand.tolist() == [15 / 4, 10 / 4]
    assert metrics.mean_sales.tolist() == [3.0, 0.0]
    assert metrics.counted_days.tolist() == [4.0, 4.0]


def test_metrics_over_counted_days_only() -> None:
    counted = torch.tensor([[True, False], [False, False], [True, False], [False, False]])
    metrics = horizon_metrics(OUTCOME, SALES + UNMET, B, H, counted)
    assert metrics.counted_days.tolist() == [2.0, 0.0]
    assert metrics.cost[0].item() == 6.5
    assert metrics.stockout_rate[0].item() == 0.0
    assert metrics.turnover_time[0].item() == pytest.approx(6.5 / 3.0)
    for value in (metrics.cost, metrics.stockout_rate, metrics.turnover_time, metrics.mean_sales):
        assert value[1].isnan()


def test_owed_units_are_a_stockout_and_are_not_held() -> None:
    owed = DayOutcome(torch.tensor([[1.0], [1.0]]), torch.zeros(2, 1), torch.tensor([[-5.0], [3]]))
    one = torch.ones(1)
    metrics = horizon_metrics(owed, torch.ones(2, 1), one, one)
    assert metrics.stockout_rate.item() == 50.0
    assert metrics.fill_rate.item() == 100.0
    assert metrics.mean_inventory.item() == 1.5


def test_an_order_answers_for_the_days_it_governs() -> None:
    cost = torch.tensor([[1.0, 1.0], [2.0, 2.0], [4.0, 4.0], [8.0, 8.0], [16.0, 16.0]])
    reward, complete = decision_rewards(cost, torch.tensor([1, 0]), torch.tensor([2, 3]))
    # L = 1, P = 2: an order of day t answers for days t + 1 and t + 2.
    assert reward[:, 0].tolist() == [-6.0, -12.0, -24.0, -16.0, 0.0]
    assert complete[:, 0].tolist() == [True, True, True, False, False]
    # L = 0, P = 3.
    assert reward[:, 1].tolist() == [-7.0, -14.0, -28.0, -24.0, -16.0]
    assert complete[:, 1].tolist() == [True, True, True, False, False]


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 10_000), days=st.integers(1, 20), longest=st.integers(0, 5))
def test_rewards_add_up_to_minus_the_cost_of_governed_days(
    random_problem: Problem, seed: int, days: int, longest: int
) -> None:
    scenario, _ = random_problem(seed, n=6, days=days, longest=longest)
    lead, period = scenario.lead_time, scenario.review_period
    cost = scenario.demand + 0.1
    reward, complete = decision_rewards(cost, lead, period)
    after_warm_up, governed = governed_days(scenario.review, lead, period)
    # All orders, those that are cut at the end included: every day from the first arrival on.
    torch.testing.assert_close((reward * scenario.review).sum(0), -(cost * after_warm_up).sum(0))
    # Complete orders only.
    torch.testing.assert_close(
        (reward * (scenario.review & complete)).sum(0), -(cost * governed).sum(0)
    )


def test_governed_days_by_hand() -> None:
    # Reviews on days 1 and 4, L = 2, P = 3, nine days: the first order governs 3..5, the
    # second 6..8. With L = 3 the second one would govern 7..9 and is cut.
    review = torch.zeros(9, 2, dtype=torch.bool)
    review[[1, 4]] = True
    first_arrival, governed = governed_days(review, torch.tensor([2, 3]), torch.tensor([3, 3]))
    assert first_arrival[:, 0].nonzero().flatten().tolist() == [3, 4, 5, 6, 7, 8]
    assert governed[:, 0].nonzero().flatten().tolist() == [3, 4, 5, 6, 7, 8]
    assert first_arrival[:, 1].nonzero().flatten().tolist() == [4, 5, 6, 7, 8]
    assert governed[:, 1].nonzero().flatten().tolist() == [4, 5, 6]


@pytest.mark.parametrize("seed", range(8))
def test_the_warm_up_ends_when_the_first_order_can_arrive(
    random_problem: Problem, seed: int
) -> None:
    """Also where nobody is reviewed, or the first order would arrive after the horizon."""
    scenario, _ = random_problem(seed, n=30, days=5 + seed)
    review = scenario.review.clone()
    review[:, :3] = False
    review[:4, 3:10] = False
    expected, _ = governed_days(review, scenario.lead_time, scenario.review_period)
    assert torch.equal(after_warm_up(review, scenario.lead_time), expected)
