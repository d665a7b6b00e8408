"""Who is asked for orders on which day, what the answer is, and when an order arrives."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from envs.dynamics import arrival_slots
from envs.orders import admissible, delivered, rules_of
from envs.state import InventoryState, Observation, Scenario


class Decision(NamedTuple):
    """A policy's answer for one day."""

    order: Tensor
    """[R] units asked for, of the R inventories that were observed."""
    columns: dict[str, Tensor] = {}  # noqa: RUF012 (read only; a NamedTuple has no factory)
    """Further [R, ...] tensors worth keeping with the decision (action, log-probability)."""


Policy = Callable[[Observation], Decision]
"""What it is shown is the simulator's own memory: the next day overwrites the stock."""


class Arrivals:
    """Lead times of a scenario's orders, as :func:`~envs.dynamics.place_order` takes them, and
    what arrives of them."""

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self.shared: int | None = None
        """The one lead time of all orders: the fast path, an order touches one column."""
        self._slots: Tensor | None = None
        if scenario.order_lead_time is None:
            lead = scenario.lead_time
            first = int(lead[0])
            if scenario.fill is None and bool((lead == first).all()):
                self.shared = first
            else:
                self._slots = self._slots_of(lead)

    def __call__(self, day: int) -> int | Tensor:
        """Of the orders placed on ``day``."""
        if self.shared is not None:
            return self.shared
        if self._slots is not None:
            return self._slots
        assert self._scenario.order_lead_time is not None
        return self._slots_of(self._scenario.order_lead_time[day])

    def fill(self, day: int) -> Tensor | None:
        """[N] share that arrives of the orders placed on ``day``; None: all."""
        return None if self._scenario.fill is None else self._scenario.fill[day]

    def delivered(self, day: int, order: Tensor | None) -> Tensor | None:
        """[N] units that arrive of the orders placed on ``day``."""
        fill = self.fill(day)
        if order is None or fill is None:
            return order
        return delivered(order, fill, self._scenario.order_multiple)

    def _slots_of(self, lead: Tensor) -> Tensor:
        return arrival_slots(lead, self._scenario.max_lead_time, self._scenario.demand.dtype)


class Questions:
    """Who is asked on which day, what the answer is, and when the order arrives."""

    def __init__(self, scenario: Scenario, policy: Policy | Tensor) -> None:
        self._scenario = scenario
        self._policy = policy
        self._rules = rules_of(scenario)
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
        admissible(self._policy[block], self._rules, out=out)
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
            order = admissible(self._policy[day], self._rules)
            return (order if self._everyone[day] else order * self._scenario.review[day]), {}
        if self._everyone[day]:
            decision = self._policy(self._scenario.observe(day, state))
            return self._admit(day, decision.order, state, out=out), decision.columns
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
        order = _spread(self._admit(day, decision.order, picked, due), due, n, out)
        return order, {name: _spread(c, due, n) for name, c in decision.columns.items()}

    def _admit(
        self,
        day: int,
        order: Tensor,
        seen: InventoryState,
        due: Tensor | None = None,
        out: Tensor | None = None,
    ) -> Tensor:
        """Of the inventories ``due`` (None: all), whose stock was ``seen``."""
        rules, position = self._rules, None
        if rules.look_at_stock:
            rules, position = rules.on(day), seen.position()
        if due is not None:
            rules = rules.rows(due)
        return admissible(order, rules, position, out)


def _spread(values: Tensor, rows: Tensor, n: int, out: Tensor | None = None) -> Tensor:
    """[R, ...] values at ``rows`` of n, zeros elsewhere."""
    base = values.new_zeros((n, *values.shape[1:])) if out is None else out.zero_()
    return base.index_copy_(0, rows, values)
