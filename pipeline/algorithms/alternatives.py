"""What other actions would have led to on the same demand: rows that nobody had to live through.

Demand does not depend on orders. What a decision would have cost with another order, and the
stock that it would have left, is therefore known as soon as the demand is: the simulator is
asked again. Alternatives of one decision share their demand, so that the differences between
them are free of most of its noise (input-dependent baselines, Mao et al. 2019); with shortages
that cost hundreds of times what holding does, little else can be told apart.

Shapes: C alternatives, R decisions, K as in :mod:`envs.state`.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from envs.dynamics import DayOutcome, advance, arrival_slots, place_order, unmet_demand
from envs.objective import Objective
from envs.orders import admissible, delivered, rules_of
from envs.rollout import Trajectory
from envs.state import InventoryState, Observation, Scenario
from pipeline.algorithms.decisions import Decisions, decision_costs
from pipeline.algorithms.modules import PolicyModule
from pipeline.policies.action_models import ActionModel


class Alternatives(NamedTuple):
    """What each alternative of each decision led to."""

    cost: Tensor
    """[C, R, P] what it is charged with, in the objective's parts and in decision sizes."""
    next_stock: Tensor
    """[C, R, K+1] units on the morning of the inventory's next decision."""


def outcomes_of(
    module: PolicyModule,
    scenario: Scenario,
    played: Trajectory,
    decisions: Decisions,
    observation: Observation,
    actions: Tensor,
) -> Alternatives:
    """What other actions at decisions of a fragment would have led to.

    Args:
        module: Whose action model makes orders of actions, and whose objective counts.
        scenario: The fragment.
        played: How it went.
        decisions: R of it.
        observation: What was seen at each.
        actions: [C, R, A] of each; a single one is that which was played.
    """
    objective, model = module.objective, module.policy.action_model
    if len(actions) == 1:
        return _what_was_played(scenario, played, decisions, objective)
    assert objective.crediting.of_governed_days, "what other orders are charged with is not known"
    orders = alternative_orders(scenario, decisions, observation, actions, model)
    return play_alternatives(scenario, observation.stock, decisions, orders, played, objective)


def _what_was_played(
    scenario: Scenario, played: Trajectory, decisions: Decisions, objective: Objective
) -> Alternatives:
    """What the decisions of a fragment themselves led to, C = 1; under any credit."""
    assert played.stock is not None
    cost = decision_costs(scenario, played, decisions, objective)
    next_stock = played.stock[decisions.next_day, decisions.inventory]
    return Alternatives(cost.unsqueeze(0), next_stock.unsqueeze(0))


def alternative_orders(
    scenario: Scenario,
    decisions: Decisions,
    observation: Observation,
    actions: Tensor,
    model: ActionModel,
) -> Tensor:
    """[C, R] admissible orders of the actions [C, R, A], each in its decision's place."""
    cells = decisions.day * scenario.num_inventories + decisions.inventory
    rules = rules_of(scenario)
    here = rules.map(lambda facts: facts.flatten().index_select(0, cells))
    here = here.map_sizes(lambda sizes: sizes.index_select(0, decisions.inventory))
    position = observation.stock.sum(-1)
    return torch.stack(
        [admissible(model(action, observation), here, position) for action in actions]
    )


def play_alternatives(
    scenario: Scenario,
    stock: Tensor,
    decisions: Decisions,
    orders: Tensor,
    played: Trajectory,
    objective: Objective,
) -> Alternatives:
    """Plays every decision's governed days with other orders in its place.

    Orders that were placed later and arrive within those days (they may cross where lead times
    are random) are taken as they were.

    Args:
        scenario: The fragment.
        stock: [R, K+1] units before each decision.
        decisions: Of the fragment.
        orders: [C, R] admissible orders, units.
        played: How the fragment went.
        objective: What its days cost.
    """
    n = scenario.num_inventories
    here = decisions.day * n + decisions.inventory
    lead, period = (
        values[decisions.inventory] for values in (scenario.lead_time, scenario.review_period)
    )
    arrivals = _Arrivals(scenario, decisions)
    # A copy per alternative; the days below write nothing in place.
    state = InventoryState.unstack(stock.expand(*orders.shape, -1))
    state = place_order(state, *arrivals.of(orders, here))
    totals = [torch.zeros_like(orders) for _ in objective.parts]
    next_stock = stock.new_empty((*orders.shape, stock.shape[-1]))
    horizon = int((lead + period).max()) if len(lead) else 0
    for passed in range(horizon + 1):
        due = (period == passed).nonzero().squeeze(1)
        if len(due):
            morning = [column.index_select(1, due) for column in (state.on_hand, *state.pipeline)]
            next_stock[:, due] = torch.stack(morning, -1)
        if passed == horizon:
            break
        day = (decisions.day + passed).clamp(max=scenario.num_days - 1)
        cells = day * n + decisions.inventory
        demand = scenario.demand.flatten().index_select(0, cells)
        later, share = arrivals.placed_later(played, cells) if passed else (None, 0)
        state, served = advance(state, later, demand, share, backlog=scenario.backlog)
        weight = ((lead <= passed) & (passed < lead + period)).to(demand.dtype)
        if scenario.counted is not None:
            weight = weight * scenario.counted.flatten().index_select(0, cells)
        unmet = unmet_demand(served, demand, backlog=scenario.backlog)
        amounts = objective.amounts(DayOutcome(served.sales, unmet, served.end))
        for total, amount in zip(totals, amounts, strict=True):
            total.addcmul_(amount, weight)
    unit = objective.decision_size(scenario).flatten().index_select(0, here)
    costs = [
        total * (rate[decisions.inventory] / unit)
        for total, rate in zip(totals, objective.rates(scenario), strict=True)
    ]
    return Alternatives(torch.stack(costs, -1), next_stock)


class _Arrivals:
    """What arrives of a fragment's orders, and when.

    Args:
        scenario: The fragment.
        decisions: Of it.
    """

    def __init__(self, scenario: Scenario, decisions: Decisions) -> None:
        self._scenario, self._inventory = scenario, decisions.inventory
        self._may_cross = scenario.order_lead_time is not None

    def of(self, orders: Tensor, cells: Tensor) -> tuple[Tensor, Tensor]:
        """Units that arrive of orders [..., R] placed in these cells (day * N + inventory), and
        their slots [K+1, 1, R]."""
        given, when = self._scenario, self._scenario.lead_time[self._inventory]
        if given.order_lead_time is not None:
            when = given.order_lead_time.flatten().index_select(0, cells)
        slots = arrival_slots(when, given.max_lead_time, orders.dtype).unsqueeze(1)
        if given.fill is not None:
            multiple = given.order_multiple
            if isinstance(multiple, Tensor):
                multiple = multiple[self._inventory]
            orders = delivered(orders, given.fill.flatten().index_select(0, cells), multiple)
        return orders, slots

    def placed_later(self, played: Trajectory, cells: Tensor) -> tuple[Tensor | None, int | Tensor]:
        """:meth:`of` the orders that were played; None where none can arrive in time."""
        if not self._may_cross:
            return None, 0
        return self.of(played.order.flatten().index_select(0, cells), cells)
