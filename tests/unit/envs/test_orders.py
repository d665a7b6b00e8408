"""Which orders may be given: packs, empty shelves, items that end; and the reasons."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from envs.errors import ScenarioError
from envs.gym_env import InventoryVectorEnv
from envs.orders import (
    LONGEST_SUPPLY_DAYS,
    OrderFacts,
    OrderRules,
    Reason,
    admissible,
    delivered,
    explained,
    order_rules,
    whole_units,
)
from envs.rollout import Decision, rollout, rollout_metrics
from envs.state import InventoryState, Observation, Scenario

Problem = Callable[..., tuple[Scenario, InventoryState]]
INFINITE = float("inf")


def units(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def rules(
    multiple: float = 24.0,
    *,
    rate: float = 3.0,
    until_arrival: float = 0.0,
    sellable: float = INFINITE,
    incoming: float = INFINITE,
    ratio: float = 40.0,
    n: int = 1,
) -> OrderRules:
    """Of n inventories that are alike, h = 1."""
    facts = OrderFacts(*(units(x).expand(n) for x in (rate, until_arrival, sellable, incoming)))
    return order_rules(multiple, INFINITE, facts, units(ratio).expand(n), units(1.0).expand(n))


def test_orders_are_clipped() -> None:
    assert admissible(units(-1.0, 5.0, 50.0), OrderRules(0.0, 20.0)).tolist() == [0.0, 5.0, 20.0]


def test_orders_are_rounded_to_whole_multiples() -> None:
    order = admissible(units(0.0, 2.9, 3.1, 9.5), OrderRules(6.0))
    assert order.tolist() == [0.0, 0.0, 6.0, 12.0]
    each = OrderRules(units(6.0, 0.0, 2.0, 5.0), 11.0)
    assert admissible(units(8.9, 2.9, 2.9, 99.0), each).tolist() == [6.0, 2.9, 2.0, 10.0]


@pytest.mark.parametrize("largest", [20.0, 24.0])
def test_the_largest_order_is_a_whole_multiple_too(largest: float) -> None:
    order = admissible(units(500.0), OrderRules(6.0, largest))
    assert order.item() <= largest
    assert order.item() % 6.0 == 0.0
    assert order.item() > largest - 6.0


def test_rounding_passes_the_gradient() -> None:
    wanted = units(4.2, 7.9, 0.3).requires_grad_()
    admissible(wanted, OrderRules(3.0)).sum().backward()
    assert wanted.grad is not None
    assert wanted.grad.tolist() == [1.0, 1.0, 1.0]


def test_a_pack_and_an_end_pass_the_gradient_on() -> None:
    """A pack like any rounding; where the end decides, stock replaces units one for one."""
    wanted, position = units(4.0).requires_grad_(), units(0.0).requires_grad_()
    assert admissible(wanted, rules(), position).item() == 24.0
    assert torch.autograd.grad(admissible(wanted, rules(), position), wanted)[0].item() == 1.0
    ending = rules(2.0, sellable=9.0, incoming=30.0)
    order = admissible(units(12.0).requires_grad_(), ending, position)
    assert order.item() == 8.0
    assert torch.autograd.grad(order, position)[0].item() == -1.0


@pytest.mark.parametrize("level", [6.0, 8.0, 11.0, 11.9])
@pytest.mark.parametrize("pack", [24.0, 48.0])
def test_an_empty_shelf_gets_a_pack(level: float, pack: float) -> None:
    """Three a day are asked for, and the level is below half a pack."""
    order, reason = explained(units(level), rules(pack), units(0.0))
    assert (order.item(), Reason(int(reason))) == (pack, Reason.PACK_UP)


def test_what_is_gone_on_arrival_counts_as_empty() -> None:
    rule = rules(until_arrival=6.0, n=2)
    assert admissible(units(5.0, 5.0), rule, units(6.0, 6.5)).tolist() == [24.0, 0.0]


def test_nobody_gets_a_pack_that_wants_nothing() -> None:
    order, reason = explained(units(0.0), rules(), units(0.0))
    assert (order.item(), int(reason)) == (0.0, 0)


@pytest.mark.parametrize(("ratio", "order"), [(3.4, 0.0), (3.6, 24.0)])
def test_a_pack_pays_when_the_shortage_it_avoids_costs_more_than_holding_it(
    ratio: float, order: float
) -> None:
    """24 units serve 24 lost sales; 21, 18, ... 3, 0 are left in the evenings: b = 84/24 h."""
    got, reason = explained(units(5.0), rules(ratio=ratio), units(0.0))
    assert got.item() == order
    assert Reason(int(reason)) == (Reason.PACK_UP if order else Reason.TOO_SLOW_FOR_PACK)


def test_one_unit_is_a_pack_too() -> None:
    """331 of 5,006 slow movers were never in stock: a level of 0.4 rounds to nothing."""
    slow = rules(1.0, rate=0.05, until_arrival=0.2, ratio=100.0, n=2)
    assert admissible(units(0.4, 0.4), slow, units(0.0, 1.0)).tolist() == [1.0, 0.0]


def test_a_dead_item_gets_nothing_however_cheap_holding_is() -> None:
    dead = rules(1.0, rate=0.9 / LONGEST_SUPPLY_DAYS, ratio=1e6)
    order, reason = explained(units(0.4), dead, units(0.0))
    assert (order.item(), Reason(int(reason))) == (0.0, Reason.TOO_SLOW_FOR_PACK)


def test_an_item_off_sale_is_not_ordered() -> None:
    order, reason = explained(units(90.0), rules(incoming=0.0), units(0.0))
    assert (order.item(), Reason(int(reason))) == (0.0, Reason.OFF_SALE)
    assert admissible(units(90.0), rules(0.0, incoming=0.0), units(0.0)).item() == 0.0


@pytest.mark.parametrize(
    ("position", "multiple", "order"),
    [(0.0, 0.0, 20.0), (15.0, 0.0, 10.0), (15.0, 4.0, 8.0), (24.0, 4.0, 0.0), (40.0, 1.0, 0.0)],
)
def test_of_an_ending_item_no_more_than_will_be_sold(
    position: float, multiple: float, order: float
) -> None:
    """25 sell until the end, 20 of them after the order has arrived."""
    rule = rules(multiple, sellable=25.0, incoming=20.0)
    got, reason = explained(units(60.0), rule, units(position))
    assert (got.item(), Reason(int(reason))) == (order, Reason.ENDING)


def test_an_end_that_does_not_bind_is_no_reason() -> None:
    order, reason = explained(units(10.0), rules(1.0, sellable=25.0, incoming=20.0), units(0.0))
    assert (order.item(), int(reason)) == (10.0, 0)


facts_of_one = st.fixed_dictionaries(
    {
        "multiple": st.sampled_from([0.0, 0.5, 1.0, 6.0, 24.0, 48.0]),
        "rate": st.floats(0.0, 50.0),
        "until_arrival": st.floats(0.0, 200.0),
        "ratio": st.floats(0.01, 1e4),
        "sellable": st.just(INFINITE) | st.floats(0.0, 500.0),
    }
)


@settings(max_examples=300, deadline=None)
@given(
    facts=facts_of_one, position=st.floats(0.0, 300.0),
    wanted=st.lists(st.floats(0.0, 400.0), min_size=2, max_size=6), share=st.floats(0.0, 1.0),
)  # fmt: skip
def test_what_holds_for_every_order(
    facts: dict[str, float], position: float, wanted: list[float], share: float
) -> None:
    n, multiple, rate = len(wanted), facts["multiple"], facts["rate"]
    ends = facts["sellable"] < INFINITE
    incoming = facts["sellable"] * share if ends else INFINITE
    rule = rules(**facts, incoming=incoming, n=n)._replace(largest=150.0)
    asked = units(*sorted(wanted))
    order, reason = explained(asked, rule, units(position).expand(n))
    assert ((order >= 0) & (order <= 150.0)).all()
    assert (order.diff() >= 0).all()  # who wants more does not get less
    again = admissible(order, OrderRules(multiple, 150.0))
    assert torch.equal(again, order)  # multiples stay as they are
    if ends:
        slack = 1e-3 * max(multiple, 1e-9) + 1e-9
        assert (order <= incoming + slack).all()
        assert (order <= max(facts["sellable"] - position, 0.0) + slack).all()
    elif multiple:
        pays = multiple < rate * (2 * facts["ratio"] + 1)
        pays = pays and multiple <= LONGEST_SUPPLY_DAYS * rate
        if pays and position <= facts["until_arrival"]:
            assert (order[asked > 0] >= multiple).all()  # a fast mover is not starved
        if not pays:
            assert (order[asked < multiple / 2] == 0).all()
    assert (reason[order.eq(0) & asked.eq(0)] & int(Reason.PACK_UP) == 0).all()


def test_stock_is_in_whole_units_where_packs_are() -> None:
    amounts = units(0.4, 7.6, 30.2)
    assert whole_units(amounts, 24.0).tolist() == [0.0, 8.0, 30.0]
    assert whole_units(amounts, 0.5).tolist() == [0.5, 7.5, 30.0]
    assert whole_units(amounts, 0.0) is amounts
    assert whole_units(amounts, units(0.0, 6.0, 0.5)).tolist() == [0.4, 8.0, 30.0]


def test_short_deliveries_are_in_whole_units_where_orders_are() -> None:
    order, fill = units(3.0, 12.0, 5.0, 7.5).requires_grad_(), units(0.5, 0.7, 1.0, 0.5)
    packs = units(1.0, 6.0, 1.0, 0.0)
    arriving = delivered(order, fill, packs)
    assert arriving.tolist() == [2.0, 8.0, 5.0, 3.75]
    arriving.sum().backward()
    assert order.grad is not None
    assert torch.equal(order.grad, fill)


def test_every_way_to_play_places_the_same_orders(random_problem: Problem) -> None:
    """With gradients, in place, for metrics only, and through gymnasium."""
    scenario, start = random_problem(8, n=30, days=15, expected=True, order_multiple=7.0)

    def want(seen: Observation) -> Decision:
        return Decision((2 * seen.scale - seen.stock.sum(-1)).clamp(min=0.0) + 0.01)

    slow = rollout(scenario, want, start, record=True)
    assert slow.stock is not None
    with torch.no_grad():
        fast = rollout(scenario, want, start)
    assert torch.equal(slow.order, fast.order)
    plain = replace(
        scenario, demand_rate=None, demand_until_arrival=None, sellable=None, incoming=None
    )
    # All rules are at work here.
    assert not torch.equal(rollout(plain, want, start).order, slow.order)
    metrics = rollout_metrics(scenario, want, start, tile_rows=7)
    torch.testing.assert_close(metrics.mean_inventory, slow.outcome.end.mean(0))
    env = InventoryVectorEnv(scenario, start=lambda _: start)
    env.reset(seed=0)
    for day in range(scenario.num_days):
        seen = scenario.observe(day, InventoryState.unstack(slow.stock[day]))
        action = want(seen).order
        *_, info = env.step(action.unsqueeze(1).numpy())
        assert torch.equal(torch.from_numpy(info["order"]), slow.order[day])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sellable": None}, "sellable = None .*all of"),
        ({"demand_rate": torch.full((12, 4), -1.0)}, "demand_rate = -1.0"),
        ({"incoming": torch.zeros(12, 3)}, "incoming .*shape"),
        ({"order_multiple": torch.ones(3)}, "order_multiple .*shape"),
    ],
)
def test_expectations_out_of_their_domain_are_named(
    random_problem: Problem, change: dict[str, Tensor | None], message: str
) -> None:
    scenario, _ = random_problem(1, expected=True)
    with pytest.raises(ScenarioError, match=message):
        replace(scenario, **change).validate()  # type: ignore[arg-type]
