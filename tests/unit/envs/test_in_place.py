"""Playing in place, in tiles and blocks of days, is the same dynamics as with gradients."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from unittest.mock import patch

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from envs import rollout as rollouts
from envs.horizon import horizon_metrics
from envs.metrics import SUMS
from envs.rollout import Decision, rollout, rollout_metrics
from envs.state import InventoryState, Observation, Scenario
from tests.choices import problem_choices

Problem = Callable[..., tuple[Scenario, InventoryState]]


def policy(seen: Observation) -> Decision:
    """Depends on all of the stock and on the day."""
    due = torch.arange(seen.stock.shape[1], dtype=seen.stock.dtype)
    order = (3 * seen.scale - (seen.stock / (1 + due)).sum(-1)).clamp(min=0.0)
    return Decision(order + seen.basis[:, 0] / 7, {"seen": seen.stock[:, 0] + 1.0})


@settings(max_examples=200, deadline=None)
@given(choices=problem_choices, block=st.integers(1, 6))
def test_in_place_is_bit_equal_to_the_path_with_gradients(
    random_problem: Problem, choices: dict[str, object], block: int
) -> None:
    scenario, start = random_problem(**choices)
    before = start.stack().clone()
    slow = rollout(scenario, policy, start, record=True)
    with torch.no_grad(), patch.object(rollouts, "_block_days", lambda *_: block):
        fast = rollout(scenario, policy, start, record=True)
        # The orders that came out, given in advance, are the same trajectory too.
        again = rollout(scenario, fast.order, start, record=True)
        twice = rollout(scenario, fast.order, start)
    assert torch.equal(start.stack(), before)  # the caller's stock is copied
    # Orders placed ahead are added in another sequence: equal but for rounding.
    for one, other in zip(twice.outcome, slow.outcome, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(twice.final.stack(), slow.final.stack(), rtol=1e-12, atol=1e-12)
    for other in (fast, again):
        assert torch.equal(other.order, slow.order)
        for part, same in zip(other.outcome, slow.outcome, strict=True):
            assert torch.equal(part, same)
        assert torch.equal(other.final.stack(), slow.final.stack())
    assert fast.stock is not None
    assert slow.stock is not None
    assert again.stock is not None
    assert torch.equal(fast.stock, slow.stock)
    assert torch.equal(again.stock, slow.stock)
    assert fast.columns.keys() == slow.columns.keys()
    for name, column in slow.columns.items():
        assert torch.equal(fast.columns[name], column)


@settings(max_examples=100, deadline=None)
@given(choices=problem_choices, block=st.integers(1, 6), tile_rows=st.integers(1, 8))
def test_metrics_of_tiles_and_blocks_are_those_of_the_trajectory(
    random_problem: Problem, choices: dict[str, object], block: int, tile_rows: int
) -> None:
    scenario, start = random_problem(**choices)
    played = rollout(scenario, policy, start)
    expected = horizon_metrics(
        played.outcome,
        scenario.demand,
        scenario.shortage_cost,
        scenario.holding_cost,
        scenario.counted,
    )
    with patch.object(rollouts, "_block_days", lambda *_: block):
        for orders in (policy, played.order):
            got = rollout_metrics(scenario, orders, start, tile_rows=tile_rows)
            torch.testing.assert_close(
                vars(got), vars(expected), rtol=1e-9, atol=1e-9, equal_nan=True
            )


@pytest.mark.parametrize("backlog", [False, True])
@pytest.mark.parametrize(("block_days", "ends"), [(7, [7, 14, 21, 31]), (31, [31]), (40, [31])])
def test_block_sums_are_those_of_the_trajectory(
    random_problem: Problem, backlog: bool, block_days: int, ends: list[int]
) -> None:
    """The last block takes the days that are left over."""
    scenario, start = random_problem(6, n=30, days=31, backlog=backlog, random_counted=True)
    played = rollout(scenario, policy, start)
    with patch.object(rollouts, "_block_days", lambda *_: 5):
        got = rollout_metrics(scenario, policy, start, tile_rows=13, block_days=block_days).blocks
    assert got is not None
    assert got.shape == (len(ends), len(SUMS), 30)
    outcome, counted = played.outcome, scenario.counted
    assert counted is not None
    expected = {
        "days": counted, "demand": scenario.demand, "sales": outcome.sales,
        "stock": outcome.end.clamp(min=0.0), "unmet": outcome.unmet,
        "stockout_days": outcome.end <= 0,
    }  # fmt: skip
    for name, values in expected.items():
        value = values.double() * counted
        for b, (first, last) in enumerate(itertools.pairwise([0, *ends])):
            torch.testing.assert_close(
                got[b, SUMS.index(name)], value[first:last].sum(0), rtol=1e-9, atol=1e-9
            )


def test_a_played_horizon_owns_its_memory(random_problem: Problem) -> None:
    """What a first rollout returned is not overwritten by a second one."""
    scenario, start = random_problem(3, days=12)
    with torch.no_grad():
        first = rollout(scenario.days(0, 6), policy, start, record=True)
        kept = [x.clone() for x in (first.order, *first.outcome, first.final.stack())]
        rollout(scenario.days(6, 12), policy, first.final, record=True)
    now = (first.order, *first.outcome, first.final.stack())
    assert all(torch.equal(one, other) for one, other in zip(kept, now, strict=True))


@pytest.mark.parametrize("gradients", [True, False])
def test_given_orders_are_placed_on_review_days_only(
    random_problem: Problem, gradients: bool
) -> None:
    scenario, start = random_problem(5, n=20, days=15)
    with torch.set_grad_enabled(gradients):
        played = rollout(scenario, torch.full_like(scenario.demand, 7.0), start)
    assert torch.equal(played.order, 7.0 * scenario.review)


@pytest.mark.parametrize(("period", "tiles"), [(1, [4, 4, 2]), (2, [5, 5]), (4, [10])])
def test_a_policy_is_asked_about_tiles_of_one_size(
    random_problem: Problem, period: int, tiles: list[int]
) -> None:
    """Of 10 inventories, as many at a time as make 4 questions a day."""
    scenario, start = random_problem(5, n=10, days=4, longest_period=1)
    day = torch.arange(4).unsqueeze(1)
    review = (day + torch.arange(10)) % period == 0
    scenario = replace(scenario, review=review, review_period=torch.full((10,), period))
    asked = []

    def count(seen: Observation) -> Decision:
        asked.append(len(seen.scale))
        return policy(seen)

    with patch.object(rollouts, "ASKED_ROWS", 4):
        rollout_metrics(scenario, count, start)
    assert len(asked) == 4 * len(tiles)  # every tile has somebody to ask about every day
    assert sum(asked) == int(review.sum())
    if period == 1:
        assert asked == [size for size in tiles for _ in range(4)]
