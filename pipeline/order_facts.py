"""What rules of orders look at, from forecasts and the planned assortment.

Notation: day t, lead time L, review period P, H = L + P: an order placed on t arrives on t + L, and
the next one on t + H.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from envs.orders import INFINITE, OrderFacts
from pipeline.data.schema import UNKNOWN
from pipeline.windows import Horizon, cumulated, day_major

GONE_DAYS = 28
"""An item ends if it is off sale for as long from t + H on (or H days more, if that is longer). A
shorter absence, a closed weekend say, is no reason to sell out before it."""


def order_facts(
    near: Tensor,
    until_arrival: Tensor,
    usual: Tensor,
    on_sale: NDArray[np.generic],
    lead_time: Tensor,
    review_period: Tensor,
    first: int,
) -> OrderFacts:
    """Expectations on the mornings of D days t, from ``first`` on.

    Args:
        near: [D, n] forecast demand over [t, t+H), units.
        until_arrival: [D, n] forecast demand over [t, t+L), units.
        usual: [D, n] demand a day on sale; stands in where the item is not on sale in [t, t+H).
        on_sale: [n, T or more] flags of the panel's days; ``UNKNOWN``, and days beyond, are as the
            last known day before.
        lead_time, review_period: [n] int64 L and P, days.
        first: Day of the panel that the first row is for.

    Returns:
        [D, n] each.
    """
    stop = first + len(near)
    span = lead_time + review_period
    gone = span + span.clamp(min=GONE_DAYS)
    flags = day_major(_carried(on_sale), stop + int(gone.max()), stays=True)
    # One sum serves all: exact, for they are whole numbers.
    sums = cumulated(flags[first:], torch.float32)
    until_arrival_days, days, all_days = (
        Horizon(ahead, 0, len(near)).sum_ahead(sums) for ahead in (lead_time, span, gone)
    )
    sells_on_arrival = days > until_arrival_days
    ends = sells_on_arrival & (all_days == days)
    rate = torch.where(days > 0, near / days.clamp(min=1.0), usual)
    incoming = (near - until_arrival).clamp(min=0.0).masked_fill(~ends, INFINITE)
    return OrderFacts(
        rate,
        until_arrival,
        near.masked_fill(~ends, INFINITE),
        incoming.masked_fill(~sells_on_arrival, 0.0),
    )


def _carried(flags: NDArray[np.generic]) -> NDArray[np.generic]:
    """[n, D] with the last known flag in place of ``UNKNOWN``."""
    unknown = flags == UNKNOWN
    if not unknown.any():
        return flags
    last = np.maximum.accumulate(np.where(unknown, 0, np.arange(flags.shape[1])), axis=1)
    return np.take_along_axis(flags, last, axis=1)
