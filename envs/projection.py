"""Projected stock: what is expected on hand when an order that is placed today arrives.

Under lost sales the inventory position counts stock that will have been sold, and demand that will
have been lost, before an order can arrive. The projected inventory level policy orders against
the expected stock on arrival instead (W. van Jaarsveld and J. Arts, Operations Research 72,
2024). From today's on-hand inventory x, day by day until the order arrives,

    x  <-  max(x - D, 0) + what arrives next morning,

with each day's demand D known by its mean and standard deviation. The mean of max(x - D, 0) depends
on the spread of x, so its mean and variance are carried along: the law of x - D is taken to be a
normal one, corrected for skewness (Gram and Charlier's first term), whose part above zero has
closed moments (:func:`_leftover`). Where 5 units arrive a day and demand is Poisson(5),
the result is up to 1 % above exact convolution over lead times of 4 to 8 days; carrying the mean
alone is 3 to 11 % low. Slow movers are harder, the more so the longer next to nothing is on hand.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import torch
from torch import Tensor

if TYPE_CHECKING:
    from envs.state import Observation

LEAST_SPREAD = 1e-4
"""Standard deviation of a day's demand, at least, in its mean: derivatives need one."""
THIRD = 0.8
"""Third central moment of what is left over, in variance^2 / mean."""
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

    def rows(self, rows: Tensor) -> _Law:
        def pick(moment: Tensor | float) -> Tensor | float:
            return moment.index_select(0, rows) if isinstance(moment, Tensor) else moment

        return _Law(self.mean.index_select(0, rows), pick(self.variance), pick(self.third))


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
    if demand.mean.dim() == 1:
        days = [_of_day(*demand)] * len(arriving)
    else:
        days = [_of_day(*day) for day in zip(*(part.unbind(-1) for part in demand), strict=True)]
    after = _owed if backlog else _mean_leftover if mean_only else _leftover
    return _onwards(_Law(on_hand, 0.0, 0.0), arriving, lead_time, days, after)


def _onwards(
    stock: _Law,
    arriving: Sequence[Tensor],
    lead_time: Tensor,
    days: Sequence[_Law],
    after: Callable[[_Law, _Law], _Law],
) -> Tensor:
    """[N] expected stock after the next ``lead_time`` of ``days``, and all that is arriving.

    Once fewer than half of the inventories still wait, only these go on.
    """
    first, last = _ends(lead_time, len(arriving))
    for day in range(last):
        if day >= first:
            waiting = lead_time > day
            if not torch.compiler.is_compiling() and 2 * int(waiting.sum()) < len(waiting):
                rows = waiting.nonzero().squeeze(1)
                rest = _onwards(
                    stock.rows(rows),
                    [arrival.index_select(0, rows) for arrival in arriving[day:]],
                    lead_time.index_select(0, rows) - day,
                    _of_rows(days[day:], rows),
                    after,
                )
                return _total(stock.mean, arriving[day:]).index_copy(0, rows, rest)
        left = after(stock, days[day])
        if day >= first:
            left = _where(waiting, left, stock)
        stock = left._replace(mean=left.mean + arriving[day])
    return _total(stock.mean, arriving[last:])


def _of_rows(days: Sequence[_Law], rows: Tensor) -> list[_Law]:
    if all(day is days[0] for day in days):
        return [days[0].rows(rows)] * len(days)
    return [day.rows(rows) for day in days]


def _total(stock: Tensor, arriving: Sequence[Tensor]) -> Tensor:
    return stock + torch.stack(tuple(arriving)).sum(0) if arriving else stock


def _ends(lead_time: Tensor, longest: int) -> tuple[int, int]:
    """Least and largest lead time; a graph that is traced has to hold for any."""
    if torch.compiler.is_compiling() or not len(lead_time):
        return 0, longest
    least, largest = lead_time.aminmax()
    return int(least), int(largest)


def _of_day(mean: Tensor, std: Tensor) -> _Law:
    """A day's demand; skewed like a Poisson variable of that mean and spread."""
    std = torch.maximum(std, LEAST_SPREAD * mean).clamp(min=1e-9)
    skewness = (std / mean.clamp(min=1e-9)).clamp(max=MOST_SKEWED)
    return _Law(mean, std.square(), std**3 * skewness / 6)


def _where(chosen: Tensor, one: _Law, other: _Law) -> _Law:
    def pick(mine: Tensor | float, its: Tensor | float) -> Tensor | float:
        same = isinstance(mine, float) and mine == its
        return mine if same else torch.where(chosen, mine, its)

    mean = torch.where(chosen, one.mean, other.mean)
    return _Law(mean, pick(one.variance, other.variance), pick(one.third, other.third))


def _owed(stock: _Law, demand: _Law) -> _Law:
    return _Law(stock.mean - demand.mean, 0.0, 0.0)


def _mean_leftover(stock: _Law, demand: _Law) -> _Law:
    return _leftover(stock, demand, mean_only=True)


def _leftover(stock: _Law, demand: _Law, mean_only: bool = False) -> _Law:
    """Of max(stock - demand, 0).

    In units of the standard deviation s of stock - demand, whose mean is z: with the normal
    density and upper tail at z, and k a sixth of the skewness,

        n  = density - z tail                                       (the normal loss)
        w1 = n - k z density
        w2 = 1 - tail + z (n - 2 w1) + 2 k density

    are the first two moments of what is left over, less z: nothing cancels where z is large. The
    third is taken to be :data:`THIRD` variance^2 / mean, about what it is of a normal law's part
    above 0: working it out as well took half as much time again and came no nearer.
    """
    gap = stock.mean - demand.mean
    variance = demand.variance + stock.variance
    assert isinstance(variance, Tensor)  # a day's demand has one
    inverse = variance.rsqrt()
    spread, z = variance * inverse, gap * inverse
    k = (stock.third - demand.third) * (inverse / variance)
    k = k.clamp(-MOST_SKEWED / 6, MOST_SKEWED / 6)
    half, density_at_0 = z.new_tensor(0.5), z.new_tensor(-0.5 * math.log(2 * math.pi))
    density = torch.addcmul(density_at_0, z, z, value=-0.5).exp()
    tail = torch.add(half, torch.erf(z * math.sqrt(0.5)), alpha=-0.5)
    n = torch.addcmul(density, z, tail, value=-1)
    w1 = torch.addcmul(n, k, z * density, value=-1)
    # Demand is not negative: no more is left than there was.
    mean = torch.minimum(torch.addcmul(gap, spread, w1), stock.mean).clamp(min=0.0)
    if mean_only:
        return _Law(mean, 0.0, 0.0)
    w2 = torch.addcmul(1 - tail, z, torch.add(n, w1, alpha=-2))
    w2 = torch.addcmul(w2, k, density, value=2)
    left = variance * torch.addcmul(w2, w1, w1, value=-1).clamp(min=0.0)
    return _Law(mean, left, (THIRD / 6) * left * (left / (mean + 1e-9)))
