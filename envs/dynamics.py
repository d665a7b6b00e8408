"""The only inventory balance of the project: the order of events within a day.

1. What is due today is already on hand.
2. On a review day an order q >= 0 is placed; it becomes usable L days later
   (L = 0: at once, before today's demand), whole or in part.
3. Demand d: what is on hand is sold. The rest is lost, or owed (backlog).
4. The end-of-day inventory is recorded.
5. The pipeline moves one day: the next state's on-hand holds what is due then.

Everything is batched over inventories. Without ``into`` it is a pure function of tensors,
differentiable (almost everywhere) in the order and in the state; with it the same
arithmetic writes into tensors that exist already (see :class:`StockCalendar`), which is
what a day of a large batch costs otherwise: allocating its results.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from envs.state import InventoryState


class Served(NamedTuple):
    """What a day did to the stock, [N] units each; see :class:`DayOutcome`."""

    sales: Tensor
    end: Tensor


class DayOutcome(NamedTuple):
    """What happened in a day, [N] units each."""

    sales: Tensor
    """Demand served from stock on the day."""
    unmet: Tensor
    """Lost sales: demand not served. Backlog: all that is owed at the end of the day."""
    end: Tensor
    """End-of-day inventory; negative when demand is owed."""


class Into(NamedTuple):
    """Where a day is written when it is played in place."""

    served: Served
    morning: InventoryState
    """Next morning's stock: shares memory with today's pipeline, shifted by a day."""


def arrival_slots(lead_time: Tensor, max_lead_time: int, dtype: torch.dtype) -> Tensor:
    """[K+1, N] of ``dtype``: 1 where an order becomes usable, after 0..K days; else 0.

    Args:
        lead_time: [N] int64 days.
        max_lead_time: K.
        dtype: Of the stock.
    """
    slots = torch.arange(max_lead_time + 1, device=lead_time.device).unsqueeze(1) == lead_time
    return slots.to(dtype)


def place_order(
    state: InventoryState, order: Tensor, lead_time: int | Tensor, *, in_place: bool = False
) -> InventoryState:
    """Event 2: adds an order to the pipeline, or to the stock on hand where L = 0.

    Args:
        state: Stock before the order.
        order: [N] units >= 0, as they arrive (see :func:`envs.orders.delivered`).
        lead_time: Days, when all inventories share one; else ``arrival_slots`` [K+1, N].
        in_place: Overwrite ``state``.
    """
    if isinstance(lead_time, int):
        # An order touches one column.
        columns = [state.on_hand, *state.pipeline]
        column = columns[lead_time]
        columns[lead_time] = torch.add(column, order, out=column if in_place else None)
        return state if in_place else InventoryState(columns[0], tuple(columns[1:]))
    block = state.as_block().block
    assert block is not None
    placed = torch.addcmul(block, order, lead_time, out=block if in_place else None)
    return state if in_place else InventoryState.of_block(placed)


def serve_demand(
    on_hand: Tensor, demand: Tensor, *, backlog: bool, into: Served | None = None
) -> Served:
    """Events 3 and 4: [N] stock on hand meets [N] demand."""
    sales, end = (None, None) if into is None else into
    if backlog:
        sales = torch.minimum(on_hand.clamp(min=0.0), demand, out=sales)
        return Served(sales, torch.sub(on_hand, demand, out=end))
    sales = torch.minimum(on_hand, demand, out=sales)
    return Served(sales, torch.sub(on_hand, sales, out=end))


def unmet_demand(
    served: Served, demand: Tensor, *, backlog: bool, out: Tensor | None = None
) -> Tensor:
    """What was not served: [N] of a day, or [days, N]."""
    if backlog:
        return torch.clamp(-served.end, min=0.0, out=out)
    return torch.sub(demand, served.sales, out=out)


def next_morning(
    end: Tensor, pipeline: tuple[Tensor, ...], into: InventoryState | None = None
) -> InventoryState:
    """Event 5: the pipeline moves one day."""
    if into is not None:
        # The same memory as pipeline[0]; where there is no pipeline, zeros.
        torch.add(into.on_hand, end, out=into.on_hand)
        return into
    if not pipeline:
        return InventoryState(end, pipeline)
    return InventoryState(pipeline[0] + end, (*pipeline[1:], torch.zeros_like(end)))


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
        order: [N] what arrives of an admissible order (see :mod:`envs.orders`); None when nobody
            orders.
        demand: [N] units.
        lead_time: See :func:`place_order`.
        backlog: Unmet demand is owed instead of lost.

    Returns:
        Stock of the next morning and the day's outcome.
    """
    morning, served = advance(state, order, demand, lead_time, backlog=backlog)
    unmet = unmet_demand(served, demand, backlog=backlog)
    return morning, DayOutcome(served.sales, unmet, served.end)


def advance(
    state: InventoryState,
    order: Tensor | None,
    demand: Tensor,
    lead_time: int | Tensor,
    *,
    backlog: bool,
    into: Into | None = None,
) -> tuple[InventoryState, Served]:
    """:func:`step` without the unmet demand, which a block of days can work out at once.

    Args:
        state, order, demand, lead_time, backlog: See :func:`step`.
        into: Play the day in place: ``state`` is overwritten. Carries no gradients.
    """
    served_into, morning_into = (None, None) if into is None else into
    if order is not None:
        state = place_order(state, order, lead_time, in_place=into is not None)
    served = serve_demand(state.on_hand, demand, backlog=backlog, into=served_into)
    return next_morning(served.end, state.pipeline, morning_into), served


class StockCalendar:
    """Memory for the stock of N inventories over a block of days, to be played in place.

    Row t + k of one table holds what becomes usable k days after day t: a day's state is
    the rows t..t+K, and the next day's starts a row further down. The pipeline moves without
    a copy, and nothing is allocated from day to day.

    Args:
        n: N.
        max_lead_time: K.
        days: Days that a block has at most.
        like: Gives dtype and device.
    """

    def __init__(self, n: int, max_lead_time: int, days: int, *, like: Tensor) -> None:
        self._slots = slots = max_lead_time + 1
        self._table = like.new_empty((days + slots, n))
        rows = self._table.unbind(0)
        # All at once: a window that is sliced by itself costs as much as a day's arithmetic.
        windows = self._table.as_strided((days + 1, slots, n), (n, n, 1)).unbind(0)
        self.mornings = [
            InventoryState(rows[t], rows[t + 1 : t + slots], window)
            for t, window in enumerate(windows)
        ]
        """The state of each morning of a block, and of the one after it."""

    def begin(self, state: InventoryState) -> None:
        """Copies the stock of a block's first morning in; it may be a morning of the last one."""
        block = state.as_block().block
        assert block is not None
        # The two may overlap.
        self._table[: self._slots] = block.clone()
        self._table[self._slots :].zero_()

    def place_ahead(self, orders: Tensor, lead_time: int) -> None:
        """Event 2 of several days at once, for orders [days, N] that are known in advance."""
        rows = self._table[lead_time : lead_time + orders.shape[0]]
        torch.add(rows, orders, out=rows)
