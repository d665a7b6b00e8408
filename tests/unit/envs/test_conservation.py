"""No unit of stock appears or vanishes, and an order arrives when it is due."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from torch import Tensor

from envs.rollout import Decision, Trajectory, rollout
from envs.state import EXPECTED, InventoryState, Observation, Scenario
from tests.choices import problem_choices

Problem = Callable[..., tuple[Scenario, InventoryState]]


def asked(observation: Observation) -> Decision:
    return Decision(observation.basis[..., 0])


def arriving(scenario: Scenario, played: Trajectory) -> Tensor:
    """[T, N] units that the orders of each day bring, sooner or later."""
    if scenario.fill is None:
        return played.order
    short = played.order * scenario.fill
    whole = torch.as_tensor(scenario.order_multiple) > 0  # all multiples here are whole numbers
    return torch.where(whole, short.round(), short)


@settings(max_examples=200, deadline=None)
@given(choices=problem_choices)
def test_units_are_conserved(random_problem: Problem, choices: dict[str, object]) -> None:
    scenario, start = random_problem(**choices)
    played = rollout(scenario, asked, start)
    sales, unmet, end = played.outcome
    brought = start.position() + arriving(scenario, played).sum(0)
    demand = scenario.demand.sum(0)
    if scenario.backlog:
        # Every unit demanded is taken from stock, at once or later: what is owed is negative.
        torch.testing.assert_close(brought, demand + played.final.position())
        torch.testing.assert_close(unmet, (-end).clamp(min=0.0))
    else:
        torch.testing.assert_close(brought, sales.sum(0) + played.final.position())
        torch.testing.assert_close(sales + unmet, scenario.demand)
        assert (end >= 0).all()
    assert (sales >= 0).all()
    assert (unmet >= 0).all()
    assert (sales <= scenario.demand).all()


def slow_order(scenario: Scenario, t: int, i: int, position: float) -> float:
    """The rules of :mod:`envs.orders`, one inventory at a time."""
    given = scenario.order_multiple
    pack = float(given[i]) if isinstance(given, Tensor) else given
    wanted = order = float(scenario.basis[t, i, 0])
    if pack:
        order = round(order / pack) * pack
    if scenario.demand_rate is not None:
        rate, until_arrival, sellable, incoming = (
            float(getattr(scenario, name)[t, i]) for name in EXPECTED
        )
        gone = position <= until_arrival
        avoided = float(scenario.shortage_cost[i]) * pack
        if pack and wanted > 0 and order == 0 and gone and pack <= 365 * rate:
            held = float(scenario.holding_cost[i]) * pack / 2 * (pack / rate - 1)
            order = pack if avoided > held else 0.0
        most = min(incoming, sellable - position)
        if order > most:
            order = math.floor(most / pack + 1e-4) * pack if pack else most
    most = scenario.order_max
    if pack and most < math.inf:
        most = most // pack * pack
    return min(max(order, 0.0), most)


@settings(max_examples=100, deadline=None)
@given(choices=problem_choices)
def test_equals_a_slow_reference_with_one_dictionary_entry_per_delivery(
    random_problem: Problem, choices: dict[str, object]
) -> None:
    scenario, start = random_problem(**choices)
    played = rollout(scenario, asked, start)
    for i in range(scenario.num_inventories):
        on_hand = float(start.on_hand[i])
        due = {day + 1: float(c[i]) for day, c in enumerate(start.pipeline)}
        for t in range(scenario.num_days):
            on_hand += due.pop(t, 0.0)
            order = 0.0
            if scenario.review[t, i]:
                order = slow_order(scenario, t, i, on_hand + sum(due.values()))
            lead = int(scenario.lead_time[i])
            if scenario.order_lead_time is not None:
                lead = int(scenario.order_lead_time[t, i])
            units = order
            if scenario.fill is not None:
                units *= float(scenario.fill[t, i])
                given = scenario.order_multiple
                if given if isinstance(given, float) else given[i]:
                    units = round(units)
            if lead == 0:
                on_hand += units
            else:
                due[t + lead] = due.get(t + lead, 0.0) + units
            demand = float(scenario.demand[t, i])
            sold = min(max(on_hand, 0.0), demand)
            on_hand -= demand if scenario.backlog else sold
            unmet = max(-on_hand, 0.0) if scenario.backlog else demand - sold
            expected = (order, sold, unmet, on_hand)
            got = (played.order[t, i], *(part[t, i] for part in played.outcome))
            assert [float(x) for x in got] == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_orders_may_cross() -> None:
    """The later order arrives first."""
    ones = torch.ones(1, dtype=torch.float64)
    scenario = Scenario(
        demand=torch.zeros(4, 1, dtype=torch.float64),
        lead_time=torch.tensor([2]),
        review_period=torch.tensor([1]),
        review=torch.tensor([[True], [True], [False], [False]]),
        shortage_cost=ones,
        holding_cost=ones,
        scale=torch.ones(4, 1, dtype=torch.float64),
        basis=torch.tensor([[[10.0]], [[1.0]], [[0.0]], [[0.0]]], dtype=torch.float64),
        features=torch.zeros(4, 1, 0, dtype=torch.float64),
        order_lead_time=torch.tensor([[3], [1], [2], [2]]),
        max_lead_time=3,
    ).validate()
    end = rollout(scenario, asked).outcome.end[:, 0]
    assert end.tolist() == [0.0, 0.0, 1.0, 11.0]


@pytest.mark.parametrize("backlog", [False, True])
def test_shared_lead_time_and_lead_time_per_inventory_are_the_same_dynamics(
    random_problem: Problem, backlog: bool
) -> None:
    for seed in range(20):
        scenario, start = random_problem(seed, backlog=backlog, shared_lead_time=True, n=1)
        # A second inventory with another lead time forces the general path.
        other, other_start = random_problem(seed + 1000, backlog=backlog, n=3)
        both = Scenario(
            **{
                name: torch.cat(
                    (getattr(scenario, name), getattr(other, name)),
                    0 if name in ("lead_time", "review_period", "shortage_cost", "holding_cost")
                    else 1,
                )
                for name in ("demand", "lead_time", "review_period", "review", "shortage_cost",
                             "holding_cost", "scale", "basis", "features")
            },
            max_lead_time=4,
            backlog=backlog,
        )  # fmt: skip
        if len(both.lead_time.unique()) == 1:
            continue
        stock = torch.cat((start.stack(), other_start.stack()))
        fast = rollout(scenario, asked, start)
        general = rollout(both, asked, InventoryState.unstack(stock))
        torch.testing.assert_close(general.order[:, :1], fast.order)
        for part, same in zip(general.outcome, fast.outcome, strict=True):
            torch.testing.assert_close(part[:, :1], same)
        torch.testing.assert_close(general.final.stack()[:1], fast.final.stack())
