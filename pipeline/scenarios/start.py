"""Stock on the first morning: empty, of an evaluation, of a training fragment."""

from __future__ import annotations

import torch

from envs.orders import whole_units
from envs.state import InventoryState, Scenario


def empty_start(scenario: Scenario) -> InventoryState:
    """No stock, nothing on its way."""
    return InventoryState.empty(
        scenario.num_inventories, scenario.max_lead_time, like=scenario.demand
    )


def evaluation_start(scenario: Scenario) -> InventoryState:
    """Stock that every evaluated policy starts with: one scale on hand, nothing in the pipeline.

    The scale is the mean demand over the protection period plus its forecast error,
    known on the first morning; no method chooses it. In whole units where orders are: a third of
    a unit would be left on the shelf for ever, and the item never out of stock.
    """
    on_hand = whole_units(scenario.scale[0].clone(), scenario.order_multiple)
    return InventoryState(on_hand, empty_start(scenario).pipeline)


def training_start(scenario: Scenario, generator: torch.Generator) -> InventoryState:
    """Random stock: a position of 0 to 2 scales, a random part of it arriving later.

    Wide enough that a learner meets every state its policy may lead to. In whole units where
    orders are.
    """
    n, lead = scenario.num_inventories, scenario.lead_time
    position = 2.0 * torch.rand(n, generator=generator) * scenario.scale[0]
    later = torch.rand(n, generator=generator) * position * (lead > 1)
    position, later = (whole_units(part, scenario.order_multiple) for part in (position, later))
    # One order on its way, due in 1..L-1 days.
    due = 1 + (torch.rand(n, generator=generator) * (lead - 1).clamp(min=1)).long()
    return InventoryState(
        position - later,
        tuple(later * (due == k + 1) for k in range(scenario.max_lead_time)),
    )
