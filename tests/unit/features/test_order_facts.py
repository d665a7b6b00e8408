"""What rules of orders are told about the coming days."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from envs.orders import INFINITE, OrderFacts
from pipeline.features.build import BASIS, FeatureTile
from pipeline.features.plan import GONE_DAYS
from tests.unit.conftest import History, make_history

T, DAY = 150, 100
"""Days of the history, and the morning that is asked about."""


def fixed_terms(seed: int = 4) -> History:
    """Four inventories with L = 3 and P = 2, on sale on all days."""
    history = make_history(seed, n=4, days=T)
    history.static["lead_time"][:] = 3
    history.static["review_period"][:] = 2
    demand = np.random.default_rng(1).poisson(4.0, (4, T)).astype(np.float32)
    return history.but(on_sale=np.ones((4, T), np.uint8), demand=demand)


def without(history: History, *off: slice) -> History:
    """The first inventory is off sale on some days."""
    on_sale, demand = history.dynamic["on_sale"].copy(), history.dynamic["demand"].copy()
    for days in off:
        on_sale[0, days], demand[0, days] = 0, 0.0
    return history.but(on_sale=on_sale, demand=demand)


def morning(history: History, **options: object) -> tuple[OrderFacts, FeatureTile]:
    made = history.build(first=DAY, stop=DAY + 1, **options)  # type: ignore[arg-type]
    return OrderFacts(*(part[0] for part in made.expected)), made


def test_an_item_that_goes_on_has_no_bounds() -> None:
    facts, made = morning(fixed_terms())
    assert facts.sellable.isinf().all()
    assert facts.incoming.isinf().all()
    assert ((facts.rate > 2.5) & (facts.rate < 6)).all()
    near = made.basis[0, :, BASIS.index("near_forecast")]
    assert ((facts.until_arrival > 0.4 * near) & (facts.until_arrival < 0.8 * near)).all()


def test_an_item_that_ends_may_sell_until_then() -> None:
    """The order arrives on day 103; the item leaves the assortment after day 103."""
    facts, made = morning(without(fixed_terms(), slice(DAY + 4, T)))
    near = made.basis[0, 0, BASIS.index("near_forecast")]
    assert facts.sellable[0] == near
    torch.testing.assert_close(facts.incoming[0], near - facts.until_arrival[0])
    assert 0 < facts.incoming[0] < facts.sellable[0]
    assert facts.incoming[1:].isinf().all()


@pytest.mark.parametrize(
    "off",
    [slice(DAY + 3, T), slice(DAY - 30, T), slice(DAY, T), slice(DAY + 3, DAY + 5)],
    ids=["gone on arrival", "gone for a month", "gone today", "away until the next order"],
)
def test_an_item_off_sale_on_arrival_brings_nothing(off: slice) -> None:
    facts, _ = morning(without(fixed_terms(), off))
    assert facts.incoming[0] == 0
    assert facts.sellable[0] == INFINITE
    assert facts.incoming[1:].isinf().all()


@pytest.mark.parametrize("gap", [1, 6, GONE_DAYS - 1])
def test_an_item_that_comes_back_soon_does_not_end(gap: int) -> None:
    """A closed weekend, or three weeks of renovation: stock is kept over it."""
    facts, _ = morning(without(fixed_terms(), slice(DAY + 5, DAY + 5 + gap)))
    assert facts.incoming[0] == INFINITE
    assert facts.sellable[0] == INFINITE
    facts, _ = morning(without(fixed_terms(), slice(DAY + 5, DAY + 5 + GONE_DAYS)))
    assert facts.sellable[0] < INFINITE


def test_who_knows_no_plan_is_told_of_no_end() -> None:
    history = fixed_terms()
    # The assortment is something to plan: it varied in the past.
    factors = replace(history.factors, shares={"*": {"on_sale": 0.9}})
    history = replace(history, factors=factors)
    ends = without(history, slice(DAY + 4, T))
    assert morning(ends)[0].incoming[0] < INFINITE
    blind, _ = morning(ends, no_plan=np.ones((4, 1), bool))
    assert blind.incoming[0] == INFINITE
    gone = without(history, slice(DAY - 20, T))
    assert morning(gone, no_plan=np.ones((4, 1), bool))[0].incoming[0] == 0


def test_all_days_at_once_are_each_day_by_itself(history: History) -> None:
    whole = history.build()
    for day in (70, 121, 149):
        one = history.build(first=day, stop=day + 1)
        for part, same in zip(one.expected, whole.expected, strict=True):
            assert torch.equal(part[0], same[day])
