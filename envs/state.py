"""What a simulation is given, what it carries from day to day, and what a policy may see.

Shape suffixes used throughout the project::

    T  days            N  inventories (one SKU in one warehouse each)
    K  pipeline columns: an order arrives 0..K days after it was placed
    F  exogenous features          M  demand features of the action model

Tensors are day-major (``[T, N, ...]``), because one day of all inventories is
what the simulator touches at a time. Quantities are units of the SKU; costs are
money per unit (shortage) and per unit and day (holding).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from envs.errors import ScenarioError
from envs.projection import ComingDemand


class InventoryState(NamedTuple):
    """Stock of N inventories, in units, between two days."""

    on_hand: Tensor
    """[N] usable stock. Negative when demand is owed (backlog)."""
    pipeline: tuple[Tensor, ...]
    """K columns [N]: ``pipeline[k]`` becomes usable in k + 1 days."""
    block: Tensor | None = None
    """[K+1, N] the same numbers (on-hand, then the pipeline), where they lie in one piece."""

    def as_block(self) -> InventoryState:
        """The same stock, with its :attr:`block`."""
        if self.block is not None:
            return self
        return InventoryState.of_block(torch.stack((self.on_hand, *self.pipeline)))

    @staticmethod
    def of_block(block: Tensor) -> InventoryState:
        """Stock that lies in ``block`` [K+1, N]; the columns are views."""
        on_hand, *pipeline = block.unbind(0)
        return InventoryState(on_hand, tuple(pipeline), block)

    def position(self) -> Tensor:
        """Inventory position tot(I): on-hand plus all that is in the pipeline, [N] units."""
        block = self.as_block().block
        assert block is not None
        return block.sum(0)

    def stack(self) -> Tensor:
        """[N, K+1]: on-hand, then what arrives in 1..K days (a view of :attr:`block`)."""
        block = self.as_block().block
        assert block is not None
        return block.t()

    @staticmethod
    def unstack(stock_NK1: Tensor) -> InventoryState:
        """Inverse of :meth:`stack`."""
        on_hand, *pipeline = stock_NK1.unbind(-1)
        return InventoryState(on_hand, tuple(pipeline))

    @staticmethod
    def empty(n: int, max_lead_time: int, *, like: Tensor) -> InventoryState:
        """No stock anywhere; dtype and device of ``like``."""
        zero = like.new_zeros(n)
        return InventoryState(zero, tuple(zero for _ in range(max_lead_time)))


class Observation(NamedTuple):
    """All that a policy may know on a day: stock and as-of-date features, no future.

    The flat form (:meth:`flatten`) is what crosses RLlib's and gymnasium's interfaces:
    ``[on_hand, pipeline 1..K, scale, basis 1..M, features 1..F]``.
    """

    stock: Tensor
    """[N, K+1] units: on-hand (today's arrivals included), then arrivals in 1..K days."""
    scale: Tensor
    """[N] units: the inventory's own demand scale over its protection period."""
    basis: Tensor
    """[N, M] units: feat(x), the demand features that coefficients multiply (design 3)."""
    features: Tensor
    """[N, F] scale-free exogenous inputs of the network."""

    def flatten(self) -> Tensor:
        """[N, (K+1) + 1 + M + F]."""
        return torch.cat((self.stock, self.scale.unsqueeze(-1), self.basis, self.features), -1)


@dataclass(frozen=True)
class ObservationLayout:
    """Where each part of an :class:`Observation` lies in its flat form."""

    max_lead_time: int
    """K, days."""
    basis: int
    """M."""
    features: int
    """F."""
    coming: ComingDemand | None = field(default=None, compare=False)
    """How the demand until an order arrives is read out of it; None: it does not tell."""

    @property
    def size(self) -> int:
        """Width of the flat observation."""
        return self.max_lead_time + 2 + self.basis + self.features

    @property
    def widths(self) -> dict[str, int]:
        """What is written of it: the arguments, all but :attr:`coming`."""
        return {
            "max_lead_time": self.max_lead_time, "basis": self.basis, "features": self.features,
        }  # fmt: skip

    def unflatten(self, flat: Tensor) -> Observation:
        """Views into ``flat`` ([..., size]); no copy."""
        stock, scale, basis, features = flat.split(
            (self.max_lead_time + 1, 1, self.basis, self.features), dim=-1
        )
        return Observation(stock, scale.squeeze(-1), basis, features)


EXPECTED = ("demand_rate", "demand_until_arrival", "sellable", "incoming")
"""Fields of :class:`Scenario` that rules of orders look at: all are given, or none."""
PER_DAY = (
    "demand", "review", "scale", "basis", "features", "counted", "order_lead_time", "fill",
    *EXPECTED,
)  # fmt: skip
"""Fields of :class:`Scenario` with the axes [T, N, ...]."""
PER_INVENTORY = ("lead_time", "review_period", "shortage_cost", "holding_cost", "shortage_factor")
"""Fields of :class:`Scenario` with the axis [N]."""
ORDER_SIZES = ("order_multiple", "order_min", "order_max")
"""Fields of :class:`Scenario` that are one number for all, or [N]."""


def columns_of(values: Tensor, index: Tensor | slice) -> Tensor:
    """``values[:, index]``; numbers are gathered several times faster by their own kernel."""
    if isinstance(index, Tensor) and index.dtype == torch.int64:
        return values.index_select(1, index)
    return values[:, index]


@dataclass(frozen=True)
class Scenario:
    """Everything exogenous about N inventories over T days.

    Policies never get one of these: they get :class:`Observation`, so the future is
    out of their reach by type.
    """

    demand: Tensor
    """[T, N] units per day, >= 0."""
    lead_time: Tensor
    """[N] int64 days, nominal; decides which days an order governs."""
    review_period: Tensor
    """[N] int64 days, >= 1."""
    review: Tensor
    """[T, N] bool: an order may be placed on that day."""
    shortage_cost: Tensor
    """[N] b, money per unit short (per day owed under backlog)."""
    holding_cost: Tensor
    """[N] h, money per unit left at the end of a day."""
    scale: Tensor
    """[T, N] units, > 0, from the past of that day only."""
    basis: Tensor
    """[T, N, M] units, from the past of that day only."""
    features: Tensor
    """[T, N, F] scale-free, from the past of that day and what is known ahead."""
    shortage_factor: Tensor | None = None
    """[N] > 0: how many times as much as their cost shortages weigh in what is minimised, the
    trade-off that was asked for; metrics do not know it. None: once."""
    counted: Tensor | None = None
    """[T, N] bool: the day enters the metrics (e.g. the item was on sale). None: all."""
    order_lead_time: Tensor | None = None
    """[T, N] int64 days that an order placed on that day really takes. None: nominal."""
    fill: Tensor | None = None
    """[T, N] share in [0, 1] of an order placed that day that arrives. None: all of it."""
    demand_rate: Tensor | None = None
    """[T, N] expected demand, units per day. This and the next three, known on the morning of each
    day, say which orders make sense (:class:`~envs.orders.OrderFacts`). None: nothing is known."""
    demand_until_arrival: Tensor | None = None
    """[T, N] units."""
    sellable: Tensor | None = None
    """[T, N] units; may be infinite."""
    incoming: Tensor | None = None
    """[T, N] units; may be infinite."""
    history: Tensor | None = None
    """[B, N] units on the B days before the first one, NaN where not observed. What statistics of
    an inventory's own demand start from; no observation shows it. None: nothing is known."""
    coming: ComingDemand | None = None
    """How observations tell the demand until an order arrives. None: they do not."""
    max_lead_time: int = 0
    """K >= every lead time above."""
    backlog: bool = False
    """Unmet demand is owed instead of lost."""
    order_multiple: float | Tensor = 0.0
    """Orders are whole multiples of this many units, one number for all or [N]; 0 leaves them
    continuous. :mod:`envs.orders` has the rule."""
    order_max: float | Tensor = float("inf")
    """Largest order, units, one number for all or [N]."""
    order_min: float | Tensor = 0.0
    """Smallest order, units, one number for all or [N]; 0: none."""

    @property
    def num_days(self) -> int:
        """T."""
        return self.demand.shape[0]

    @property
    def num_inventories(self) -> int:
        """N."""
        return self.demand.shape[1]

    @property
    def shortage_weight(self) -> Tensor:
        """[N] what a unit short counts in what is minimised: b times the factor."""
        if self.shortage_factor is None:
            return self.shortage_cost
        return self.shortage_cost * self.shortage_factor

    @property
    def layout(self) -> ObservationLayout:
        """Layout of the observations that this scenario produces."""
        return ObservationLayout(
            self.max_lead_time, self.basis.shape[-1], self.features.shape[-1], self.coming
        )

    def validate(self) -> Scenario:
        """Returns itself; raises :class:`ScenarioError` where a field is out of its domain."""
        from envs.checks import check_scenario  # which builds on this module

        check_scenario(self)
        return self

    def days(self, start: int, stop: int) -> Scenario:
        """Days [start, stop) as views: nothing is copied; later ones have no :attr:`history`."""
        if not 0 <= start < stop <= self.num_days:
            raise ScenarioError(
                "days",
                [start, stop],
                f"Ask for a non-empty window inside 0..{self.num_days}.",
                "is out of range",
            )
        cut = self._map(per_day=lambda value: value[start:stop], per_inventory=lambda value: value)
        return cut if start == 0 else replace(cut, history=None)

    def inventories(self, index: Tensor | slice) -> Scenario:
        """The inventories of ``index`` ([n] int64, bool [N], or a slice: then views)."""
        picked = self._map(
            per_day=lambda value: columns_of(value, index), per_inventory=lambda value: value[index]
        )
        history = None if self.history is None else columns_of(self.history, index)
        return replace(picked, history=history)

    def _map(
        self, per_day: Callable[[Tensor], Tensor], per_inventory: Callable[[Tensor], Tensor]
    ) -> Scenario:
        changed: dict[str, Any] = {}
        for names, change in ((PER_DAY, per_day), (PER_INVENTORY, per_inventory)):
            for name in names:
                value = getattr(self, name)
                changed[name] = None if value is None else change(value)
        changed |= {name: per_inventory(value) for name, value in self.own_sizes().items()}
        return replace(self, **changed)

    def own_sizes(self) -> dict[str, Tensor]:
        """Sizes of orders that are [N]."""
        given = {name: getattr(self, name) for name in ORDER_SIZES}
        return {name: value for name, value in given.items() if isinstance(value, Tensor)}

    def observe(self, day: int, state: InventoryState) -> Observation:
        """What a policy may see on ``day`` with that stock, all N inventories."""
        return Observation(state.stack(), self.scale[day], self.basis[day], self.features[day])

    def look_up(self, day: Tensor, inventory: Tensor, stock: Tensor) -> Observation:
        """Observations of R chosen days and inventories.

        Args:
            day: [R] int64.
            inventory: [R] int64.
            stock: [R, K+1] units, before the order.
        """
        parts = (self.scale, self.basis, self.features)
        if all(part.is_contiguous() for part in parts):
            # Rows of one index are copied whole, which takes half the time of two indices.
            row = day * self.num_inventories + inventory
            return Observation(stock, *(part.flatten(0, 1).index_select(0, row) for part in parts))
        return Observation(stock, *(part[day, inventory] for part in parts))
