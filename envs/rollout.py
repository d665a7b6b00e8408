"""Plays a policy over a horizon for a batch of inventories.

DS, the evaluator, the runners and the tests all call :func:`rollout`; nobody else
steps the dynamics over more than one day.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from envs.dynamics import DayOutcome, admissible_order, arrival_shares, step
from envs.state import InventoryState, Observation, Scenario


class Decision(NamedTuple):
    """A policy's answer for one day."""

    order: Tensor
    """[R] units asked for, of the R inventories that were observed."""
    columns: dict[str, Tensor] = {}  # noqa: RUF012 (read only; a NamedTuple has no factory)
    """Further [R, ...] tensors worth keeping with the decision (action, log-probability)."""


Policy = Callable[[Observation], Decision]


@dataclass
class Trajectory:
    """A played horizon; day-major."""

    order: Tensor
    """[T, N] units, as placed."""
    outcome: DayOutcome
    """[T, N] each."""
    final: InventoryState
    """Stock on the morning after the last day."""
    stock: Tensor | None = None
    """[T, N, K+1] stock before the order (if recorded)."""
    columns: dict[str, Tensor] = field(default_factory=dict)
    """What the policy returned besides the order, [T, N, ...]; zeros on days without review."""


def _uniform(lead_time: Tensor) -> int | None:
    first = int(lead_time[0])
    return first if bool((lead_time == first).all()) else None


def rollout(
    scenario: Scenario,
    policy: Policy,
    state: InventoryState | None = None,
    *,
    record: bool = False,
) -> Trajectory:
    """Plays ``policy`` on every day of ``scenario``.

    Args:
        scenario: N inventories over T days.
        policy: Maps an :class:`Observation` of the inventories that are reviewed on a day
            to a :class:`Decision`.
        state: Stock on the first morning; None starts empty.
        record: Keep the stock before each order and the policy's columns.

    Returns:
        The trajectory. It carries gradients if the policy does.
    """
    n = scenario.num_inventories
    if state is None:
        state = InventoryState.empty(n, scenario.max_lead_time, like=scenario.demand)
    lead: int | Tensor | None = None
    if scenario.order_lead_time is None and scenario.fill is None:
        # One shared lead time is the fast path: an order touches one column.
        lead = _uniform(scenario.lead_time)
        if lead is None:
            shares = arrival_shares(scenario.lead_time, scenario.max_lead_time)
            lead = shares.to(scenario.demand.dtype)
    due = scenario.review.nonzero()[:, 1].split(scenario.review.sum(1).tolist())
    nothing = torch.zeros_like(scenario.demand[0])
    orders, sales, unmet, ends, stocks = [], [], [], [], []
    columns: list[dict[str, Tensor]] = []
    for day, demand in enumerate(scenario.demand.unbind(0)):
        order: Tensor | None = None
        kept: dict[str, Tensor] = {}
        if record:
            stocks.append(state.stack())
        if len(due[day]):
            order, kept = _decide(scenario, policy, state, day, due[day])
        if record:
            columns.append(kept)
        arrival = lead if lead is not None else _shares_of_day(scenario, day)
        state, outcome = step(state, order, demand, arrival, backlog=scenario.backlog)
        orders.append(nothing if order is None else order)
        sales.append(outcome.sales)
        unmet.append(outcome.unmet)
        ends.append(outcome.end)
    return Trajectory(
        order=torch.stack(orders),
        outcome=DayOutcome(torch.stack(sales), torch.stack(unmet), torch.stack(ends)),
        final=state,
        stock=torch.stack(stocks) if record else None,
        columns=_stack_columns(columns) if record else {},
    )


def _decide(
    scenario: Scenario, policy: Policy, state: InventoryState, day: int, due: Tensor
) -> tuple[Tensor, dict[str, Tensor]]:
    """The day's admissible orders and the policy's columns, [N, ...].

    The policy is asked about the inventories that are reviewed (``due`` [R]) only: with
    review periods of several days that is most of the work saved.
    """
    n = scenario.num_inventories
    observation = scenario.observe(day, state)
    if len(due) < n:
        observation = Observation(*(part.index_select(0, due) for part in observation))
    decision = policy(observation)
    order = admissible_order(decision.order, scenario.order_multiple, scenario.order_max)
    if len(due) == n:
        return order, decision.columns
    columns = {name: _spread(value, due, n) for name, value in decision.columns.items()}
    return _spread(order, due, n), columns


def _spread(values: Tensor, rows: Tensor, n: int) -> Tensor:
    """[R, ...] values at ``rows`` of n, zeros elsewhere."""
    return values.new_zeros((n, *values.shape[1:])).index_copy(0, rows, values)


def _shares_of_day(scenario: Scenario, day: int) -> Tensor:
    lead = scenario.lead_time if scenario.order_lead_time is None else scenario.order_lead_time[day]
    fill = None if scenario.fill is None else scenario.fill[day]
    return arrival_shares(lead, scenario.max_lead_time, fill).to(scenario.demand.dtype)


def _stack_columns(days: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Days without review have no columns: they are filled with zeros."""
    example: dict[str, Tensor] = next((d for d in days if d), {})
    return {
        name: torch.stack([d[name] if d else torch.zeros_like(value) for d in days])
        for name, value in example.items()
    }
