"""What rules of orders look at, from an outlook.

Notation: day t, lead time L, review period P, H = L + P: an order placed on t arrives on t + L, and
the next one on t + H.
"""

from __future__ import annotations

import torch
from torch import Tensor

from envs.orders import INFINITE, OrderFacts
from pipeline.features.outlook import Outlook


def order_facts(outlook: Outlook, usual: Tensor) -> OrderFacts:
    """Expectations on D mornings, [D, n] each.

    Args:
        outlook: Of these mornings.
        usual: [D, n] demand a day on sale, less where the item has probably stopped: a pack sells
            over more days than the outlook has.
    """
    until_arrival, near, gone = outlook.selling
    sells_on_arrival = near > until_arrival
    ends = sells_on_arrival & (gone <= near)
    incoming = (outlook.near - outlook.lead_time).clamp(min=0.0)
    return OrderFacts(
        usual,
        outlook.lead_time,
        outlook.near.masked_fill(~ends, INFINITE),
        torch.where(sells_on_arrival, incoming.masked_fill(~ends, INFINITE), 0.0),
    )
