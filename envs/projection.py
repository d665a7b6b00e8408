"""Projected stock: what is expected on hand when an order that is placed today arrives.

Under lost sales the inventory position counts stock that will have been sold, and demand that will
have been lost, before an order can arrive. The projected inventory level policy orders against
the expected stock on arrival instead (W. van Jaarsveld and J. Arts, Operations Research 72,
2024). From today's on-hand inventory x, day by day until the order arrives,

    x  <-  max(x - D, 0) + what arrives next morning,

with each day's demand D known by its mean and standard deviation. The mean of max(x - D, 0) depends
on the spread of x, so the first three moments of x are carried along: the law of x - D is taken to
be a normal one, corrected for skewness (Gram and Charlier's first term), whose part above
zero has closed moments (:func:`_leftover`). Where 5 units arrive a day and demand is Poisson(5),
the result is up to 1 % above exact convolution over lead times of 4 to 8 days; carrying the mean
alone is 3 to 11 % low. Slow movers are harder, the more so the longer next to nothing is on hand.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import torch
from torch import Tensor

if TYPE_CHECKING:
    from envs.state import Observation

LEAST_SPREAD = 1e-4
"""Standard deviation of a day's demand, at least, in its mean: derivatives need one."""
MOST_SKEWED = 1.0
"""Skewness, at most, that the correction is used with: with more its density is no density."""


class DailyDemand(NamedTuple):
    """Demand of each day until an order arrives; days are independent."""

    mean: Tensor
    """[N] units, of all days alike; or [N, K], of today and the next K - 1 days."""
    std: Tensor
    """Of the same shape."""


class ComingDemand(ABC):
    """How a problem's observations tell the demand until an order arrives.

    What a policy may know of it is in the observation already; only where depends on the problem.
    Subclasses are frozen dataclasses of numbers and texts.
    """

    name: ClassVar[str]
    """What it is called where models are saved."""
    backlog: bool
    """Unmet demand is owed instead of lost."""

    @abstractmethod
    def read(self, observation: Observation) -> tuple[Tensor, DailyDemand]:
        """[N] nominal lead time, days, and the demand of each day until then."""

    def projected_stock(self, observation: Observation, *, mean_only: bool = False) -> Tensor:
        """[N] units; see the function of that name."""
        lead_time, demand = self.read(observation)
        return projected_stock(
            observation.stock, lead_time, demand, backlog=self.backlog, mean_only=mean_only
        )


class _Law(NamedTuple):
    """Moments of a stock or of a day's demand, [N] each."""

    mean: Tensor
    variance: Tensor | float
    third: Tensor | float
    """Third central moment over 6."""


def projected_stock(
    stock: Tensor,
    lead_time: Tensor,
    demand: DailyDemand,
    *,
    backlog: bool = False,
    mean_only: bool = False,
) -> Tensor:
    """Expected stock on the morning on which an order of today arrives, the order left out.

    Differentiable in all but the lead time. What arrives later than the order counts in full, as it
    does in an inventory position. Where lead times are random, give their nominal values: they
    stand in for what this order's will be (that of an order on its way is known from its place
    in the pipeline).

    Args:
        stock: [N, K+1] units: on hand, then what arrives in 1..K days.
        lead_time: [N] days, whole, 0..K.
        demand: Of each day.
        backlog: Unmet demand is owed: the result is the inventory position less the mean demand
            until arrival.
        mean_only: Carry the mean alone, as if the stock of later days were certain; cheaper.

    Returns:
        [N] units.
    """
    on_hand, *arriving = stock.unbind(-1)
    first, last = _ends(lead_time, len(arriving))
    expected = _Law(on_hand, 0.0, 0.0)
    known: _Law | None = None
    for day, arrival in enumerate(arriving[:last]):
        if known is None or demand.mean.dim() > 1:
            known = _of_day(demand, day)
        if backlog:
            left = _Law(expected.mean - known.mean, 0.0, 0.0)
        else:
            left = _leftover(expected, known, mean_only)
        if day >= first:
            left = _where(lead_time > day, left, expected)
        expected = left._replace(mean=left.mean + arrival)
    later = arriving[last:]
    return expected.mean + torch.stack(later).sum(0) if later else expected.mean


def _ends(lead_time: Tensor, longest: int) -> tuple[int, int]:
    """Least and largest lead time; a graph that is traced has to hold for any."""
    if torch.compiler.is_compiling() or not len(lead_time):
        return 0, longest
    least, largest = lead_time.aminmax()
    return int(least), int(largest)


def _of_day(demand: DailyDemand, day: int) -> _Law:
    """A day's demand; skewed like a Poisson variable of that mean and spread."""
    mean, std = (part if part.dim() == 1 else part[:, day] for part in demand)
    std = torch.maximum(std, LEAST_SPREAD * mean).clamp(min=1e-9)
    skewness = (std / mean.clamp(min=1e-9)).clamp(max=MOST_SKEWED)
    return _Law(mean, std.square(), std**3 * skewness / 6)


def _where(chosen: Tensor, one: _Law, other: _Law) -> _Law:
    def pick(mine: Tensor | float, its: Tensor | float) -> Tensor | float:
        same = isinstance(mine, float) and mine == its
        return mine if same else torch.where(chosen, mine, its)

    mean = torch.where(chosen, one.mean, other.mean)
    return _Law(mean, pick(one.variance, other.variance), pick(one.third, other.third))


def _leftover(stock: _Law, demand: _Law, mean_only: bool) -> _Law:
    """Of max(stock - demand, 0).

    In units of the standard deviation s of stock - demand, whose mean is z: with the normal
    density and upper tail at z, and k a sixth of the skewness,

        n  = density - z tail                                       (the normal loss)
        w1 = n - k z density
        w2 = 1 - tail + z (n - 2 w1) + 2 k density
        w3 = 2 density + z^2 (3 w1 - 2 n) + 6 k (1 - tail - z density)

    are the moments of what is left over, less z: none of them cancels where z is large.
    """
    gap = stock.mean - demand.mean
    variance = demand.variance + stock.variance
    inverse = variance.rsqrt()
    spread, z = variance * inverse, gap * inverse
    cube = variance * spread
    k = ((stock.third - demand.third) / cube).clamp(-MOST_SKEWED / 6, MOST_SKEWED / 6)
    half, density_at_0 = z.new_tensor(0.5), z.new_tensor(-0.5 * math.log(2 * math.pi))
    density = torch.addcmul(density_at_0, z, z, value=-0.5).exp()
    error = torch.erf(z * math.sqrt(0.5))
    tail = torch.add(half, error, alpha=-0.5)
    n = torch.addcmul(density, z, tail, value=-1)
    z_density = z * density
    w1 = torch.addcmul(n, k, z_density, value=-1)
    # Demand is not negative: no more is left than there was.
    mean = torch.minimum(torch.addcmul(gap, spread, w1), stock.mean).clamp(min=0.0)
    if mean_only:
        return _Law(mean, 0.0, 0.0)
    served = torch.add(half, error, alpha=0.5)
    w2 = torch.addcmul(served, z, torch.add(n, w1, alpha=-2))
    w2 = torch.addcmul(w2, k, density, value=2)
    w3 = torch.addcmul(2 * density, z * z, torch.add(3 * w1, n, alpha=-2))
    w3 = torch.addcmul(w3, k, served - z_density, value=6)
    square = w1 * w1
    second = (w2 - square).clamp(min=0.0)
    third = torch.addcmul(w3, w1, torch.add(square, second, alpha=3), value=-1)
    return _Law(mean, variance * second, cube * third / 6)
