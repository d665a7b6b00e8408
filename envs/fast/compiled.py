"""Blocks of days as machine code: an option of :func:`~envs.rollout.rollout_metrics`.

``torch.compile`` fuses the functions of :mod:`envs.dynamics` and :mod:`envs.objective` over a
block of days: stock stays in registers, and only demand (and what a policy looks at) is read.
Without a policy that plays four to five times as many inventory-days per second; with a
[64, 64] network, whose matrix products stay what they are, no more than before.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from envs.dynamics import DayOutcome, step
from envs.errors import ConfigError
from envs.horizon import HorizonMetrics, HorizonSums
from envs.orders import OrderRules, admissible, delivered, rules_of
from envs.review import Arrivals, Policy
from envs.state import InventoryState, Observation, Scenario

BLOCK_DAYS = 8
"""Days that are compiled together, at most: compilation takes time for each."""
COMPILED_ROWS = 65536
"""Inventories that are played at a time with given orders."""


class _Days(NamedTuple):
    """What a block of days needs, [days, ...] each."""

    demand: Tensor
    seen: tuple[Tensor, Tensor, Tensor] | None
    """Scale, basis and features; None with given orders."""
    given: Tensor | None
    """Orders, [days, N]."""
    review: Tensor | None
    """Who may order; None: all."""
    counted: Tensor | None
    rules: list[OrderRules]
    """Of each day."""
    lead_time: list[int | Tensor]
    """See :func:`~envs.dynamics.place_order`; of each day."""
    fill: list[Tensor | None]
    """Share of the orders of each day that arrives; None: all."""


def compiled_metrics(
    scenario: Scenario, policy: Policy | Tensor, state: InventoryState, counted: Tensor | None
) -> HorizonMetrics:
    """As :func:`~envs.rollout.rollout_metrics` does for one tile.

    The policy is asked about every inventory on every day; orders of those that are not
    reviewed are dropped.

    Raises:
        ConfigError: There is no C++ compiler.
    """
    arrival = Arrivals(scenario)
    # As bytes: torch has no fast reduction of booleans.
    everyone = bool(scenario.review.view(torch.uint8).amin())
    review = None if everyone else scenario.review
    rules = rules_of(scenario)
    given, ask = (policy, None) if isinstance(policy, Tensor) else (None, policy)
    sums = HorizonSums(like=scenario.demand[0])
    days = scenario.num_days
    size = -(-days // -(-days // BLOCK_DAYS))
    play = _compiled_block()
    for first in range(0, days, size):
        last = min(first + size, days)
        part = scenario.days(first, last)
        block = _Days(
            part.demand,
            None if ask is None else (part.scale, part.basis, part.features),
            None if given is None else given[first:last],
            None if review is None else review[first:last],
            None if counted is None else counted[first:last],
            [rules.on(day) for day in range(first, last)],
            [arrival(day) for day in range(first, last)],
            [arrival.fill(day) for day in range(first, last)],
        )
        try:
            state = play(ask, state, block, scenario.backlog, sums)
        except RuntimeError as error:
            # Torch wraps it in an error that says where in the compilation it was.
            if "InvalidCxxCompiler" not in f"{type(error).__name__} {error}":
                raise
            raise ConfigError(
                "compiled", True,
                "Install a C++ compiler (g++ or clang++, or name it in CXX), or leave it out.",
                "needs a C++ compiler",
            ) from error  # fmt: skip
    return sums.metrics(scenario.shortage_cost, scenario.holding_cost)


def _play_block(
    policy: Policy | None, state: InventoryState, days: _Days, backlog: bool, sums: HorizonSums
) -> InventoryState:
    state = InventoryState(state.on_hand, state.pipeline)
    for day, demand in enumerate(days.demand.unbind(0)):
        if policy is None:
            assert days.given is not None
            order = admissible(days.given[day], days.rules[day])
        else:
            assert days.seen is not None
            scale, basis, features = (part[day] for part in days.seen)
            wanted = policy(Observation(state.stack(), scale, basis, features)).order
            order = admissible(wanted, days.rules[day], state.position())
        if days.review is not None:
            order = order * days.review[day]
        if (fill := days.fill[day]) is not None:
            order = delivered(order, fill, days.rules[day].multiple)
        state, outcome = step(state, order, demand, days.lead_time[day], backlog=backlog)
        sums.add(
            DayOutcome(*(part.unsqueeze(0) for part in outcome)),
            None if days.counted is None else days.counted[day : day + 1],
            demand.unsqueeze(0) if backlog else None,
        )
    return state


@functools.cache
def _compiled_block() -> Callable[..., Any]:
    """Not at import: that would load torch's compiler, which takes a second."""
    return torch.compile(_play_block)
