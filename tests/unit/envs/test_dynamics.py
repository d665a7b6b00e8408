"""One day: when an order can be used, what is admissible, and that gradients are right."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from envs.dynamics import arrival_slots, place_order, step
from envs.state import InventoryState


def stock(on_hand: float, *pipeline: float) -> InventoryState:
    return InventoryState(
        torch.tensor([on_hand], dtype=torch.float64),
        tuple(torch.tensor([units], dtype=torch.float64) for units in pipeline),
    )


def units(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_an_order_without_lead_time_serves_the_same_day() -> None:
    after, outcome = step(stock(1.0), units(5.0), units(4.0), 0)
    assert outcome.sales.item() == 4.0
    assert outcome.unmet.item() == 0.0
    assert after.on_hand.item() == 2.0


def test_an_order_with_lead_time_one_comes_too_late_for_today() -> None:
    after, outcome = step(stock(1.0, 0.0), units(5.0), units(4.0), 1)
    assert outcome.sales.item() == 1.0
    assert outcome.unmet.item() == 3.0
    assert after.on_hand.item() == 5.0


def test_backlog_owes_what_it_cannot_serve() -> None:
    after, outcome = step(stock(1.0, 0.0), units(5.0), units(4.0), 1, backlog=True)
    assert outcome.end.item() == -3.0
    assert outcome.unmet.item() == 3.0
    assert after.on_hand.item() == 2.0


def test_the_pipeline_moves_one_day() -> None:
    after, _ = step(stock(0.0, 1.0, 2.0, 3.0), units(10.0), units(0.0), 2)
    assert after.on_hand.item() == 1.0
    assert [column.item() for column in after.pipeline] == [12.0, 3.0, 0.0]


def test_no_order_is_an_order_of_nothing() -> None:
    start = stock(3.0, 1.0, 2.0)
    nothing = step(start, None, units(2.0), 2)
    zero = step(start, units(0.0), units(2.0), 2)
    assert torch.equal(nothing[0].stack(), zero[0].stack())


def test_each_order_arrives_in_its_slot() -> None:
    slots = arrival_slots(torch.tensor([0, 2]), 3, torch.float64)
    assert slots.tolist() == [[1.0, 0.0], [0.0, 0.0], [0.0, 1.0], [0.0, 0.0]]
    placed = place_order(
        InventoryState(units(1.0, 1.0), (units(0, 0), units(0, 0), units(0, 0))),
        units(4.0, 6.0),
        slots,
    )
    assert placed.stack().tolist() == [[5.0, 0.0, 0.0, 0.0], [1.0, 0.0, 6.0, 0.0]]


@pytest.mark.parametrize("backlog", [False, True])
@pytest.mark.parametrize("lead", [0, 1, 2, "per inventory"])
def test_the_gradient_of_a_day(lead: int | str, backlog: bool) -> None:
    """Numerically checked away from the kinks at demand = stock."""
    days = 3
    generator = torch.Generator().manual_seed(1)
    on_hand = 3 + torch.rand(3, generator=generator, dtype=torch.float64)
    ahead = 1 + torch.rand(2, 3, generator=generator, dtype=torch.float64)
    order = 2 + torch.rand(days, 3, generator=generator, dtype=torch.float64)
    # The first inventory always has enough, the second never has (L > 0), the third both.
    demand = torch.tensor([[1.3, 9.1, 2.1], [1.1, 9.3, 17.7], [1.7, 9.7, 0.9]]).double()
    arrival = arrival_slots(torch.tensor([0, 1, 2]), 2, torch.float64)

    def total(on_hand: Tensor, ahead: Tensor, order: Tensor) -> Tensor:
        state = InventoryState(on_hand, tuple(ahead.unbind(0)))
        cost = on_hand.new_zeros(())
        for t in range(days):
            when = lead if isinstance(lead, int) else arrival
            state, outcome = step(state, order[t], demand[t], when, backlog=backlog)
            cost = cost + (9 * outcome.unmet + outcome.end.clamp(min=0.0) - outcome.sales).sum()
        return cost + (state.stack() ** 2).sum()

    inputs = tuple(x.clone().requires_grad_() for x in (on_hand, ahead, order))
    assert torch.autograd.gradcheck(total, inputs, eps=1e-6, atol=1e-6)
    gradients = torch.autograd.grad(total(*inputs), inputs)
    assert all(bool((g != 0).any()) for g in gradients)
