"""Which orders may be given: one rule for training, evaluation, baselines and serving.

A policy wants a quantity q; what is placed is a whole number of packs of m units, at least 0 and
at most the largest order, and then

* **An empty shelf gets a pack, or none with a reason.** To the nearest multiple, q < m / 2 is
  nothing: an item whose level is below half a pack would never be ordered again. Let r be
  the expected demand a day. One pack serves m units that are lost without it. It lasts
  m / r days, and m - r k units of it are left in the evening of the k-th::

      avoided  b m     held  h (m / 2) (m / r - 1)     a pack pays  <=>  m < r (2 b / h + 1)

  So a wanted quantity that rounds to nothing becomes one pack if the stock will be gone when
  an order placed now arrives (position <= demand expected until then) and the pack pays;
  a pack of more than :data:`LONGEST_SUPPLY_DAYS` of demand never does. With stock left on
  arrival, b m would not be avoided: the nearest multiple stays, and the next review decides.
* **Nothing that cannot be sold.** An item that is off sale from the order's arrival until the
  next order's is not ordered; of one whose sale ends no more than is expected to sell between
  arrival and end, nor beyond an inventory position of what sells until the end; rounded down.

Where nothing is known about demand (textbook problems) only multiples and the largest order
count. Rounding passes the gradient straight through, so that policies can be trained under it.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntFlag
from typing import NamedTuple

import torch
from torch import Tensor

from envs.state import Scenario

INFINITE = float("inf")
LONGEST_SUPPLY_DAYS = 365.0
"""A pack that lasts longer is not bought on a forecast, however cheap its holding is."""
_WHOLE = 1e-4
"""Of a pack: expected demand so close below a multiple counts as that multiple."""


class OrderFacts(NamedTuple):
    """What is expected of each inventory on the morning of an order; units, [N] or [T, N]."""

    rate: Tensor
    """Demand a day while on sale, >= 0."""
    until_arrival: Tensor
    """Demand until an order placed now arrives, >= 0."""
    sellable: Tensor
    """Demand until the item's sale ends; infinite if it does not end."""
    incoming: Tensor
    """Most that an order may bring: demand between its arrival and the item's end, 0 if the item
    is off sale when it arrives; infinite otherwise."""


class Reason(IntFlag):
    """Why an order is not simply what was wanted, to the nearest multiple."""

    OFF_SALE = 1
    """The item is not on sale when the order would arrive."""
    ENDING = 2
    """More would not be sold before the item's end."""
    PACK_UP = 4
    """Less than half a pack was wanted, the shelf will be empty, and a pack pays."""
    TOO_SLOW_FOR_PACK = 8
    """Likewise, but holding a pack costs more than it serves."""
    NOT_DUE = 16
    """The inventory is not reviewed on this day."""
    PLAN_MISSING = 32
    """Promotions or other plans of the coming days were not known."""


class OrderRules(NamedTuple):
    """The rules for N inventories on a day, or on each of T days."""

    multiple: float | Tensor = 0.0
    """Pack size, units, of all or [N]; 0 leaves orders continuous."""
    largest: float = INFINITE
    """Units."""
    until_arrival: Tensor | None = None
    """[..., N], see :class:`OrderFacts`."""
    reorder_point: Tensor | None = None
    """[..., N] the same where a pack pays, else minus infinity: at or below it a position that
    wants something gets a pack."""
    sellable: Tensor | None = None
    incoming: Tensor | None = None
    """[..., N] each, see :class:`OrderFacts`; None: nothing ends."""

    @property
    def look_at_stock(self) -> bool:
        """:func:`admissible` needs the inventory position."""
        return self.reorder_point is not None or self.sellable is not None

    def on(self, day: int) -> OrderRules:
        """Of one day."""
        return self.map(lambda value: value[day])

    def rows(self, index: Tensor) -> OrderRules:
        """Of the inventories ``index``, of rules on a day."""
        picked = self.map(lambda value: value.index_select(0, index))
        if isinstance(self.multiple, Tensor):
            picked = picked._replace(multiple=self.multiple.index_select(0, index))
        return picked

    def map(self, change: Callable[[Tensor], Tensor]) -> OrderRules:
        """``change`` applied to all tensors but :attr:`multiple`."""
        parts = (self.until_arrival, self.reorder_point, self.sellable, self.incoming)
        return OrderRules(
            self.multiple, self.largest, *(None if p is None else change(p) for p in parts)
        )


def order_rules(
    multiple: float | Tensor,
    largest: float,
    facts: OrderFacts | None,
    shortage_cost: Tensor,
    holding_cost: Tensor,
) -> OrderRules:
    """The rules that follow from what is expected.

    Args:
        multiple: Pack size, units, of all or [N].
        largest: Largest order, units.
        facts: [..., N] each; None: nothing is known.
        shortage_cost, holding_cost: [N] b and h.
    """
    if facts is None:
        return OrderRules(multiple, largest)
    packs = isinstance(multiple, Tensor) or multiple > 0
    reorder_point = None
    if packs:
        # Without a division: h may be 0.
        pays = holding_cost * multiple < facts.rate * (2.0 * shortage_cost + holding_cost)
        pays &= multiple <= LONGEST_SUPPLY_DAYS * facts.rate
        reorder_point = facts.until_arrival.masked_fill(~pays, -INFINITE)
    ends = bool(torch.isfinite(facts.incoming).any())
    return OrderRules(
        multiple,
        largest,
        facts.until_arrival if packs else None,
        reorder_point,
        facts.sellable if ends else None,
        facts.incoming if ends else None,
    )


def rules_of(scenario: Scenario) -> OrderRules:
    """The rules of all days of a scenario."""
    parts = (
        scenario.demand_rate, scenario.demand_until_arrival, scenario.sellable, scenario.incoming
    )  # fmt: skip
    facts = None
    if parts[0] is not None:
        facts = OrderFacts(*parts)  # type: ignore[arg-type]  # validate(): all or none
    return order_rules(
        scenario.order_multiple, scenario.order_max, facts,
        scenario.shortage_cost, scenario.holding_cost,
    )  # fmt: skip


def admissible(
    wanted: Tensor, rules: OrderRules, position: Tensor | None = None, out: Tensor | None = None
) -> Tensor:
    """The orders that are really placed.

    Args:
        wanted: [N] units asked for.
        rules: Of these inventories on this day.
        position: [N] inventory position before the order, units. None (orders that were given,
            whatever the stock): multiples and the largest order only.
        out: [N] is written and returned (no gradients); None returns a new tensor.

    Returns:
        [N] units: multiples in [0, largest].
    """
    multiple, order = rules.multiple, wanted
    packs = isinstance(multiple, Tensor) or multiple > 0
    if packs:
        placed = _multiples(wanted.detach(), multiple)
        if position is not None and rules.reorder_point is not None:
            empty = (position <= rules.reorder_point) & (wanted > 0)
            placed = torch.where(empty, placed.clamp(min=multiple), placed)
        order = _straight_through(wanted, placed)
    if position is not None and rules.sellable is not None:
        assert rules.incoming is not None
        most = torch.minimum(rules.incoming, rules.sellable - position)
        if packs:
            most = _straight_through(most, _multiples(most.detach(), multiple, down=True))
        # Not minimum(): a tie would halve the gradient, and there is none of infinity.
        order = torch.where(order > most, most, order)
    if rules.largest == INFINITE:
        return torch.clamp(order, min=0.0, out=out)
    if isinstance(multiple, Tensor):
        most = _multiples(torch.full_like(multiple, rules.largest), multiple, down=True)
        return torch.clamp(order, min=torch.zeros_like(most), max=most, out=out)
    largest = rules.largest // multiple * multiple if packs else rules.largest
    return torch.clamp(order, min=0.0, max=largest, out=out)


def explained(wanted: Tensor, rules: OrderRules, position: Tensor) -> tuple[Tensor, Tensor]:
    """:func:`admissible` orders [N], and the :class:`Reason` flags of each, [N] int64."""
    order = admissible(wanted, rules, position)
    nearest = admissible(wanted, OrderRules(rules.multiple, rules.largest))
    unbounded = admissible(wanted, rules._replace(sellable=None, incoming=None), position)
    off_sale = torch.zeros_like(order, dtype=torch.bool)
    if rules.incoming is not None and rules.sellable is not None:
        off_sale = (rules.incoming <= 0) & rules.sellable.isinf()
    refused = torch.zeros_like(off_sale)
    if rules.until_arrival is not None:
        refused = (wanted > 0) & (unbounded <= 0) & (position <= rules.until_arrival)
    reasons = torch.zeros_like(order, dtype=torch.long)
    for reason, holds in (
        (Reason.OFF_SALE, off_sale),
        (Reason.ENDING, (order < unbounded) & ~off_sale),
        (Reason.PACK_UP, (order > 0) & (nearest <= 0)),
        (Reason.TOO_SLOW_FOR_PACK, refused & ~off_sale),
    ):
        reasons += int(reason) * holds
    return order, reasons


def delivered(order: Tensor, fill: Tensor, multiple: float | Tensor) -> Tensor:
    """[N] units that arrive of orders [N] that arrive short, by shares ``fill`` [N].

    In whole units where orders are, with the gradient of the share. Parts of a unit would stay on
    the shelf for ever, and the item never be out of stock.
    """
    short = order * fill
    return _straight_through(short, whole_units(short.detach(), multiple))


def whole_units(quantity: Tensor, multiple: float | Tensor) -> Tensor:
    """Stock as it can come about under ``multiple``: whole units if packs are (a demand in
    whole units breaks them up), else parts of a pack's size; as it is if orders are continuous."""
    if isinstance(multiple, Tensor):
        return _multiples(quantity, torch.where(multiple % 1 == 0, multiple.sign(), multiple))
    unit = min(multiple, 1.0) if multiple % 1 == 0 else multiple
    return quantity if unit == 0 else _multiples(quantity, unit)


def _multiples(quantity: Tensor, multiple: float | Tensor, *, down: bool = False) -> Tensor:
    """The nearest multiples, or the last ones below; the quantity where ``multiple`` is 0."""
    if isinstance(multiple, Tensor):
        some = _multiples_of(quantity, multiple.clamp(min=1e-12), down)
        return torch.where(multiple > 0, some, quantity)
    return _multiples_of(quantity, multiple, down)


def _multiples_of(quantity: Tensor, multiple: float | Tensor, down: bool) -> Tensor:
    packs = quantity / multiple
    return ((packs + _WHOLE).floor_() if down else packs.round_()).mul_(multiple)


def _straight_through(value: Tensor, placed: Tensor) -> Tensor:
    """``placed`` with the gradient of ``value``."""
    if not (torch.is_grad_enabled() and value.requires_grad):
        return placed
    return placed + (value - value.detach())
