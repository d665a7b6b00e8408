"""What an inventory's own past tells on each morning, shrunk towards its category's rate.

Evidence counts in days whose demand was observed, not in units: see :func:`prior_share`.
Shape letters: T days, n inventories.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline.windows import Horizon, cumulated, past_sum

RECENT, FORECAST, LONGER = 7.0, 28.0, 56.0
"""Half-lives, days, of the exponentially weighted means."""
PRIOR_DAYS = 1.0
"""k: the category's rate weighs as much as so many observed days."""
OWN_DAYS = 28.0
"""Observed days after which an inventory that has sold speaks for itself alone."""


class Past:
    """Demand figures as of each morning, from days before it.

    Args:
        demand: [T, n] units; 0 where not observed.
        observed: [T, n] 1 where the item was on sale and its demand known, else 0.
        prior: [n] units per day expected of an inventory without a past.
    """

    def __init__(self, demand: Tensor, observed: Tensor, prior: Tensor) -> None:
        self.demand, self.observed, self.prior = demand, observed, prior
        sold = demand > 0
        self.first_sold = torch.where(
            sold.any(0), sold.to(torch.uint8).argmax(0), demand.shape[0]
        )  # [n]; T: never
        self.has_sold = torch.arange(demand.shape[0]).unsqueeze(1) > self.first_sold
        """[T, n] bool: before that morning."""
        self.prior_share = prior_share(observed, self.has_sold)
        self._sold = {h: past_sum(demand, h) for h in (RECENT, FORECAST, LONGER)}
        self._days = past_sum(observed, LONGER)

    def recent(self, first: int) -> Tensor:
        """Mean demand, units per observed day, on the mornings from ``first`` on."""
        return self.shrunk(self._own(RECENT, past_sum(self.observed, RECENT), first))

    def longer(self) -> Tensor:
        """[T, n] the same over a longer past."""
        return self.shrunk(self._own(LONGER, self._days))

    def own_level(self, factor: Tensor, first: int = 0) -> Tensor:
        """Own demand per unit of ``factor`` [T, n], a ratio of sums over observed days; 0 before
        the first sale. Mornings from ``first`` on."""
        return self._own(FORECAST, past_sum(factor * self.observed, FORECAST), first)

    def shrunk(self, own: Tensor) -> Tensor:
        """``own`` rates or levels of the last D mornings, [D, n], shrunk towards the prior."""
        share = self.prior_share[-len(own) :]
        # lerp with a weight of 0 or 1 picks exactly.
        return torch.lerp(own, self.prior.expand_as(own), share)

    def zero_share(self, first: int) -> Tensor:
        """Share of observed days without demand, from ``first`` on; 1 until the first sale."""
        zero = past_sum((self.demand <= 0) * self.observed, LONGER)[first:]
        share = zero.div_(self._days[first:].clamp(min=1e-12))
        return torch.where(self.has_sold[first:], share, 1.0)

    def yesterday(self, usual: Tensor, first: int) -> Tensor:
        """Demand of the day before, from ``first`` on; ``usual`` where it was not observed."""
        before = slice(max(first - 1, 0), self.demand.shape[0] - 1)
        observed = self.observed[before]
        result = usual.clone()
        rest = usual.shape[0] - observed.shape[0]
        result[rest:] = torch.lerp(usual[rest:], self.demand[before], observed)
        return result

    def forecast_error(
        self, near: Tensor, protection: Tensor, known: Tensor | None, prior: Tensor
    ) -> Tensor:
        """Standard deviation, units, of demand over H days around its forecast, [T, n].

        Errors of the forecasts made H or more days ago, exponentially weighted, shrunk towards
        ``prior`` [T, n]. Only forecasts that rest on the inventory's own demand count, made
        after its first sale: a borrowed rate's error would not grow with the inventory.

        Args:
            near: [T, n] forecasts over H days from the inventory's own level, of the days whose
                demand became known.
            protection: [n] H.
            known: [T, n] 1 where the day's demand is known; None: everywhere. A window counts
                by the share of its days that are: its squared error is as much smaller.
            prior: Also [T, n] units.
        """
        days = self.demand.shape[0]
        back = Horizon(-protection, 0, days)
        sums = cumulated(self.demand)
        squared = (sums[:days] - back.of(sums)).float().sub_(back.of(near)).square_()
        # Windows of forecasts that rest on demand, up to this morning.
        windows = torch.arange(days).unsqueeze(1) - (self.first_sold + protection)
        weight = (windows > 0).to(squared.dtype)
        squared.mul_(weight)
        if known is not None:
            seen = cumulated(known, torch.float32)
            weight *= (seen[:days] - back.of(seen)) / protection
        # The error of the window that ended yesterday is known this morning.
        below = past_sum(weight, LONGER, today=True)
        borrowed = (1.0 - windows.clamp(min=0) / OWN_DAYS).clamp_(min=0.0).mul_(PRIOR_DAYS)
        above = past_sum(squared, LONGER, today=True).addcmul_(borrowed, prior.square())
        return above.div_((below + borrowed).clamp_(min=1e-12)).sqrt_()

    def _own(self, half_life: float, below: Tensor, first: int = 0) -> Tensor:
        return self._sold[half_life][first:] / below[first:].clamp(min=1e-12)


def prior_share(observed: Tensor, has_sold: Tensor) -> Tensor:
    """[T, n] weight of the category's rate in a mean of the days before each morning.

    After m observed days k / (m + k): a new item borrows, one that stood m days without a sale
    is known not to sell. Once an item has sold, k falls to exactly 0 within ``OWN_DAYS``: from
    then on its figures are its own, and grow with its demand.

    Args:
        observed: [T, n] 0 or 1.
        has_sold: [T, n] bool.
    """
    days = cumulated(observed, torch.float32)[:-1]
    faded = (1.0 - days / OWN_DAYS).clamp_(min=0.0)
    weight = torch.where(has_sold, faded, 1.0).mul_(PRIOR_DAYS)
    return weight / (days + weight)
