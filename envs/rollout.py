"""Plays a policy over a horizon for a batch of inventories.

DS, the evaluator, the runners and the tests all play through :func:`rollout` or
:func:`rollout_metrics`; nobody else steps the dynamics over more than one day.

Where gradients are recorded every day makes new tensors. Without them days are played in
place (:class:`~envs.dynamics.StockCalendar`), by the same functions.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from envs.dynamics import (
    DayOutcome,
    Into,
    Served,
    StockCalendar,
    advance,
    unmet_demand,
)
from envs.fast.compiled import COMPILED_ROWS, compiled_metrics
from envs.horizon import HorizonMetrics, HorizonSums
from envs.review import Decision, Policy, Questions
from envs.state import InventoryState, Scenario

__all__ = ["Decision", "Policy", "Trajectory", "rollout", "rollout_metrics"]

BLOCK_DAYS, BLOCK_SIZE = 16, 2**18
"""Days and inventory-days, at least, that are played in one piece of memory, which stays in
the cache; every piece begins with a copy of the stock."""
ASKED_ROWS, TILE_ROWS = 8192, 16384
"""Inventories that :func:`rollout_metrics` plays at a time: so many that a policy is asked
about ``ASKED_ROWS`` of them a day (at most ``4 * ASKED_ROWS``), or ``TILE_ROWS`` with given
orders. More would leave the cache; with fewer the fixed cost of a day shows."""


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
    ask = Questions(scenario, policy)
    play = _rollout_with_gradients if torch.is_grad_enabled() else _rollout_in_place
    return play(scenario, ask, state, record)


def rollout_metrics(
    scenario: Scenario,
    policy: Policy | Tensor,
    state: InventoryState | None = None,
    *,
    counted: Tensor | None = None,
    tile_rows: int | None = None,
    compiled: bool = False,
    block_days: int | None = None,
) -> HorizonMetrics:
    """Plays ``policy`` and keeps the metrics only; of any number of inventories.

    The inventories are played a tile at a time and a few days at a time, so that what is
    written is still in the cache when it is added up. Carries no gradients.

    Args:
        scenario: N inventories over T days.
        policy: See :func:`rollout`; it is asked about one tile at a time.
        state: Stock on the first morning; None starts empty.
        counted: [T, N] bool, days that enter the metrics; None takes the scenario's.
        tile_rows: Inventories per tile; None: see ``ASKED_ROWS``.
        compiled: Translate the days to machine code first (:mod:`envs.fast.compiled`), which takes
            some ten seconds per shape and process.
        block_days: Also add up every block of so many days (see
            :attr:`~envs.horizon.HorizonMetrics.blocks`); the last one takes the days that are
            left over. Not with ``compiled``.
    """
    assert not (compiled and block_days)
    if tile_rows is None:
        given = COMPILED_ROWS if compiled else TILE_ROWS
        tile_rows = given if isinstance(policy, Tensor) else _asking_rows(scenario)
        # Tiles of one size: a small last one would cost as much a day as a whole one.
        tile_rows = -(-scenario.num_inventories // -(-scenario.num_inventories // tile_rows))
    counted = scenario.counted if counted is None else counted
    state = _start(scenario) if state is None else state
    tiles = []
    memory: _Block | None = None
    for first in range(0, scenario.num_inventories, tile_rows):
        rows = slice(first, first + tile_rows)
        tile = scenario.inventories(rows)
        answer = policy[:, rows] if isinstance(policy, Tensor) else policy
        start = InventoryState(state.on_hand[rows], tuple(c[rows] for c in state.pipeline))
        which = None if counted is None else counted[:, rows]
        with torch.no_grad():
            if compiled:
                tiles.append(compiled_metrics(tile, answer, start, which))
                continue
            if memory is None or memory.rows != tile.num_inventories:
                memory = _Block.of_tile(tile, len(state.pipeline), block_days or 1)
            ask = Questions(tile, answer)
            tiles.append(_tile_metrics(tile, ask, start, which, memory, block_days))
    return HorizonMetrics.concatenate(tiles)


def _asking_rows(scenario: Scenario) -> int:
    """Inventories of which some ``ASKED_ROWS`` are reviewed on a day."""
    reviewed = float(scenario.review[:, :ASKED_ROWS].float().mean())
    return round(ASKED_ROWS / max(reviewed, 0.25))


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
    def of_tile(tile: Scenario, max_lead_time: int, unit: int = 1) -> _Block:
        """Memory for a block of days of ``tile``, a multiple of ``unit`` if there are so many."""
        days, n = _block_days(tile, unit), tile.num_inventories
        order, *outcome = tile.demand.new_empty((4, days, n))
        calendar = StockCalendar(n, max_lead_time, days, like=tile.demand)
        return _Block(calendar, order, DayOutcome(*outcome))


def _block_days(scenario: Scenario, unit: int = 1) -> int:
    """Days of a block: as many as fit, all blocks of (nearly) one length; multiples of ``unit``."""
    days, most = scenario.num_days, max(BLOCK_DAYS, BLOCK_SIZE // scenario.num_inventories)
    size = -(-days // -(-days // most))
    return min(-(-size // unit) * unit, days)


def _tile_metrics(
    scenario: Scenario,
    ask: Questions,
    state: InventoryState,
    counted: Tensor | None,
    memory: _Block,
    block_days: int | None,
) -> HorizonMetrics:
    unit = min(block_days or scenario.num_days, scenario.num_days)
    sums = [HorizonSums(like=scenario.demand[0]) for _ in range(scenario.num_days // unit)]
    size = len(memory.order)
    for first in range(0, scenario.num_days, size):
        demand = scenario.demand[first : first + size]
        state = _play_block(scenario, ask, state, first, demand, memory)
        last = first + len(demand)
        for start, stop, block in _pieces(first, last, unit, len(sums)):
            played = slice(start - first, stop - first)
            sums[block].add(
                DayOutcome(*(part[played] for part in memory.outcome)),
                None if counted is None else counted[start:stop],
                demand[played] if scenario.backlog else None,
            )
    metrics = HorizonSums.total(sums).metrics(scenario.shortage_cost, scenario.holding_cost)
    if block_days is None:
        return metrics
    return replace(metrics, blocks=torch.stack([block.stacked() for block in sums]))


def _pieces(first: int, last: int, unit: int, blocks: int) -> Iterator[tuple[int, int, int]]:
    """Start, stop and block of the parts of the days [first, last) that lie in one block each."""
    while first < last:
        block = min(first // unit, blocks - 1)
        stop = last if block == blocks - 1 else min(last, (block + 1) * unit)
        yield first, stop, block
        first = stop


def _rollout_in_place(
    scenario: Scenario, ask: Questions, state: InventoryState, record: bool
) -> Trajectory:
    days, n = scenario.demand.shape
    order, *outcome = (torch.empty_like(scenario.demand) for _ in range(4))
    kept: _Kept | None = None
    if record:
        kept = _Kept(scenario.demand.new_empty((days, n, 1 + len(state.pipeline))))
    size = _block_days(scenario)
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
    ask: Questions,
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
        lead, arriving = ask.arrival(day), ask.arrival.delivered(day, placed)
        state, _ = advance(state, arriving, needed, lead, backlog=scenario.backlog, into=into)
    sales, unmet, end = (part[:days] for part in memory.outcome)
    unmet_demand(Served(sales, end), demand, backlog=scenario.backlog, out=unmet)
    return state


def _rollout_with_gradients(
    scenario: Scenario, ask: Questions, state: InventoryState, record: bool
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
        lead, arriving = ask.arrival(day), ask.arrival.delivered(day, order)
        state, happened = advance(state, arriving, demand, lead, backlog=scenario.backlog)
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


def _stack_columns(days: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Days without review have no columns: they are filled with zeros."""
    example: dict[str, Tensor] = next((d for d in days if d), {})
    return {
        name: torch.stack([d[name] if d else torch.zeros_like(value) for d in days])
        for name, value in example.items()
    }
