"""Sums over past and coming days of a tile, for all days at once.

Day-major tensors [T, n]. Every function keeps to one order of summation whatever T is, so that
a day's figures do not depend, not even in the last bit, on how much of the panel lies after it.
"""

from __future__ import annotations

import functools

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

BLOCK = 32
"""Days of one matrix product of :func:`past_sum`: work grows linearly with T, and the products
are large enough for the core's matrix rate."""


def day_major(per_inventory: NDArray[np.generic], days: int, *, stays: bool = False) -> Tensor:
    """[n, T] as a float32 tensor [days, n]; days beyond T are 0, or the last day's (``stays``)."""
    n, known = per_inventory.shape
    known = min(known, days)
    result = torch.empty(days, n)
    result.numpy()[:known] = per_inventory[:, :known].T
    result[known:] = result[known - 1] if stays else 0.0
    return result


def cumulated(values: Tensor, dtype: torch.dtype = torch.float64) -> Tensor:
    """[T+1, n]: sums of the days before each day.

    Double by default, so that differences of far days stay exact; float32 is exact for flags.
    """
    result = torch.empty((values.shape[0] + 1, values.shape[1]), dtype=dtype)
    rows = result.unbind(0)
    rows[0].zero_()
    # Row by row: several times as fast as torch.cumsum over the first axis.
    for before, value, after in zip(rows, values.unbind(0), rows[1:], strict=False):
        torch.add(before, value, out=after)
    return result


class Horizon:
    """Looks up values ``days_i`` days after each day t of [first, stop).

    Args:
        days: [n] int64; negative looks back, to day 0 at most.
        first, stop: Days t.
    """

    def __init__(self, days: Tensor, first: int, stop: int) -> None:
        row = (torch.arange(first, stop).unsqueeze(1) + days).clamp(min=0)
        # A flat index_select is several times as fast as gather.
        self._index = (row * len(days) + torch.arange(len(days))).view(-1)
        self._shape = row.shape
        self._now = slice(first, stop)

    def of(self, values: Tensor) -> Tensor:
        """[stop - first, n] from contiguous values [R, n]; every looked-up row must exist."""
        return values.view(-1).index_select(0, self._index).view(self._shape)

    def sum_ahead(self, sums: Tensor) -> Tensor:
        """Sum over [t, t + days_i), float32, from :func:`cumulated` sums."""
        return self.of(sums).sub_(sums[self._now]).float()


@functools.cache
def _weights(half_life: float, today: bool) -> tuple[Tensor, Tensor]:
    """[B+1, B] weights of a block's days in the sums of its days and of the next block's
    first day, and [B+1, 1] those of the sum that the block starts with."""
    age = torch.arange(BLOCK + 1, dtype=torch.float64)
    gap = age.unsqueeze(1) - age[:-1] - (0 if today else 1)
    keep = 0.5 ** (1.0 / half_life)
    inside = torch.where(gap >= 0, keep ** gap.clamp(min=0.0), 0.0)
    return inside.float(), (keep**age).unsqueeze(1).float()


def past_sum(values: Tensor, half_life: float, *, today: bool = False) -> Tensor:
    """Exponentially weighted sum over the days before t, [T, n].

    Yesterday weighs 1, the day ``half_life`` days before it 1/2.

    Args:
        values: [T, n] float32, finite.
        half_life: Days.
        today: Day t itself is included, with weight 1.
    """
    inside, start = _weights(half_life, today)
    days, n = values.shape
    result = torch.empty_like(values)
    # What the days before a block add to its first day.
    state = values.new_zeros(n)
    for first in range(0, days, BLOCK):
        block = values[first : first + BLOCK]
        rows = block.shape[0]
        if rows < BLOCK:  # the same product whatever T is: see above
            block = torch.cat((block, block.new_zeros(BLOCK - rows, n)))
        sums = torch.addcmul(inside @ block, start, state)
        result[first : first + rows] = sums[:rows]
        state = sums[BLOCK]
    return result
