"""The law of a day's demand, given what was sold before and in the day's open hours.

An inventory's demand on day t is gamma-Poisson in pieces of one grain g: rate = level * factors of
the kind of day and of the offer, times a day's own gamma factor. If the hours that make up the
share w of the day were open and s was sold in them, then the demand of the other hours is g times
a negative binomial with mean (1 - w) * (K + s / g) / (K * g / rate + w) and shape K + s / g. This
holds when the day was cut short *because* s was sold: how a Poisson process was stopped has no
part in its likelihood. K holds the spread of days and what is not known of the level.

The level rests on earlier days alone: nothing about later days enters the demand of a day.
Factors, profile and spread are constants of the days that the law is fitted on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from pipeline.data.stockouts.days import StockoutDays
from pipeline.data.stockouts.hours import HourProfile

Array = npt.NDArray[Any]

HALF_LIFE = 14.0
"""Of what earlier days say about the level, days."""
PRIOR_DAYS = 0.5
"""The group's level weighs as much as so many whole days."""
PRIOR_SHAPE = 1.5
"""Of the gamma law of levels within a group."""
LEAST = 1e-4
"""Least level, units a day."""
MOST_NORMAL = 3.09
"""99.9 % point of the standard normal law."""
LEVELS = np.asarray([0.25, 0.5, 1.0, 2.0, 4.0])
"""Units a day around which the spread of days is estimated; in between it is interpolated."""


@dataclass(frozen=True)
class Prediction:
    """The law of demand of N inventories on T days, all [N, T]."""

    sales: Array
    open_share: Array
    rate: Array
    """Expected demand of the whole day before anything was sold on it, units."""
    shape: Array
    """K."""
    grain: float

    @property
    def _pieces(self) -> Array:
        """Sold in open hours; what a day without any has sold, it has sold outside of business."""
        return np.where(self.open_share > 0, self.sales / self.grain, 0.0)

    def _posterior(self) -> tuple[Array, Array]:
        """Shape, and expected pieces of the closed hours."""
        return self.shape + self._pieces, (1.0 - self.open_share) * self.likely_rate() / self.grain

    def likely_rate(self) -> Array:
        """Expected demand of a day like this one, after what was sold on it, units.

        Not above the 99.9 % point of the law before anything was sold: a rush in the first hour of
        business is no rate for the whole day.
        """
        shape = self.shape + self._pieces
        scale = self.shape * self.grain / self.rate + self.open_share
        found: Array = np.minimum(self.grain * shape / scale, self.rate * most_factor(self.shape))
        return found

    def mean(self) -> Array:
        """Expected demand of the day, units; the sales where it was open throughout."""
        _, closed = self._posterior()
        return self._with(closed)

    def quantile(self, level: Array | float) -> Array:
        """Demand that the day stays below with probability ``level``, units."""
        shape, closed = self._posterior()
        pieces = np.zeros(closed.shape)
        some = closed > 0
        levels = np.broadcast_to(level, closed.shape)[some]
        chance = shape[some] / (shape[some] + closed[some])
        pieces[some] = stats.nbinom.ppf(levels, shape[some], chance)
        return self._with(pieces)

    def below(self, demand: Array) -> tuple[Array, Array]:
        """P(D < demand) and P(D <= demand) of days with closed hours."""
        shape, closed = self._posterior()
        chance = shape / (shape + closed)
        pieces = np.rint((demand - self.sales) / self.grain)
        return (
            stats.nbinom.cdf(pieces - 1, shape, chance),
            stats.nbinom.cdf(pieces, shape, chance),
        )

    def _with(self, closed: Array) -> Array:
        """Demand, units, if ``closed`` pieces were asked for in closed hours."""
        unseen = np.maximum(closed * self.grain, self.sales)
        return np.where(self.open_share > 0, self.sales + closed * self.grain, unseen)


@dataclass(frozen=True)
class DemandLaw:
    """Fitted constants.

    Args:
        profile: Shares of the hours.
        kinds: [G, ``KINDS``] factors of kinds of days.
        offers: [G, O] factors of offers.
        prior: [G] level of an inventory without a past, units a day.
        shapes: [len(``LEVELS``)] shape of the gamma factor of a day.
        grain: Units bought at a time.
    """

    profile: HourProfile
    kinds: Array
    offers: Array
    prior: Array
    shapes: Array
    grain: float

    def predict(self, days: StockoutDays) -> Prediction:
        """The law of each day, given the days before it and its own open hours."""
        open_share = self.profile.open_share(days)
        factor = self.factor(days)
        level, known = self._levels(days, open_share, factor)
        rate = level * factor
        day = self._day_shape(rate)
        own = (self.grain / rate + 1.0 / day) / np.maximum(known, 1e-9)
        share = known / (known + PRIOR_DAYS)
        spread = 1.0 / day + share**2 * own + (1.0 - share) ** 2 / PRIOR_SHAPE
        return Prediction(days.sales, open_share, rate, 1.0 / spread, self.grain)

    def factor(self, days: StockoutDays) -> Array:
        """[N, T] of the kind of day and the offer."""
        row = days.group[:, None]
        found: Array = self.kinds[row, days.kind] * self.offers[row, days.offer]
        return found

    def _day_shape(self, rate: Array) -> Array:
        """Shape of the gamma factor of days with an expected demand of ``rate``."""
        found: Array = np.interp(np.log(rate), np.log(LEVELS), self.shapes)
        return found

    def _levels(self, days: StockoutDays, open_share: Array, factor: Array) -> tuple[Array, Array]:
        """What the days before each day say of the level.

        A day's weight is that of its likelihood: one that sells much for its share of open hours is
        as likely to have been an unusual day. Without it levels would be too low, for unusual
        days are cut short.

        Returns:
            [N, T] level, units a day, and how many whole days it rests on.
        """
        n, num_days = days.sales.shape
        fade, prior = 0.5 ** (1.0 / HALF_LIFE), self.prior[days.group]
        sold, exposed, squared = (np.zeros(n) for _ in range(3))
        level, known = np.empty((n, num_days)), np.empty((n, num_days))
        for day in range(num_days):
            now = np.maximum((sold + PRIOR_DAYS * prior) / (exposed + PRIOR_DAYS), LEAST)
            level[:, day], known[:, day] = now, exposed**2 / np.maximum(squared, 1e-12)
            rate, share = now * factor[:, day], open_share[:, day]
            weight = weight_of(self._day_shape(rate), rate * share / self.grain)
            seen = weight * factor[:, day] * share
            # Sales of a day without open hours were made outside of business hours.
            sold = fade * sold + weight * days.sales[:, day] * (share > 0)
            exposed = fade * exposed + seen
            squared = fade**2 * squared + seen**2
        return level, known


def most_factor(shape: Array) -> Array:
    """99.9 % point of a gamma law with mean 1, by Wilson and Hilferty (1931)."""
    ninth = 1.0 / (9.0 * shape)
    found: Array = (1.0 - ninth + MOST_NORMAL * np.sqrt(ninth)) ** 3
    return found


def weight_of(shape: Array, pieces: Array) -> Array:
    """Of a day in the likelihood of a rate.

    Args:
        shape: Of its gamma factor.
        pieces: That it was expected to sell.
    """
    weight: Array = shape / (shape + pieces)
    return weight
