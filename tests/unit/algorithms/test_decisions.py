"""Rewards, discounts and advantages of decisions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from envs.credit import governed_days
from envs.objective import DEFAULT_OBJECTIVE as COST
from envs.objective import day_cost
from envs.problems.settings import study_setting1
from envs.rollout import Decision, rollout
from envs.state import InventoryState, Scenario
from pipeline.algorithms.decisions import (
    Decisions,
    decision_costs,
    extract_decisions,
    generalized_advantages,
)

Problem = Callable[..., tuple[Scenario, InventoryState]]


def hand_scenario(counted: torch.Tensor | None = None) -> Scenario:
    """Two inventories over six days: (L, P) = (1, 2) reviewed on even days, (0, 3) from day 1."""
    demand = torch.tensor([[1.0, 4.0]]).expand(6, 2).contiguous()
    day = torch.arange(6).unsqueeze(1)
    return Scenario(
        demand=demand,
        lead_time=torch.tensor([1, 0]),
        review_period=torch.tensor([2, 3]),
        review=torch.cat((day % 2 == 0, day % 3 == 1), 1),
        shortage_cost=torch.tensor([10.0, 5.0]),
        holding_cost=torch.tensor([1.0, 2.0]),
        scale=torch.tensor([[1.0, 1], [1, 1], [2, 1], [1, 1], [8, 2], [1, 1]]),
        basis=torch.zeros(6, 2, 1),
        features=torch.zeros(6, 2, 1),
        counted=counted,
        max_lead_time=1,
    ).validate()


def test_decisions_by_hand() -> None:
    scenario = hand_scenario()
    # Nobody orders: stock runs out and every day is short.
    start = InventoryState(torch.tensor([3.0, 9.0]), (torch.zeros(2),))
    played = rollout(scenario, lambda o: Decision(torch.zeros_like(o.scale)), start)
    cost = day_cost(played.outcome, scenario.shortage_cost, scenario.holding_cost)
    assert cost[:, 0].tolist() == [2.0, 1.0, 0.0, 10.0, 10.0, 10.0]
    assert cost[:, 1].tolist() == [10.0, 2.0, 15.0, 20.0, 20.0, 20.0]
    found = extract_decisions(scenario, played, objective=COST, gamma=0.5, weight_power=0.5)
    # Inventory 0: days 0 and 2 (day 4 has no next decision inside, and governs day 6);
    # inventory 1: day 1 (day 4 has no next decision).
    rows = list(zip(found.day.tolist(), found.inventory.tolist(), strict=True))
    assert rows == [(0, 0), (1, 1), (2, 0)]
    assert found.next_day.tolist() == [2, 4, 4]
    # Costs of the governed days over the cost scale P * h * scale.
    expected = [-(1.0 + 0.0) / 2, -(2.0 + 15.0 + 20.0) / 6, -(10.0 + 10.0) / 4]
    torch.testing.assert_close(found.reward, torch.tensor(expected))
    # gamma times the change of scale, at most 1: 0.5 * 4/2, 0.5 * 12/6, 0.5 * 16/4.
    assert found.discount.tolist() == [1.0, 1.0, 1.0]
    torch.testing.assert_close(found.weight, torch.tensor([2.0, 6.0, 4.0]).sqrt())
    gentle = extract_decisions(scenario, played, objective=COST, gamma=0.1, weight_power=0.0)
    torch.testing.assert_close(gentle.discount, torch.tensor([0.2, 0.2, 0.4]))
    assert gentle.weight.tolist() == [1.0, 1.0, 1.0]


def test_where_reviews_end_no_value_follows() -> None:
    """Setting 1 of the study reviews on days 2..28; day 30 would be next."""
    scenario = study_setting1(3, seed=1)
    played = rollout(scenario, lambda o: Decision(torch.full_like(o.scale, 12.0)))
    found = extract_decisions(scenario, played, objective=COST, gamma=0.9, weight_power=0.5)
    assert found.day.unique().tolist() == list(range(2, 29, 2))
    last = found.day == 28
    assert (found.discount[last] == 0.0).all()
    torch.testing.assert_close(found.discount[~last], torch.full((39,), 0.9))


def test_days_that_nobody_counts_cost_nothing() -> None:
    counted = torch.ones(6, 2, dtype=torch.bool)
    counted[2:4, 1] = False
    scenario = hand_scenario(counted)
    start = InventoryState(torch.tensor([3.0, 9.0]), (torch.zeros(2),))
    played = rollout(scenario, lambda o: Decision(torch.zeros_like(o.scale)), start)
    found = extract_decisions(scenario, played, objective=COST, gamma=0.5, weight_power=0.5)
    assert found.reward[1].item() == pytest.approx(-2.0 / 6)


@pytest.mark.parametrize("seed", range(5))
def test_rewards_in_money_are_the_cost_of_the_days_they_govern(
    random_problem: Problem, seed: int
) -> None:
    scenario, start = random_problem(seed, n=8, days=30, random_counted=True)
    # One scale for all days: then a reward times its cost scale is money.
    scenario = replace(scenario, scale=torch.full_like(scenario.scale, 3.0))
    played = rollout(scenario, lambda o: Decision(o.basis[..., 0]), start)
    found = extract_decisions(scenario, played, objective=COST, gamma=1.0, weight_power=1.0)
    money = torch.zeros(8, dtype=torch.float64).index_add(
        0, found.inventory, found.reward * found.weight
    )
    # The same decisions, seen from the days: governed, and followed by another review.
    _, governed = governed_days(scenario.review, scenario.lead_time, scenario.review_period)
    cost = day_cost(played.outcome, scenario.shortage_cost, scenario.holding_cost)
    assert scenario.counted is not None
    cost = cost * scenario.counted
    expected = torch.zeros(8, dtype=torch.float64)
    for i in range(8):
        lead, period = int(scenario.lead_time[i]), int(scenario.review_period[i])
        for t in scenario.review[:, i].nonzero().flatten().tolist():
            if t + period < 30 and t + lead + period <= 30:
                days = slice(t + lead, t + lead + period)
                assert governed[days, i].all()
                expected[i] -= cost[days, i].sum()
    torch.testing.assert_close(money, expected)


def slow_advantages(
    found: Decisions, reward: torch.Tensor, values: torch.Tensor, lambda_: float
) -> torch.Tensor:
    """GAE one inventory at a time, from the last decision back."""
    result = torch.zeros(len(found.day), dtype=values.dtype)
    for i in found.inventory.unique().tolist():
        rows = [r for r in range(len(found.day)) if int(found.inventory[r]) == i]
        ahead, ahead_day = 0.0, -1
        for r in reversed(rows):
            here, following = values[found.day[r], i], values[found.next_day[r], i]
            delta = reward[r] + found.discount[r] * following - here
            follows = int(found.next_day[r]) == ahead_day
            ahead = float(delta + found.discount[r] * lambda_ * (ahead if follows else 0.0))
            ahead_day = int(found.day[r])
            result[r] = ahead
    return result


@pytest.mark.parametrize("lambda_", [0.0, 0.7, 1.0])
@pytest.mark.parametrize("seed", range(3))
def test_advantages_equal_a_slow_reference(
    random_problem: Problem, seed: int, lambda_: float
) -> None:
    scenario, start = random_problem(seed, n=9, days=40, longest_period=7)
    assert len(scenario.review_period.unique()) > 2
    played = rollout(scenario, lambda o: Decision(o.basis[..., 0]), start)
    found = extract_decisions(scenario, played, objective=COST, gamma=0.9, weight_power=0.5)
    assert len(found.day) > 50
    values = torch.randn(40, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    got = generalized_advantages(found, found.reward, values, lambda_)
    torch.testing.assert_close(got, slow_advantages(found, found.reward, values, lambda_))
    # Of costs in two parts: each its own, and together they are minus the whole.
    cost, of_value = (
        decision_costs(scenario, played, found, COST),
        torch.stack((values, 1 - values), -1),
    )
    torch.testing.assert_close(-cost.sum(-1), found.reward)
    assert (cost >= 0).all()
    assert (cost.sum(0) > 0).all()
    parts = generalized_advantages(found, cost, of_value, lambda_)
    for part in (0, 1):
        expected = slow_advantages(found, cost[:, part], of_value[..., part], lambda_)
        torch.testing.assert_close(parts[:, part], expected)
    if lambda_ == 1.0:
        assert got.std() > 0


def test_the_cost_scale_is_what_a_decision_can_cost() -> None:
    assert COST.decision_size(hand_scenario())[2].tolist() == [
        2 * 1 * 2.0,
        3 * 2 * 1.0,
    ]


@pytest.mark.parametrize("seed", range(6))
def test_days_that_are_picked_whole_give_the_same_decisions(
    random_problem: Problem, seed: int
) -> None:
    """One inventory with other terms sends the rest through the general path."""
    scenario, start = random_problem(seed, n=6, days=20, shared_lead_time=True)
    period = torch.full((6,), 1 + seed % 3)
    review = (torch.arange(20).unsqueeze(1) % period) == 0
    scenario = replace(scenario, review_period=period, review=review.contiguous())
    other = period.clone()
    other[-1] += 1
    mixed = replace(scenario, review_period=other)
    with torch.no_grad():
        played = rollout(scenario, lambda seen: Decision(seen.basis[:, 0]), start)
    whole = extract_decisions(scenario, played, objective=COST, gamma=0.9, weight_power=0.5)
    general = extract_decisions(mixed, played, objective=COST, gamma=0.9, weight_power=0.5)
    mine, same = whole.inventory < 5, general.inventory < 5
    assert int(mine.sum()) > 0
    for name in ("day", "inventory", "next_day", "reward", "discount", "weight"):
        assert torch.equal(getattr(whole, name)[mine], getattr(general, name)[same]), name


@pytest.mark.parametrize("daily", [True, False])
def test_a_limit_draws_all_decisions_equally_often(random_problem: Problem, daily: bool) -> None:
    """Each of R decisions is drawn limit / R times on average, as it is without a limit."""
    choices = {"shared_lead_time": True, "longest_period": 1} if daily else {}
    scenario, start = random_problem(8, n=6, days=20, **choices)
    with torch.no_grad():
        played = rollout(scenario, lambda seen: Decision(seen.basis[:, 0]), start)

    def extract(limit: int | None) -> Decisions:
        return extract_decisions(
            scenario, played, objective=COST, gamma=0.9, weight_power=0.5, limit=limit
        )

    every = extract(None)
    count = len(every.day)
    numbers = every.day * 6 + every.inventory
    limit, draws = round(0.4 * count), 3000
    torch.manual_seed(0)
    times = torch.zeros(count)
    for _ in range(draws):
        some = extract(limit)
        index = torch.searchsorted(numbers, some.day * 6 + some.inventory)
        assert torch.equal(numbers[index], some.day * 6 + some.inventory)
        assert len(index) == limit
        assert bool((index.diff() >= 0).all())
        for name in ("next_day", "reward", "discount", "weight"):
            assert torch.equal(getattr(some, name), getattr(every, name)[index]), name
        times += torch.bincount(index, minlength=count)
    # Four standard deviations of a share near 0.4 in 3000 draws: 0.036.
    torch.testing.assert_close(
        times / draws, torch.full((count,), limit / count), rtol=0, atol=0.036
    )
    assert len(extract(count).day) == count
