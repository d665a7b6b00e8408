"""Pack sizes, minima and largest orders of each inventory, together."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from envs.orders import (
    INFINITE,
    OrderFacts,
    admissible,
    explained,
    largest_order,
    order_rules,
    shared,
    smallest_order,
)

SIZES = st.sampled_from([0.0, 0.5, 1.0, 6.0, 7.0, 24.0])
MINIMA = st.sampled_from([0.0, 0.3, 1.0, 5.0, 10.0, 30.0])
INVENTORY = st.tuples(
    SIZES,
    MINIMA,
    st.floats(1.0, 5.0) | st.just(INFINITE),  # the largest, over the smallest
    st.floats(-20, 300),  # wanted
    st.floats(0, 20),  # demand a day
    st.floats(-5, 60),  # position
    st.floats(0, 100) | st.just(INFINITE),  # what can still be sold
)


def doubles(values: object) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def slow(
    wanted: float, pack: float, minimum: float, largest: float, up: bool, most: float
) -> float:
    """One order, in plain words of :mod:`envs.orders`."""

    def down(quantity: float) -> float:
        if not pack or quantity == INFINITE:
            return quantity
        return math.floor(quantity / pack + 1e-4) * pack

    smallest = math.ceil(minimum / pack - 1e-4) * pack if pack else minimum
    order = round(wanted / pack) * pack if pack else wanted
    if smallest:
        order = max(order, smallest) if 2 * wanted > smallest else 0.0
    if up and wanted > 0:
        order = max(order, smallest or pack)
    bound = down(most)
    if bound < smallest:
        bound = 0.0
    return min(max(min(order, bound), 0.0), down(largest))


@settings(max_examples=60, deadline=None)
@given(st.lists(INVENTORY, min_size=1, max_size=6), st.booleans())
def test_each_order_is_what_the_rules_say(rows: list[tuple[float, ...]], alone: bool) -> None:
    rows = [row for row in rows if not alone or row[:3] == rows[0][:3]]
    pack, minimum, over, wanted, rate, position, incoming = (
        doubles(part) for part in zip(*rows, strict=True)
    )
    smallest = doubles([smallest_order(row[1], row[0]) or row[0] or 1.0 for row in rows])
    largest = over * smallest
    cost = torch.ones_like(pack)
    facts = OrderFacts(rate, 3 * rate, torch.full_like(rate, INFINITE), incoming)
    rules = order_rules(shared(pack), shared(largest), facts, 9 * cost, cost, shared(minimum))
    wanted.requires_grad_()
    order = admissible(wanted, rules, position)
    asked = wanted.tolist()
    size = torch.where(minimum > 0, smallest, pack)
    pays = (size < 19 * rate) & (size <= 365 * rate) & (size > 0)
    for i in range(len(rows)):
        up = bool(pays[i] & (position[i] <= 3 * rate[i]))
        expected = slow(
            asked[i], float(pack[i]), float(minimum[i]), float(largest[i]), up,
            float(incoming[i]),
        )  # fmt: skip
        assert float(order[i]) == pytest.approx(expected, abs=1e-6)
        if order[i] > 0:
            assert smallest_order(minimum[i].item(), pack[i].item()) <= order[i] + 1e-6
            assert order[i] <= largest[i] + 1e-3 * pack[i]
    assert torch.equal(explained(wanted, rules, position)[0], order)
    (gradient,) = torch.autograd.grad(order.sum(), wanted)
    unbounded = admissible(wanted, rules._replace(sellable=None, incoming=None), position)
    free = (order > 0) & (order < largest_order(largest, pack)) & (order == unbounded)
    assert torch.equal(gradient[free], torch.ones_like(gradient[free]))


def test_all_alike_is_as_each_the_same() -> None:
    wanted = doubles([1.0, 4.0, 7.0, 11.0, 50.0])
    ones = torch.ones_like(wanted)
    alike = order_rules(6.0, 20.0, None, ones, ones, 10.0)
    each = order_rules(6 * ones, 20 * ones, None, ones, ones, 10 * ones)
    assert admissible(wanted, alike).tolist() == [0.0, 0.0, 12.0, 12.0, 18.0]
    assert torch.equal(admissible(wanted, each), admissible(wanted, alike))
    picked = each.rows(torch.tensor([4, 0]))
    assert admissible(wanted[[4, 0]], picked).tolist() == [18.0, 0.0]


def test_a_minimum_without_packs_leaves_larger_orders_as_they_are() -> None:
    rules = order_rules(0.0, INFINITE, None, doubles([1.0]), doubles([1.0]), 10.0)
    wanted = doubles([4.9, 5.1, 9.9, 10.3])
    assert admissible(wanted, rules).tolist() == [0.0, 10.0, 10.0, 10.3]


def test_an_empty_shelf_gets_the_minimum_where_it_pays() -> None:
    two = doubles([1.0, 1.0])
    facts = OrderFacts(doubles([4.0, 0.1]), doubles([8.0, 8.0]), INFINITE * two, INFINITE * two)
    rules = order_rules(6.0, INFINITE, facts, 2 * two, two, 16.0)
    # 18 units pay at 4 a day (18 < 4 * 5), not at one in ten days.
    assert admissible(two, rules, 0 * two).tolist() == [18.0, 0.0]
