"""What an inventory's own past tells on each morning, shrunk towards its category's rate.

Evidence counts in days whose demand was observed, not in units: see :func:`prior_share`.
Shape letters: T days, n inventories.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline.features.quiet import QuietRun
from pipeline.features.windows import Horizon, cumulated, past_sum

RECENT, FORECAST, LONGER = 7.0, 28.0, 56.0
"""Half-lives, days, of the exponentially weighted means."""
PRIOR_DAYS = 1.0
"""k: the category's rate weighs as much as so many observed days."""
OWN_DAYS = 28.0
"""Observed days after which an inventory that has sold speaks for itself alone."""


class Past:
    """Demand figures as of the mornings [first, T), from days before each.

    Args:
        demand: [T, n] units; 0 where not observed.
        observed: [T, n] 1 where the item was on sale and its demand known, else 0.
        prior: [n] units per day expected of an inventory without a past.
        first: First morning asked for; D = T - first.
    """

    def __init__(self, demand: Tensor, observed: Tensor, prior: Tensor, first: int) -> None:
        self.demand, self.observed, self.prior, self.first = demand, observed, prior, first
        self.days = demand.shape[0]
        sold = demand > 0
        self.first_sold = torch.where(sold.any(0), sold.to(torch.uint8).argmax(0), self.days)
        """[n] day of the first sale; T: there is none."""
        self.has_sold = torch.arange(first, self.days).unsqueeze(1) > self.first_sold
        """[D, n] bool: before that morning."""
        self.prior_share = prior_share(observed, self.has_sold)
        self._sold = {h: past_sum(demand, h) for h in (RECENT, FORECAST, LONGER)}
        self._all_days = past_sum(observed, LONGER)
        self._days = self._all_days[first:]
        self._zero = past_sum((demand <= 0) * observed, LONGER)

    def recent(self) -> Tensor:
        """[D, n] mean demand, units per observed day."""
        days = past_sum(self.observed, RECENT)[self.first :]
        return self.shrunk(_ratio(self._sold[RECENT][self.first :], days))

    def longer(self) -> Tensor:
        """[D, n] the same over a longer past."""
        return self.shrunk(_ratio(self._sold[LONGER][self.first :], self._days))

    def rate(self, horizon: Tensor) -> Tensor:
        """[D, n] :meth:`longer`, cut where the item has probably stopped; see
        :mod:`pipeline.features.quiet`.

        Args:
            horizon: [n] days.
        """
        sold, first = self.demand > 0, self.first
        quiet = QuietRun(sold, self.observed, self._zero, self._all_days, horizon, first)
        return self.shrunk(quiet.cut(_ratio(self._sold[LONGER], self._all_days)))

    def own_level(self, factor: Tensor) -> Tensor:
        """[T, n] demand per unit of ``factor`` [T, n] (a ratio of sums over observed days), of all
        mornings; 0 before the first sale."""
        return _ratio(self._sold[FORECAST], past_sum(factor * self.observed, FORECAST))

    def shrunk(self, own: Tensor) -> Tensor:
        """``own`` rates or levels [D, n], shrunk towards the prior."""
        # lerp with a weight of 0 or 1 picks exactly.
        return torch.lerp(own, self.prior.expand_as(own), self.prior_share)

    def zero_share(self) -> Tensor:
        """[D, n] share of observed days without demand; 1 until the first sale."""
        zero = _ratio(self._zero[self.first :], self._days)
        return torch.where(self.has_sold, zero, 1.0)

    def yesterday(self, usual: Tensor) -> Tensor:
        """[D, n] demand of the day before; ``usual`` [D, n] where it was not observed."""
        before = slice(max(self.first - 1, 0), self.days - 1)
        observed = self.observed[before]
        result = usual.clone()
        rest = usual.shape[0] - observed.shape[0]
        result[rest:] = torch.lerp(usual[rest:], self.demand[before], observed)
        return result

    def forecast_error(
        self, near: Tensor, protection: Tensor, known: Tensor | None, prior: Tensor
    ) -> Tensor:
        """Standard deviation, units, of demand over H days around its forecast, [D, n].

        Errors of the forecasts made H or more days ago, exponentially weighted, shrunk towards
        ``prior``. Only forecasts that rest on the inventory's own demand count, made
        after its first sale: a borrowed rate's error would not grow with the inventory.

        Args:
            near: [T, n] forecasts over H days from the inventory's own level, of the days whose
                demand became known.
            protection: [n] H.
            known: [T, n] 1 where the day's demand is known; None: everywhere. A window counts
                by the share of its days that are: its squared error is as much smaller.
            prior: [D, n] units.
        """
        days, now = self.days, slice(self.first, None)
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
        below = past_sum(weight, LONGER, today=True)[now]
        above = past_sum(squared, LONGER, today=True)[now]
        faded = (1.0 - windows[now].clamp(min=0) / OWN_DAYS).clamp_(min=0.0).mul_(PRIOR_DAYS)
        above = torch.addcmul(above, faded, prior.square())
        return above.div_((below + faded).clamp_(min=1e-12)).sqrt_()


def _ratio(above: Tensor, below: Tensor) -> Tensor:
    """Sums over observed days; 0 where there was none."""
    return above / below.clamp(min=1e-12)


def prior_share(observed: Tensor, has_sold: Tensor) -> Tensor:
    """[D, n] weight of the category's rate in a mean of the days before the last D mornings.

    After m observed days k / (m + k): a new item borrows, one that stood m days without a sale
    is known not to sell. Once an item has sold, k falls to exactly 0 within ``OWN_DAYS``: from
    then on its figures are its own, and grow with its demand.

    Args:
        observed: [T, n] 0 or 1.
        has_sold: [D, n] bool.
    """
    days = cumulated(observed, torch.float32)[:-1][-len(has_sold) :]
    faded = (1.0 - days / OWN_DAYS).clamp_(min=0.0)
    weight = torch.where(has_sold, faded, 1.0).mul_(PRIOR_DAYS)
    return weight / (days + weight)
