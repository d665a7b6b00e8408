"""Which orders may be given: one rule for training, evaluation, baselines and serving.

A policy wants a quantity q; what is placed is nothing, or a whole number of packs of m units, not
below the minimum order and not above the largest whole pack that the largest order holds. The
smallest such order is s: the minimum in whole packs, or a pack. Up to s / 2 is nothing, up to s is
s, and above s it is the nearest multiple. Then

* **An empty shelf gets a pack, or none with a reason.** To the nearest multiple, q < m / 2 is
  nothing: an item whose level is below half a pack would never be ordered again. Let r be
  the expected demand a day, and s = m. One pack serves m units that are lost without it. It lasts
  m / r days, and m - r k units of it are left in the evening of the k-th::

      avoided  b m     held  h (m / 2) (m / r - 1)     a pack pays  <=>  m < r (2 b / h + 1)

  So a wanted quantity that rounds to nothing becomes one pack if the stock will be gone when
  an order placed now arrives (position <= demand expected until then) and the pack pays;
  a pack of more than :data:`LONGEST_SUPPLY_DAYS` of demand never does. With stock left on
  arrival, b m would not be avoided: the nearest multiple stays, and the next review decides.
  The smallest order s > m of a minimum is judged likewise.
* **Nothing that cannot be sold.** An item that is off sale from the order's arrival until the
  next order's is not ordered; of one whose sale ends no more than is expected to sell between
  arrival and end, nor beyond an inventory position of what sells until the end; rounded down, and
  nothing below the minimum.

Where nothing is known about demand (textbook problems) only multiples and the largest order
count. Rounding passes the gradient straight through, so that policies can be trained under it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from enum import IntFlag
from typing import NamedTuple

import torch
from torch import Tensor

from envs.order_rule import narrowed
from envs.state import Scenario

INFINITE = float("inf")
LONGEST_SUPPLY_DAYS = 365.0
"""A pack that lasts longer is not bought on a forecast, however cheap its holding is."""
WHOLE = 1e-4
"""Of a pack: a quantity so close below a multiple counts as that multiple."""


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
    largest: float | Tensor = INFINITE
    """Units, of all or [N]."""
    until_arrival: Tensor | None = None
    """[..., N], see :class:`OrderFacts`."""
    reorder_point: Tensor | None = None
    """[..., N] the same where a pack pays, else minus infinity: at or below it a position that
    wants something gets a pack."""
    sellable: Tensor | None = None
    incoming: Tensor | None = None
    """[..., N] each, see :class:`OrderFacts`; None: nothing ends."""
    smallest: float | Tensor = 0.0
    """:func:`smallest_order`, of all or [N]; 0 where there is no minimum but a pack."""

    @property
    def look_at_stock(self) -> bool:
        """:func:`admissible` needs the inventory position."""
        return self.reorder_point is not None or self.sellable is not None

    def on(self, day: int) -> OrderRules:
        """Of one day."""
        return self.map(lambda value: value[day])

    def rows(self, index: Tensor) -> OrderRules:
        """Of the inventories ``index``, of rules on a day."""

        def pick(value: Tensor) -> Tensor:
            return value.index_select(0, index)

        return self.map(pick).map_sizes(pick)

    def map(self, change: Callable[[Tensor], Tensor]) -> OrderRules:
        """``change`` applied to all tensors but those of :meth:`map_sizes`."""
        names = ("until_arrival", "reorder_point", "sellable", "incoming")
        given = {name: getattr(self, name) for name in names}
        return self._replace(**{n: change(v) for n, v in given.items() if v is not None})

    def map_sizes(self, change: Callable[[Tensor], Tensor]) -> OrderRules:
        """``change`` applied to the sizes that are [N]."""
        given = {name: getattr(self, name) for name in ("multiple", "largest", "smallest")}
        return self._replace(**{n: change(v) for n, v in given.items() if isinstance(v, Tensor)})


def order_rules(
    multiple: float | Tensor,
    largest: float | Tensor,
    facts: OrderFacts | None,
    shortage_cost: Tensor,
    holding_cost: Tensor,
    minimum: float | Tensor = 0.0,
) -> OrderRules:
    """The rules that follow from what is expected.

    Args:
        multiple: Pack size, units, of all or [N].
        largest: Largest order, units, of all or [N].
        facts: [..., N] each; None: nothing is known.
        shortage_cost, holding_cost: [N] b and h.
        minimum: Smallest order, units, of all or [N]; 0: none.
    """
    smallest = smallest_order(minimum, multiple) if _is_any(minimum) else 0.0
    if facts is None:
        return OrderRules(multiple, largest, smallest=smallest)
    facts = narrowed(facts)
    packs = _is_any(multiple) or _is_any(smallest)
    reorder_point = None
    if packs:
        size = _pack_or(smallest, multiple)
        # Without a division: h may be 0.
        pays = holding_cost * size < facts.rate * (2.0 * shortage_cost + holding_cost)
        pays &= size <= LONGEST_SUPPLY_DAYS * facts.rate
        reorder_point = facts.until_arrival.masked_fill(~pays, -INFINITE)
    ends = bool(torch.isfinite(facts.incoming).any())
    return OrderRules(
        multiple,
        largest,
        facts.until_arrival if packs else None,
        reorder_point,
        facts.sellable if ends else None,
        facts.incoming if ends else None,
        smallest,
    )


def smallest_order(minimum: float | Tensor, multiple: float | Tensor) -> float | Tensor:
    """The minimum in whole packs, 0 where there is none; units, one number or [N].

    >>> smallest_order(10.0, 6.0)
    12.0
    """
    if not isinstance(minimum, Tensor) and not isinstance(multiple, Tensor):
        return math.ceil(minimum / multiple - WHOLE) * multiple if multiple > 0 else minimum
    least, packs = torch.broadcast_tensors(torch.as_tensor(minimum), torch.as_tensor(multiple))
    whole = (least / packs.clamp(min=1e-12) - WHOLE).ceil() * packs
    return torch.where(packs > 0, whole, least)


def largest_order(largest: float | Tensor, multiple: float | Tensor) -> float | Tensor:
    """The largest order in whole packs; units, one number or [N].

    >>> largest_order(20.0, 6.0)
    18.0
    """
    if isinstance(largest, Tensor) or isinstance(multiple, Tensor):
        if not _is_any(multiple):
            return largest
        each = multiple if isinstance(multiple, Tensor) else largest
        assert isinstance(each, Tensor)
        return _multiples(torch.zeros_like(each) + largest, multiple, down=True)
    if multiple == 0 or largest == INFINITE:
        return largest
    return largest // multiple * multiple


def shared(values: Tensor) -> float | Tensor:
    """One number where all N have the same, which is nearly always; else the values [N]."""
    return float(values[0]) if bool((values == values[0]).all()) else values


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
        scenario.shortage_weight, scenario.holding_cost, scenario.order_min,
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
        [N] units: 0, or multiples in [smallest, largest].
    """
    multiple, smallest, order = rules.multiple, rules.smallest, wanted
    packs, minimum = _is_any(multiple), _is_any(smallest)
    if packs or minimum:
        placed = _multiples(wanted.detach(), multiple) if packs else wanted.detach()
        if minimum:
            placed = _or_nothing(wanted.detach(), placed, smallest)
        if position is not None and rules.reorder_point is not None:
            empty = (position <= rules.reorder_point) & (wanted > 0)
            placed = torch.where(empty, placed.clamp(min=_pack_or(smallest, multiple)), placed)
        order = _straight_through(wanted, placed)
    if position is not None and rules.sellable is not None:
        assert rules.incoming is not None
        most = torch.minimum(rules.incoming, rules.sellable - position)
        if packs:
            most = _straight_through(most, _multiples(most.detach(), multiple, down=True))
        if minimum:
            most = torch.where(most < smallest, 0.0, most)
        # Not minimum(): a tie would halve the gradient, and there is none of infinity.
        order = torch.where(order > most, most, order)
    largest = rules.largest
    if not isinstance(largest, Tensor) and largest == INFINITE:
        return torch.clamp(order, min=0.0, out=out)
    largest = largest_order(largest, multiple)
    if isinstance(largest, Tensor):
        return torch.clamp(order, min=torch.zeros_like(largest), max=largest, out=out)
    return torch.clamp(order, min=0.0, max=largest, out=out)


def explained(wanted: Tensor, rules: OrderRules, position: Tensor) -> tuple[Tensor, Tensor]:
    """:func:`admissible` orders [N], and the :class:`Reason` flags of each, [N] int64."""
    order = admissible(wanted, rules, position)
    sizes = OrderRules(rules.multiple, rules.largest, smallest=rules.smallest)
    nearest = admissible(wanted, sizes)
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


def without_whole_units(multiple: float | Tensor) -> float | Tensor:
    """The multiples of orders, without those of a unit or a part of one.

    Between two whole levels the mean cost of stock is a straight line, so that the best level of
    all is the best whole one. To learn it, orders need not be rounded; rounded ones, whose gradient
    passes straight through, pull a level to the step between two whole ones instead.
    """
    if isinstance(multiple, Tensor):
        return torch.where(multiple > 1.0, multiple, 0.0)
    return multiple if multiple > 1.0 else 0.0


def whole_units(quantity: Tensor, multiple: float | Tensor) -> Tensor:
    """Stock as it can come about under ``multiple``: whole units if packs are (a demand in
    whole units breaks them up), else parts of a pack's size; as it is if orders are continuous."""
    if isinstance(multiple, Tensor):
        return _multiples(quantity, torch.where(multiple % 1 == 0, multiple.sign(), multiple))
    unit = min(multiple, 1.0) if multiple % 1 == 0 else multiple
    return quantity if unit == 0 else _multiples(quantity, unit)


def _is_any(size: float | Tensor) -> bool:
    return isinstance(size, Tensor) or size > 0


def _pack_or(smallest: float | Tensor, multiple: float | Tensor) -> float | Tensor:
    """The smallest order there is: that of a minimum, else a pack."""
    if not isinstance(smallest, Tensor) and not isinstance(multiple, Tensor):
        return smallest or multiple
    smallest = torch.as_tensor(smallest)
    return torch.where(smallest > 0, smallest, multiple)


def _or_nothing(wanted: Tensor, placed: Tensor, smallest: float | Tensor) -> Tensor:
    """Orders that meet the minimum: those below it become the smallest order, or none."""
    least = torch.as_tensor(smallest, dtype=wanted.dtype)
    kept = torch.where(2.0 * wanted > least, torch.maximum(placed, least), 0.0)
    return torch.where(least > 0, kept, placed)


def _multiples(quantity: Tensor, multiple: float | Tensor, *, down: bool = False) -> Tensor:
    """The nearest multiples, or the last ones below; the quantity where ``multiple`` is 0."""
    if isinstance(multiple, Tensor):
        some = _multiples_of(quantity, multiple.clamp(min=1e-12), down)
        return torch.where(multiple > 0, some, quantity)
    return _multiples_of(quantity, multiple, down)


def _multiples_of(quantity: Tensor, multiple: float | Tensor, down: bool) -> Tensor:
    packs = quantity / multiple
    return ((packs + WHOLE).floor_() if down else packs.round_()).mul_(multiple)


def _straight_through(value: Tensor, placed: Tensor) -> Tensor:
    """``placed`` with the gradient of ``value``."""
    if not (torch.is_grad_enabled() and value.requires_grad):
        return placed
    return placed + (value - value.detach())
