"""Fits the law of demand: profile of the hours, factors of days and offers, spread of days."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln

from pipeline.data.stockouts.days import KINDS, StockoutDays
from pipeline.data.stockouts.hours import HourProfile
from pipeline.data.stockouts.law import LEVELS, DemandLaw, Prediction

Array = npt.NDArray[Any]

ROUNDS = 4
PRIOR_UNITS = 50.0
"""Expected sales with which factors are shrunk towards those of all groups."""
SHAPES = np.geomspace(1.0, 300.0, 40)
SPREAD_DAYS = 200_000
"""Most days that the spread is estimated on."""
WARM_UP = 14
"""First days whose levels rest on too little to tell the spread of days."""


def fit_law(days: StockoutDays, groups: int, offers: int, grain: float) -> DemandLaw:
    """Fits the law on days that may be looked at: the training days.

    Profile, factors and levels each are fitted with the others held, a few times in turn. All are
    ratios of sales to expected sales, over all days: those that were cut short too, for days that
    were open throughout are those on which less was asked for.

    Args:
        days: Training days.
        groups: G.
        offers: O.
        grain: Units bought at a time.
    """
    law = DemandLaw(
        profile=HourProfile.flat(groups),
        kinds=np.ones((groups, KINDS)),
        offers=np.ones((groups, offers)),
        prior=np.full(groups, float(days.sales.mean()) + grain),
        shapes=np.full(len(LEVELS), 10.0),
        grain=grain,
    )
    row = np.broadcast_to(days.group[:, None], days.sales.shape)
    for _ in range(ROUNDS):
        law = replace(law, prior=_priors(law, days))
        law = replace(law, kinds=law.kinds * _ratios(law, days, row, days.kind, KINDS))
        law = replace(law, offers=law.offers * _ratios(law, days, row, days.offer, offers))
        rate = law.predict(days).rate
        law = replace(law, profile=HourProfile.fit(days, rate, grain, groups))
    law = replace(law, prior=_priors(law, days))
    return replace(law, shapes=_shapes(law, days))


def _priors(law: DemandLaw, days: StockoutDays) -> Array:
    """[G] sales per day at factors of 1."""
    exposure = (law.profile.open_share(days) * law.factor(days)).sum(1)
    groups = len(law.prior)
    above, below = (np.bincount(days.group, x, groups) for x in (days.sales.sum(1), exposure))
    overall = above.sum() / below.sum()
    found: Array = (above + overall) / (below + 1.0)
    return found


def _ratios(law: DemandLaw, days: StockoutDays, row: Array, column: Array, columns: int) -> Array:
    """[G, columns] sales over expected sales, shrunk to all groups'; 1 in the mean."""
    found = law.predict(days)
    expected = found.rate * found.open_share
    cell, shape = (row * columns + column).ravel(), (len(law.prior), columns)
    sold, asked = (
        np.bincount(cell, x.ravel(), shape[0] * columns).reshape(shape)
        for x in (found.sales * (found.open_share > 0), expected)
    )
    overall = sold.sum() / asked.sum()
    pooled = (sold.sum(0) + PRIOR_UNITS * overall) / (asked.sum(0) + PRIOR_UNITS) / overall
    ratios: Array = (sold / overall + PRIOR_UNITS * pooled) / (asked + PRIOR_UNITS)
    return ratios


def _shapes(law: DemandLaw, days: StockoutDays) -> Array:
    """Shape of the days' gamma factor around each level that makes sales in open hours likeliest."""
    every = max(1, days.sales[:, WARM_UP:].size // SPREAD_DAYS)
    some = days.of(np.arange(0, len(days.group), every))
    per_shape = []
    for shape in SHAPES:
        found = replace(law, shapes=np.full(len(LEVELS), shape)).predict(some)
        per_shape.append(_likelihood(found))
    seen = found.open_share[:, WARM_UP:] > 0
    near = np.abs(np.log(found.rate[:, WARM_UP:, None] / LEVELS)).argmin(-1)
    sums = np.stack([np.bincount(near[seen], each[seen], len(LEVELS)) for each in per_shape])
    best: Array = SHAPES[sums.argmax(0)]
    return best


def _likelihood(found: Prediction) -> Array:
    """[N, T - WARM_UP] log-likelihood of what was sold, up to what no shape changes."""
    after = slice(WARM_UP, None)
    shape, rate = found.shape[:, after], found.rate[:, after] / found.grain
    sold, open_share = found.sales[:, after] / found.grain, found.open_share[:, after]
    asked = np.maximum(rate * open_share, 1e-9)
    return (
        gammaln(shape + sold) - gammaln(shape)
        + shape * np.log(shape / (shape + asked)) + sold * np.log(asked / (shape + asked))
    )  # fmt: skip
