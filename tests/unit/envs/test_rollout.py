"""What a policy is asked, and what a trajectory keeps."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from envs.objective import day_cost
from envs.orders import OrderRules, admissible
from envs.rollout import Decision, rollout
from envs.state import InventoryState, Observation, Scenario

Problem = Callable[..., tuple[Scenario, InventoryState]]


def base_stock(observation: Observation) -> Decision:
    level = 3 * observation.scale
    return Decision(level - observation.stock.sum(-1), {"level": level})


def test_orders_are_placed_on_review_days_only(random_problem: Problem) -> None:
    scenario, start = random_problem(2, n=20, days=15)
    played = rollout(scenario, lambda o: Decision(torch.full_like(o.scale, 7.0)), start)
    assert torch.equal(played.order, 7.0 * scenario.review)


def test_the_policy_sees_todays_features_and_the_stock_before_its_order(
    random_problem: Problem,
) -> None:
    scenario, start = random_problem(3, n=5, days=10)
    played = rollout(scenario, base_stock, start, record=True)
    assert played.stock is not None
    assert torch.equal(played.stock[0], start.stack())
    level = 3 * scenario.scale
    expected = (level - played.stock.sum(-1)).clamp(min=0.0) * scenario.review
    torch.testing.assert_close(played.order, expected)
    torch.testing.assert_close(played.columns["level"], level * scenario.review)


def test_recording_changes_nothing(random_problem: Problem) -> None:
    scenario, start = random_problem(4, random_fill=True, order_multiple=2.0)
    plain, recorded = (rollout(scenario, base_stock, start, record=r) for r in (False, True))
    assert plain.stock is None
    assert not plain.columns
    assert torch.equal(plain.outcome.end, recorded.outcome.end)


def test_a_horizon_played_in_two_parts_is_the_same_horizon(random_problem: Problem) -> None:
    scenario, start = random_problem(5, days=14, random_lead_time=True, random_fill=True)
    whole = rollout(scenario, base_stock, start)
    first = rollout(scenario.days(0, 6), base_stock, start)
    second = rollout(scenario.days(6, 14), base_stock, first.final)
    torch.testing.assert_close(torch.cat((first.order, second.order)), whole.order)
    torch.testing.assert_close(second.final.stack(), whole.final.stack())


def test_nothing_given_starts_empty(random_problem: Problem) -> None:
    scenario, _ = random_problem(6, n=3)
    played = rollout(scenario, base_stock, record=True)
    assert played.stock is not None
    assert not played.stock[0].any()


@pytest.mark.parametrize("backlog", [False, True])
@pytest.mark.parametrize("general", [False, True])
def test_the_gradient_of_a_horizon(random_problem: Problem, backlog: bool, general: bool) -> None:
    """Numerically checked: at random levels no kink is near."""
    scenario, start = random_problem(
        11, n=3, days=8, longest=2, backlog=backlog, shared_lead_time=not general,
        random_lead_time=general, random_fill=general,
    )  # fmt: skip

    def cost(factor: torch.Tensor) -> torch.Tensor:
        played = rollout(
            scenario, lambda o: Decision((factor * o.scale - o.stock.sum(-1)).clamp(min=0.0)), start
        )
        return day_cost(played.outcome, scenario.shortage_cost, scenario.holding_cost).sum()

    factor = torch.tensor(2.317, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(cost, (factor,), eps=1e-6, atol=1e-5)
    (gradient,) = torch.autograd.grad(cost(factor), factor)
    assert gradient != 0


def test_training_through_rounded_orders_is_possible(random_problem: Problem) -> None:
    scenario, start = random_problem(12, n=3, order_multiple=5.0)
    factor = torch.tensor(2.3, dtype=torch.float64, requires_grad=True)
    played = rollout(
        scenario, lambda o: Decision((factor * o.scale - o.stock.sum(-1)).clamp(min=0.0)), start
    )
    placed = played.order.detach()
    assert torch.equal(placed, admissible(placed, OrderRules(5.0)))
    assert (placed[~scenario.review] == 0).all()
    assert torch.equal(placed % 5.0, torch.zeros_like(placed))
    played.outcome.end.sum().backward()
    assert factor.grad is not None
    assert factor.grad > 0
