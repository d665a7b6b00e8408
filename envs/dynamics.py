"""The only inventory balance of the project: the order of events within a day.

1. What is due today is already on hand.
2. On a review day an order q >= 0 is placed; it becomes usable L days later
   (L = 0: at once, before today's demand), whole or in part.
3. Demand d: what is on hand is sold. The rest is lost, or owed (backlog).
4. The end-of-day inventory is recorded.
5. The pipeline moves one day: the next state's on-hand holds what is due then.

Everything is a pure function of tensors, batched over inventories and
differentiable (almost everywhere) in the order and in the state.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from envs.state import InventoryState


class DayOutcome(NamedTuple):
    """What happened in a day, [N] units each."""

    sales: Tensor
    """Demand served from stock on the day."""
    unmet: Tensor
    """Lost sales: demand not served. Backlog: all that is owed at the end of the day."""
    end: Tensor
    """End-of-day inventory; negative when demand is owed."""


def arrival_shares(lead_time: Tensor, max_lead_time: int, fill: Tensor | None = None) -> Tensor:
    """Share of an order that becomes usable after 0..K days.

    Args:
        lead_time: [N] int64 days.
        max_lead_time: K.
        fill: [N] share of the order that arrives at all; None for all of it.

    Returns:
        [K+1, N] in the default float dtype or that of ``fill``.
    """
    slots = torch.arange(max_lead_time + 1, device=lead_time.device).unsqueeze(1) == lead_time
    if fill is None:
        return slots.to(torch.get_default_dtype())
    return slots.to(fill.dtype) * fill


def admissible_order(order: Tensor, order_multiple: float, order_max: float) -> Tensor:
    """The order that is really placed: in [0, max], in whole multiples.

    Rounding passes the gradient straight through, so that DS can train under it.

    Args:
        order: [N] units asked for.
        order_multiple: Pack size in units; 0 for continuous orders.
        order_max: Units.
    """
    if order_multiple > 0:
        rounded = torch.round(order / order_multiple) * order_multiple
        order = order + (rounded - order).detach()
        if order_max != float("inf"):
            order_max = order_max // order_multiple * order_multiple
    return order.clamp(min=0.0, max=None if order_max == float("inf") else order_max)


def place_order(state: InventoryState, order: Tensor, lead_time: int | Tensor) -> InventoryState:
    """Event 2: adds an order to the pipeline, or to the stock on hand where L = 0.

    Args:
        state: Stock before the order.
        order: [N] units >= 0.
        lead_time: Days, when all inventories share one; else ``arrival_shares`` [K+1, N].
    """
    on_hand, pipeline = state
    if isinstance(lead_time, int):
        if lead_time == 0:
            return InventoryState(on_hand + order, pipeline)
        slot = lead_time - 1
        return InventoryState(
            on_hand, (*pipeline[:slot], pipeline[slot] + order, *pipeline[slot + 1 :])
        )
    return InventoryState(
        torch.addcmul(on_hand, order, lead_time[0]),
        tuple(torch.addcmul(c, order, lead_time[k + 1]) for k, c in enumerate(pipeline)),
    )


def serve_demand(on_hand: Tensor, demand: Tensor, *, backlog: bool) -> DayOutcome:
    """Events 3 and 4: [N] stock on hand meets [N] demand."""
    if backlog:
        end = on_hand - demand
        sales = torch.minimum(on_hand.clamp(min=0.0), demand)
        return DayOutcome(sales, (-end).clamp(min=0.0), end)
    sales = torch.minimum(on_hand, demand)
    return DayOutcome(sales, demand - sales, on_hand - sales)


def next_morning(end: Tensor, pipeline: tuple[Tensor, ...]) -> InventoryState:
    """Event 5: the pipeline moves one day."""
    if not pipeline:
        return InventoryState(end, pipeline)
    return InventoryState(end + pipeline[0], (*pipeline[1:], torch.zeros_like(end)))


def step(
    state: InventoryState,
    order: Tensor | None,
    demand: Tensor,
    lead_time: int | Tensor,
    *,
    backlog: bool = False,
) -> tuple[InventoryState, DayOutcome]:
    """One day (events 2 to 5).

    Args:
        state: Stock in the morning, today's arrivals included.
        order: [N] admissible order (see :func:`admissible_order`); None when nobody orders.
        demand: [N] units.
        lead_time: See :func:`place_order`.
        backlog: Unmet demand is owed instead of lost.

    Returns:
        Stock of the next morning and the day's outcome.
    """
    if order is not None:
        state = place_order(state, order, lead_time)
    outcome = serve_demand(state.on_hand, demand, backlog=backlog)
    return next_morning(outcome.end, state.pipeline), outcome
