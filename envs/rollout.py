"""Plays a policy over a horizon for a batch of inventories.

DS, the evaluator, the runners and the tests all play through :func:`rollout` or
:func:`rollout_metrics`; nobody else steps the dynamics over more than one day.

Where gradients are recorded every day makes new tensors. Without them days are played in
place (:class:`~envs.dynamics.StockCalendar`), by the same functions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from envs.dynamics import (
    DayOutcome,
    Into,
    Served,
    StockCalendar,
    admissible_order,
    advance,
    arrival_shares,
    unmet_demand,
)
from envs.objective import HorizonMetrics, HorizonSums
from envs.state import InventoryState, Observation, Scenario

BLOCK_DAYS = 16
"""Days that are played in one piece of memory, which stays in the cache."""
TILE_ROWS, TILE_ROWS_GIVEN = 4096, 16384
"""Inventories that :func:`rollout_metrics` plays at a time: asking a policy, whose hidden
layers must fit the cache too, and with given orders."""


class Decision(NamedTuple):
    """A policy's answer for one day."""

    order: Tensor
    """[R] units asked for, of the R inventories that were observed."""
    columns: dict[str, Tensor] = {}  # noqa: RUF012 (read only; a NamedTuple has no factory)
    """Further [R, ...] tensors worth keeping with the decision (action, log-probability)."""


Policy = Callable[[Observation], Decision]
"""What it is shown is the simulator's own memory: the next day overwrites the stock."""


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


def rollout(
    scenario: Scenario,
    policy: Policy | Tensor,
    state: InventoryState | None = None,
    *,
    record: bool = False,
) -> Trajectory:
    """Plays ``policy`` on every day of ``scenario``.

    Args:
        scenario: N inventories over T days.
        policy: Maps an :class:`Observation` of the inventories that are reviewed on a day
            to a :class:`Decision`; or [T, N] orders that are given, of which those on
            review days are placed.
        state: Stock on the first morning; None starts empty.
        record: Keep the stock before each order and the policy's columns.

    Returns:
        The trajectory. It carries gradients if the policy does.
    """
    state = _start(scenario) if state is None else state
    ask = _Questions(scenario, policy)
    play = _rollout_with_gradients if torch.is_grad_enabled() else _rollout_in_place
    return play(scenario, ask, state, record)


def rollout_metrics(
    scenario: Scenario,
    policy: Policy | Tensor,
    state: InventoryState | None = None,
    *,
    counted: Tensor | None = None,
    tile_rows: int | None = None,
) -> HorizonMetrics:
    """Plays ``policy`` and keeps the metrics only; of any number of inventories.

    The inventories are played a tile at a time and a few days at a time, so that what is
    written is still in the cache when it is added up. Carries no gradients.

    Args:
        scenario: N inventories over T days.
        policy: See :func:`rollout`; it is asked about one tile at a time.
        state: Stock on the first morning; None starts empty.
        counted: [T, N] bool, days that enter the metrics; None takes the scenario's.
        tile_rows: Inventories per tile; None: ``TILE_ROWS`` or ``TILE_ROWS_GIVEN``.
    """
    if tile_rows is None:
        tile_rows = TILE_ROWS_GIVEN if isinstance(policy, Tensor) else TILE_ROWS
    counted = scenario.counted if counted is None else counted
    state = _start(scenario) if state is None else state
    tiles = []
    memory: _Block | None = None
    for first in range(0, scenario.num_inventories, tile_rows):
        rows = slice(first, first + tile_rows)
        tile = scenario.inventories(rows)
        if memory is None or memory.rows != tile.num_inventories:
            memory = _Block.of_tile(tile, len(state.pipeline))
        ask = _Questions(tile, policy[:, rows] if isinstance(policy, Tensor) else policy)
        start = InventoryState(state.on_hand[rows], tuple(c[rows] for c in state.pipeline))
        which = None if counted is None else counted[:, rows]
        with torch.no_grad():
            tiles.append(_tile_metrics(tile, ask, start, which, memory))
    return HorizonMetrics.concatenate(tiles)


def _start(scenario: Scenario) -> InventoryState:
    return InventoryState.empty(
        scenario.num_inventories, scenario.max_lead_time, like=scenario.demand
    )


class _Block:
    """Where a block of days is written, [days, N]; reused from block to block.

    Args:
        calendar: Memory of the stock.
        order: [days, N].
        outcome: [days, N] each.
    """

    def __init__(self, calendar: StockCalendar, order: Tensor, outcome: DayOutcome) -> None:
        self.calendar = calendar
        self.order = order
        self.outcome = outcome
        self.rows = order.shape[1]
        self.days = [
            (placed, Into(Served(sales, end), morning))
            for placed, sales, end, morning in zip(
                order.unbind(0),
                outcome.sales.unbind(0),
                outcome.end.unbind(0),
                calendar.mornings[1:],
                strict=False,
            )
        ]

    @staticmethod
    def of_tile(tile: Scenario, max_lead_time: int) -> _Block:
        """Memory for blocks of ``BLOCK_DAYS`` days of ``tile``."""
        days, n = min(BLOCK_DAYS, tile.num_days), tile.num_inventories
        order, *outcome = tile.demand.new_empty((4, days, n))
        calendar = StockCalendar(n, max_lead_time, days, like=tile.demand)
        return _Block(calendar, order, DayOutcome(*outcome))


def _tile_metrics(
    scenario: Scenario,
    ask: _Questions,
    state: InventoryState,
    counted: Tensor | None,
    memory: _Block,
) -> HorizonMetrics:
    sums = HorizonSums(like=scenario.demand[0])
    for first in range(0, scenario.num_days, BLOCK_DAYS):
        demand = scenario.demand[first : first + BLOCK_DAYS]
        state = _play_block(scenario, ask, state, first, demand, memory)
        days = demand.shape[0]
        outcome = DayOutcome(*(part[:days] for part in memory.outcome))
        which = None if counted is None else counted[first : first + days]
        sums.add(outcome, which, demand if scenario.backlog else None)
    return sums.metrics(scenario.shortage_cost, scenario.holding_cost)


def _rollout_in_place(
    scenario: Scenario, ask: _Questions, state: InventoryState, record: bool
) -> Trajectory:
    days, n = scenario.demand.shape
    order, *outcome = (torch.empty_like(scenario.demand) for _ in range(4))
    kept: _Kept | None = None
    if record:
        kept = _Kept(scenario.demand.new_empty((days, n, 1 + len(state.pipeline))))
    size = min(days, BLOCK_DAYS)
    calendar = StockCalendar(n, len(state.pipeline), size, like=scenario.demand)
    for first in range(0, days, size):
        block = slice(first, first + size)
        memory = _Block(calendar, order[block], DayOutcome(*(part[block] for part in outcome)))
        state = _play_block(scenario, ask, state, first, scenario.demand[block], memory, kept)
    assert state.block is not None
    return Trajectory(
        order,
        DayOutcome(*outcome),
        InventoryState.of_block(state.block.clone()),
        None if kept is None else kept.stock,
        {} if kept is None else kept.columns,
    )


@dataclass
class _Kept:
    """What is recorded of a horizon besides its outcome."""

    stock: Tensor
    columns: dict[str, Tensor] = field(default_factory=dict)

    def keep(self, day: int, columns: dict[str, Tensor]) -> None:
        for name, value in columns.items():
            if name not in self.columns:
                self.columns[name] = value.new_zeros((len(self.stock), *value.shape))
            self.columns[name][day] = value


def _play_block(
    scenario: Scenario,
    ask: _Questions,
    state: InventoryState,
    first: int,
    demand: Tensor,
    memory: _Block,
    kept: _Kept | None = None,
) -> InventoryState:
    """Plays the days of ``demand`` [days, N], which start on day ``first``, in place.

    Returns:
        Stock of the morning after, in the block's memory.
    """
    memory.calendar.begin(state)
    state = memory.calendar.mornings[0]
    days = demand.shape[0]
    orders = memory.order[:days]
    # Orders that no stock can change may be placed for the whole block at once.
    placed_ahead = (
        ask.fill_in_given(first, orders) and kept is None and ask.arrival.shared is not None
    )
    if placed_ahead:
        memory.calendar.place_ahead(orders, ask.arrival.shared or 0)
    for day, (needed, (order, into)) in enumerate(
        zip(demand.unbind(0), memory.days, strict=False), start=first
    ):
        if placed_ahead:
            state, _ = advance(state, None, needed, 0, backlog=scenario.backlog, into=into)
            continue
        if kept is not None:
            kept.stock[day] = state.stack()
        placed, columns = ask.answer(day, state, order)
        if kept is not None:
            kept.keep(day, columns)
        lead = ask.arrival(day)
        state, _ = advance(state, placed, needed, lead, backlog=scenario.backlog, into=into)
    sales, unmet, end = (part[:days] for part in memory.outcome)
    unmet_demand(Served(sales, end), demand, backlog=scenario.backlog, out=unmet)
    return state


def _rollout_with_gradients(
    scenario: Scenario, ask: _Questions, state: InventoryState, record: bool
) -> Trajectory:
    nothing = torch.zeros_like(scenario.demand[0])
    orders, served, stocks = [], [], []
    columns: list[dict[str, Tensor]] = []
    for day, demand in enumerate(scenario.demand.unbind(0)):
        if record:
            stocks.append(state.stack())
        order, kept = ask.answer(day, state)
        if record:
            columns.append(kept)
        state, happened = advance(state, order, demand, ask.arrival(day), backlog=scenario.backlog)
        orders.append(nothing if order is None else order)
        served.append(happened)
    whole = Served(*(torch.stack(part) for part in zip(*served, strict=True)))
    unmet = unmet_demand(whole, scenario.demand, backlog=scenario.backlog)
    return Trajectory(
        order=torch.stack(orders),
        outcome=DayOutcome(whole.sales, unmet, whole.end),
        final=state,
        stock=torch.stack(stocks) if record else None,
        columns=_stack_columns(columns) if record else {},
    )


class Arrivals:
    """Lead times of a scenario's orders, as :func:`~envs.dynamics.place_order` takes them."""

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self.shared: int | None = None
        """The one lead time of all orders: the fast path, an order touches one column."""
        self._shares: Tensor | None = None
        if scenario.order_lead_time is None and scenario.fill is None:
            lead = scenario.lead_time
            first = int(lead[0])
            if bool((lead == first).all()):
                self.shared = first
            else:
                shares = arrival_shares(lead, scenario.max_lead_time)
                self._shares = shares.to(scenario.demand.dtype)

    def __call__(self, day: int) -> int | Tensor:
        """Of the orders placed on ``day``."""
        if self.shared is not None:
            return self.shared
        if self._shares is not None:
            return self._shares
        given = self._scenario
        lead = given.lead_time if given.order_lead_time is None else given.order_lead_time[day]
        fill = None if given.fill is None else given.fill[day]
        return arrival_shares(lead, given.max_lead_time, fill).to(given.demand.dtype)


class _Questions:
    """Who is asked on which day, what the answer is, and when the order arrives."""

    def __init__(self, scenario: Scenario, policy: Policy | Tensor) -> None:
        self._scenario = scenario
        self._policy = policy
        # As bytes: torch has no fast reduction of booleans.
        review = scenario.review.view(torch.uint8)
        self._everyone = review.amin(1).bool().tolist()
        self._due: list[Tensor] = []
        if not all(self._everyone) and not isinstance(policy, Tensor):
            rows = scenario.review.nonzero()[:, 1]
            self._due = list(rows.split(scenario.review.sum(1).tolist()))
        self.arrival = Arrivals(scenario)

    def fill_in_given(self, first: int, out: Tensor) -> bool:
        """Writes the orders of a block of days, [days, N]; False if none were given in advance."""
        if not isinstance(self._policy, Tensor):
            return False
        block = slice(first, first + out.shape[0])
        self._admit(self._policy[block], out)
        if not all(self._everyone[block]):
            out.mul_(self._scenario.review[block])
        return True

    def answer(
        self, day: int, state: InventoryState, out: Tensor | None = None
    ) -> tuple[Tensor | None, dict[str, Tensor]]:
        """The day's admissible orders and the policy's columns, [N, ...]; None: nobody orders.

        The policy is asked about the inventories that are reviewed only: with review
        periods of several days that is most of the work saved.
        """
        if isinstance(self._policy, Tensor):
            if out is not None:
                return out, {}  # see fill_in_given
            order = self._admit(self._policy[day])
            return (order if self._everyone[day] else order * self._scenario.review[day]), {}
        if self._everyone[day]:
            decision = self._policy(self._scenario.observe(day, state))
            return self._admit(decision.order, out), decision.columns
        due, n = self._due[day], self._scenario.num_inventories
        if not len(due):
            if out is not None:
                out.zero_()
            return None, {}
        stock = state.as_block()
        assert stock.block is not None
        # Stock is picked in columns: strided rows are ten times slower.
        picked = InventoryState.of_block(stock.block.index_select(1, due))
        _, *exogenous = self._scenario.observe(day, stock)
        seen = Observation(picked.stack(), *(part.index_select(0, due) for part in exogenous))
        decision = self._policy(seen)
        order = _spread(self._admit(decision.order), due, n, out)
        return order, {name: _spread(c, due, n) for name, c in decision.columns.items()}

    def _admit(self, order: Tensor, out: Tensor | None = None) -> Tensor:
        given = self._scenario
        return admissible_order(order, given.order_multiple, given.order_max, out)


def _spread(values: Tensor, rows: Tensor, n: int, out: Tensor | None = None) -> Tensor:
    """[R, ...] values at ``rows`` of n, zeros elsewhere."""
    base = values.new_zeros((n, *values.shape[1:])) if out is None else out.zero_()
    return base.index_copy_(0, rows, values)


def _stack_columns(days: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Days without review have no columns: they are filled with zeros."""
    example: dict[str, Tensor] = next((d for d in days if d), {})
    return {
        name: torch.stack([d[name] if d else torch.zeros_like(value) for d in days])
        for name, value in example.items()
    }
