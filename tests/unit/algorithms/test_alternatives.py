"""What other actions would have led to is what the simulator says of them, on the same demand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from envs.credit import Credit, GovernedDays
from envs.errors import ConfigError
from envs.objective import DEFAULT_OBJECTIVE as COST
from envs.objective import CostObjective
from envs.orders import admissible, rules_of
from envs.rollout import Decision, Policy, Trajectory, rollout
from envs.state import InventoryState, Observation, Scenario
from pipeline.algorithms.alternatives import (
    Alternatives,
    alternative_orders,
    play_alternatives,
)
from pipeline.algorithms.build import build_config
from pipeline.algorithms.decisions import Decisions, extract_decisions
from pipeline.algorithms.runner import ShardRunner
from pipeline.policies.action_models import make_action_model
from pipeline.runs.config import RunConfig
from pipeline.scenarios.dataset import DatasetSource
from tests.choices import problem_choices
from tests.runners import SMALL

Problem = Callable[..., tuple[Scenario, InventoryState]]

FACTS: dict[str, Any] = {
    "random_lead_time": True, "random_fill": True, "random_counted": True, "expected": True,
    "order_multiple": "each", "order_max": 30.0,
}  # fmt: skip


def wants_basis(seen: Observation) -> Decision:
    return Decision(seen.basis[:, 0])


def play(
    scenario: Scenario, start: InventoryState, policy: Policy | Tensor = wants_basis
) -> tuple[Trajectory, Decisions]:
    with torch.no_grad():
        played = rollout(scenario, policy, start, record=True)
    return played, extract_decisions(scenario, played, objective=COST, gamma=0.9, weight_power=0.5)


def alternatives(
    scenario: Scenario, played: Trajectory, decisions: Decisions, orders: Tensor
) -> Alternatives:
    assert played.stock is not None
    stock = played.stock[decisions.day, decisions.inventory]
    return play_alternatives(scenario, stock, decisions, orders, played, COST)


def orders_beside(scenario: Scenario, decisions: Decisions, tried: Tensor, count: int) -> Tensor:
    """[1 + count, R] the orders that were placed, then admissible others."""
    generator = torch.Generator().manual_seed(1)
    wanted = 25 * torch.rand((count, len(tried)), generator=generator, dtype=tried.dtype)
    multiple = scenario.order_multiple
    if isinstance(multiple, Tensor):
        multiple = multiple[decisions.inventory]
    rules = rules_of(scenario)._replace(multiple=multiple)
    return torch.stack((tried, *(admissible(w, rules) for w in wanted)))


def by_rollout(
    scenario: Scenario, start: InventoryState, orders: Tensor, decisions: Decisions, row: int
) -> tuple[Tensor, Tensor]:
    """Cost [2] and next stock [K+1] of a decision, from the whole horizon with these orders."""
    played, _ = play(scenario, start, orders)
    day, n, later = (
        int(part[row]) for part in (decisions.day, decisions.inventory, decisions.next_day)
    )
    first = day + int(scenario.lead_time[n])
    days = slice(first, first + int(scenario.review_period[n]))
    counted = torch.ones_like(scenario.demand) if scenario.counted is None else scenario.counted
    held, unmet = (
        (part[days, n] * counted[days, n]).sum()
        for part in (played.outcome.end.clamp(min=0.0), played.outcome.unmet)
    )
    unit = scenario.review_period[n] * scenario.holding_cost[n] * scenario.scale[day, n]
    cost = torch.zeros(2, dtype=unit.dtype)
    cost[0] = scenario.holding_cost[n] * held / unit
    cost[1] = scenario.shortage_cost[n] * unmet / unit
    assert played.stock is not None
    return cost, played.stock[later, n]


@settings(max_examples=80, deadline=None)
@given(choices=problem_choices)
def test_the_order_that_was_placed_led_to_what_was_played(
    random_problem: Problem, choices: dict[str, Any]
) -> None:
    scenario, start = random_problem(**choices)
    played, decisions = play(scenario, start)
    assert played.stock is not None
    placed = played.order[decisions.day, decisions.inventory]
    found = alternatives(scenario, played, decisions, placed.unsqueeze(0))
    assert found.cost.shape == (1, len(placed), 2)
    assert (found.cost >= 0).all()
    torch.testing.assert_close(-found.cost[0].sum(-1), decisions.reward)
    torch.testing.assert_close(
        found.next_stock[0], played.stock[decisions.next_day, decisions.inventory]
    )


@settings(max_examples=40, deadline=None)
@given(choices=problem_choices, row=st.integers(0, 100))
def test_an_alternative_is_the_horizon_with_that_one_order_changed(
    random_problem: Problem, choices: dict[str, Any], row: int
) -> None:
    """Later orders as they were: they may arrive earlier where lead times are random."""
    scenario, start = random_problem(**choices)
    played, decisions = play(scenario, start)
    if not len(decisions.day):
        return
    row %= len(decisions.day)
    where = decisions.day, decisions.inventory
    orders = orders_beside(scenario, decisions, played.order[where], 2)
    found = alternatives(scenario, played, decisions, orders)
    for which in range(3):
        changed = played.order.clone()
        changed[where[0][row], where[1][row]] = orders[which, row]
        cost, stock = by_rollout(scenario, start, changed, decisions, row)
        torch.testing.assert_close(found.cost[which, row], cost)
        torch.testing.assert_close(found.next_stock[which, row], stock)


@pytest.mark.parametrize("lead", [0, 1, 2, 5])
@pytest.mark.parametrize("backlog", [False, True])
def test_short_and_long_lead_times_beside_the_review_period(
    random_problem: Problem, lead: int, backlog: bool
) -> None:
    """L = 0, L < P, L = P, L > P, every decision; and the alternatives do differ."""
    scenario, start = random_problem(lead, n=3, days=16, longest=5, backlog=backlog)
    scenario = replace(
        scenario,
        lead_time=torch.full((3,), lead),
        review_period=torch.full((3,), 2),
        review=(torch.arange(16).unsqueeze(1) % 2 == 0).expand(16, 3).contiguous(),
    )
    played, decisions = play(scenario, start)
    assert len(decisions.day) == 3 * len(range(0, min(14, 16 - lead - 2) + 1, 2)) - 3 * (lead == 0)
    where = decisions.day, decisions.inventory
    orders = orders_beside(scenario, decisions, played.order[where], 2)
    found = alternatives(scenario, played, decisions, orders)
    for row in range(len(decisions.day)):
        for which in range(3):
            changed = played.order.clone()
            changed[where[0][row], where[1][row]] = orders[which, row]
            cost, stock = by_rollout(scenario, start, changed, decisions, row)
            torch.testing.assert_close(found.cost[which, row], cost)
            torch.testing.assert_close(found.next_stock[which, row], stock)
    assert (found.cost[1] != found.cost[2]).any(-1).float().mean() > 0.5
    assert (found.next_stock[1] != found.next_stock[2]).any(-1).float().mean() > 0.5


@pytest.mark.parametrize("facts", [{}, {"random_fill": True, "expected": True}])
def test_a_policy_that_acted_otherwise_once_would_have_seen_the_same(
    random_problem: Problem, facts: dict[str, Any]
) -> None:
    """With constant lead times no later order can matter, whatever the policy makes of it."""
    scenario, start = random_problem(7, n=40, days=18, order_multiple="each", order_max=30, **facts)
    model = make_action_model("base", 1, high=6.0).double()

    def policy(seen: Observation) -> Decision:
        action = seen.features[:, :1]
        return Decision(model(action, seen), {"action": action})

    played, decisions = play(scenario, start, policy)
    assert played.stock is not None
    where = decisions.day, decisions.inventory
    other = torch.rand((18, 40, 2), generator=torch.Generator().manual_seed(3)).double()
    seen = scenario.look_up(*where, played.stock[where])
    actions = torch.stack((played.columns["action"][where], other[where][:, :1]))
    orders = alternative_orders(scenario, decisions, seen, actions, model)
    assert torch.equal(orders[0], played.order[where])
    found = alternatives(scenario, played, decisions, orders)
    for day in decisions.day.unique():
        features = scenario.features.clone()
        features[day] = other[day]
        changed = replace(scenario, features=features)
        with torch.no_grad():
            replayed = rollout(changed, policy, start, record=True)
        assert replayed.stock is not None
        mine = decisions.day == day
        torch.testing.assert_close(orders[1, mine], replayed.order[where][mine])
        rewards = extract_decisions(
            changed, replayed, objective=COST, gamma=0.9, weight_power=0.5
        ).reward
        torch.testing.assert_close(-found.cost[1, mine].sum(-1), rewards[mine])
        later = replayed.stock[decisions.next_day, decisions.inventory][mine]
        torch.testing.assert_close(found.next_stock[1, mine], later)
    assert (orders[0] != orders[1]).any()


def test_alternatives_of_a_decision_share_everything_but_the_order(
    random_problem: Problem,
) -> None:
    scenario, start = random_problem(5, n=5, days=20, **FACTS)
    played, decisions = play(scenario, start)
    orders = orders_beside(scenario, decisions, played.order[decisions.day, decisions.inventory], 1)
    found = alternatives(scenario, played, decisions, orders[[1, 0, 1]])
    assert torch.equal(found.cost[0], found.cost[2])
    assert torch.equal(found.next_stock[0], found.next_stock[2])
    assert not torch.equal(found.cost[0], found.cost[1])
    # Decisions apart from each other find what they find together.
    some = torch.tensor([4, 0, 2])
    assert played.stock is not None
    part = alternatives(scenario, played, decisions.rows(some), orders[:, some])
    whole = alternatives(scenario, played, decisions, orders)
    torch.testing.assert_close(part.cost, whole.cost[:, some])
    torch.testing.assert_close(part.next_stock, whole.next_stock[:, some])


def test_nothing_beyond_the_governed_days_enters(random_problem: Problem) -> None:
    scenario, start = random_problem(9, n=8, days=24, **FACTS)
    played, decisions = play(scenario, start)
    orders = orders_beside(scenario, decisions, played.order[decisions.day, decisions.inventory], 2)
    found = alternatives(scenario, played, decisions, orders)
    cut = 14
    demand, counted = scenario.demand.clone(), scenario.counted.clone()  # type: ignore[union-attr]
    demand[cut:] += 5.0
    counted[cut:] ^= True
    changed = replace(scenario, demand=demand, counted=counted)
    later = replace(played, order=played.order.clone())
    later.order[cut:] += 3.0
    again = alternatives(changed, later, decisions, orders)
    end = decisions.day + (scenario.lead_time + scenario.review_period)[decisions.inventory]
    before = end <= cut
    assert 0 < before.sum() < len(before)
    assert torch.equal(found.cost[:, before], again.cost[:, before])
    assert torch.equal(found.next_stock[:, before], again.next_stock[:, before])
    assert (found.cost[:, ~before] != again.cost[:, ~before]).any(0).any(-1).float().mean() > 0.5


def test_a_fragment_without_decisions_has_no_alternatives(random_problem: Problem) -> None:
    scenario, start = random_problem(2, n=4, days=1)
    played, decisions = play(scenario, start)
    assert not len(decisions.day)
    found = alternatives(scenario, played, decisions, scenario.demand.new_zeros((3, 0)))
    assert found.cost.shape == (3, 0, 2)


class Counted(TorchDispatchMode):
    """Counts the operations of torch."""

    number = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.number += 1
        return func(*args, **(kwargs or {}))


def test_the_work_is_done_in_columns_not_by_decision(random_problem: Problem) -> None:
    numbers = []
    for n in (40, 400):
        scenario, start = random_problem(4, n=n, days=30, **FACTS)
        played, decisions = play(scenario, start)
        assert int((scenario.lead_time + scenario.review_period).max()) == 8
        orders = orders_beside(
            scenario, decisions, played.order[decisions.day, decisions.inventory], 3
        )
        with Counted() as counted:
            alternatives(scenario, played, decisions, orders)
        numbers.append(counted.number)
    assert numbers[0] == numbers[1]


class WholeFragment(Credit):
    """Charges every decision with all days: not what its governed days cost."""

    def rewards(self, cost: Tensor, scenario: Scenario) -> tuple[Tensor, Tensor]:
        """The same of all days."""
        _, complete = GovernedDays().rewards(cost, scenario)
        return -cost.sum(0).expand_as(cost), complete


@dataclass(frozen=True)
class PaidAtTheEnd(CostObjective):
    """Has a credit of its own."""

    name = "paid_at_the_end"

    @property
    def crediting(self) -> Credit:
        """Of other days than the governed ones."""
        return WholeFragment()


def test_alternatives_under_a_credit_of_other_days_are_refused(source: DatasetSource) -> None:
    """What another order would have been charged with is not known from its governed days."""
    run = RunConfig(algorithm="ddpg", action_model="base", training=SMALL["ddpg"])
    config = build_config(run, source).copy(copy_frozen=False)
    config.inventories(source=source, action_model="base", objective=PaidAtTheEnd())
    config.validate()
    config.training(alternatives=1)
    with pytest.raises(ConfigError, match="paid_at_the_end") as raised:
        config.validate()
    assert raised.value.field == "training: alternatives"


def test_a_credit_of_ones_own_is_learned_from_what_was_played(source: DatasetSource) -> None:
    run = RunConfig(algorithm="ddpg", action_model="base", training=SMALL["ddpg"])
    config = build_config(run, source).copy(copy_frozen=False)
    config.inventories(source=source, action_model="base", objective=PaidAtTheEnd())
    runner = ShardRunner(config=config, worker_index=0, num_workers=0)
    runner.sample()
    kept = runner.rows.replay._columns
    assert kept["action"].shape[1:] == (1, 1)
    rows = kept["inventory"][: runner.rows.replay.size] == kept["inventory"][0]
    day = kept["day"][: runner.rows.replay.size][rows]
    scale = runner.tile(int(kept["tile"][0])).scale[day, int(kept["inventory"][0])]
    money = kept["cost"][: runner.rows.replay.size][rows, 0].sum(-1) * scale
    assert len(money) > 2
    torch.testing.assert_close(money, money[:1].expand_as(money), rtol=1e-4, atol=0)
