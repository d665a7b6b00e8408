"""Order rules of one's own, beside pack size, minimum and largest order (:mod:`envs.orders`).

``docs/extending.md`` shows how to add one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

from envs.registry import Registry

if TYPE_CHECKING:
    from envs.orders import OrderFacts


class OrderRule(ABC):
    """Bounds orders by what is expected of an inventory on the morning of the order."""

    name: ClassVar[str]

    @classmethod
    @abstractmethod
    def narrowed(cls, facts: OrderFacts) -> OrderFacts:
        """The facts with lower bounds: ``incoming`` of what an order may bring, ``sellable`` of
        the inventory position that it may lead to; units, [N] or [T, N]."""


ORDER_RULES: Registry[OrderRule] = Registry(
    "order_rule",
    OrderRule,  # type: ignore[type-abstract]
    {},
)
"""All of them hold, in training, evaluation and serving; none comes with the project."""


def narrowed(facts: OrderFacts) -> OrderFacts:
    """The facts as all of :data:`ORDER_RULES` leave them."""
    for name in ORDER_RULES:
        facts = ORDER_RULES.find(name).narrowed(facts)
    return facts
