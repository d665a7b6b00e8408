"""Items that stopped selling: how much of their demand a run without sales leaves.

An item that sold on most days and then on none for weeks has probably ended, or is out of stock
without a record of it; exponentially weighted means go on for months as if it sold. With q the
share of observed days without a sale as of the last sale, a run of r observed days without one,
and a chance theta a day that an item stops, it still sells with probability

    P = 1 / (1 + theta (q^-1 + ... + q^-r)),

the "probability alive" of Schmittlein, Morrison and Colombo (Management Science 33, 1987), in days
instead of purchases. One that has stopped may come back: a silence of r days lasts j more with
probability r / (r + j), so that it sells on the share 1 - (r / H) log(1 + H / r) of the next H
days. Shape letters: T days, n inventories.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline.features.windows import cumulated

STOPPING = 1.0 / 730.0
"""theta: chance that an item stops on a day on which it is on sale."""
ONE_DAY = 1.0
"""Observed day without a sale that is added to those seen: q is never 0."""


class QuietRun:
    """The run without sales before each of the mornings [first, T); D = T - first.

    Args:
        sold: [T, n] bool: the day had a sale.
        observed: [T, n] 1 where the item was on sale and its demand known, else 0: a day that
            was not observed is no evidence.
        zero, days: [T, n] weighted number of days without a sale, and of observed days, of the
            past of each morning.
        horizon: [n] H, days that figures are for.
        first: First morning asked for.
    """

    def __init__(
        self, sold: Tensor, observed: Tensor, zero: Tensor, days: Tensor, horizon: Tensor,
        first: int,
    ) -> None:  # fmt: skip
        self._first = first
        after_sale = _mornings_after_sale(sold)[first:]
        self._row = after_sale.mul(sold.shape[1]).add_(torch.arange(sold.shape[1]))
        counted = cumulated(observed, torch.float32)
        run = (counted[first:-1] - self._held(counted)).mul_(after_sale > 0)
        q = (self._held(zero) + ONE_DAY) / (self._held(days) + ONE_DAY)
        self.share = selling_share(run, q, horizon.to(run.dtype))
        """[D, n] expected share of the demand as of the last sale that goes on; 1 before the
        first sale, and on the morning after each."""

    def cut(self, figures: Tensor) -> Tensor:
        """[D, n] figures [T, n], but no more than the share of those as of the last sale: a run
        that surprises nobody leaves them bit by bit."""
        most = self._held(figures).mul_(self.share)
        return torch.minimum(figures[self._first :], most)

    def _held(self, figures: Tensor) -> Tensor:
        """[D, n] figures [T, n] as of the morning after the last sale."""
        return figures.view(-1).index_select(0, self._row.view(-1)).view(self._row.shape)


def _mornings_after_sale(sold: Tensor) -> Tensor:
    """[T, n] int64 morning after the last sale before each morning; 0: there was none."""
    result = torch.zeros(sold.shape, dtype=torch.long)
    mornings = torch.arange(1, len(sold) + 1).unsqueeze(1) * sold
    rows = result.unbind(0)
    # Row by row, as in `cumulated`.
    for before, morning, after in zip(rows, mornings.unbind(0), rows[1:], strict=False):
        torch.maximum(before, morning, out=after)
    return result


def selling_share(run: Tensor, q: Tensor, horizon: Tensor) -> Tensor:
    """Expected share of the next H days on which an item sells as before its run.

    Args:
        run: r, days without a sale, >= 0.
        q: Share of days without a sale before, in (0, 1]; 1 only where r = 0.
        horizon: H, days.
    """
    # The sum in closed form; beyond e^60 it makes no difference.
    surprise = torch.expm1((-run * q.log()).clamp_(max=60.0)).div_((1.0 - q).clamp_(min=1e-6))
    alive = surprise.mul_(STOPPING).add_(1.0).reciprocal_()
    back = 1.0 - run / horizon * torch.log1p(horizon / run.clamp(min=1.0))
    return back.mul_(1.0 - alive).add_(alive)
