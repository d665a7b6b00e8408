"""Fits the law of demand: profile of the hours, factors of days and offers, spread of days."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln

from pipeline.data.stockouts.days import KINDS, StockoutDays
from pipeline.data.stockouts.hours import HourProfile
from pipeline.data.stockouts.law import LEVELS, DemandLaw, Prediction, weight_of

Array = npt.NDArray[Any]

ROUNDS = 4
PRIOR_UNITS = 50.0
"""Expected sales with which factors are shrunk towards those of all groups."""
SHAPES = np.geomspace(2.0, 128.0, 19)
SPREAD_DAYS = 100_000
"""Most days that the spread is estimated on."""
WARM_UP = 14
"""First days whose levels rest on too little to tell the spread of days."""


def fit_law(days: StockoutDays, groups: int, offers: int, grain: float) -> DemandLaw:
    """Fits the law on days that may be looked at: the training days.

    Profile, factors, levels and spread each are fitted with the others held, a few times in turn,
    on all days: those that were cut short too, for days that were open throughout are those on
    which less was asked for.

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
        likely = law.predict(days).likely_rate()
        law = replace(law, profile=law.profile.refit(days, likely, grain))
        law = replace(law, shapes=_shapes(law, days))
    return replace(law, prior=_priors(law, days))


def _priors(law: DemandLaw, days: StockoutDays) -> Array:
    """[G] level of a mean inventory, units a day."""
    found = law.predict(days)
    level = (found.rate / law.factor(days))[:, -1]
    groups = len(law.prior)
    count = np.bincount(days.group, minlength=groups)
    mean = (np.bincount(days.group, level, groups) + level.mean()) / (count + 1.0)
    result: Array = mean
    return result


def _ratios(law: DemandLaw, days: StockoutDays, row: Array, column: Array, columns: int) -> Array:
    """[G, columns] sales over expected sales, shrunk to all groups'; 1 in the mean."""
    found = law.predict(days)
    asked = found.rate * found.open_share
    weight = weight_of(found.shape, asked / law.grain)
    cell, shape = (row * columns + column).ravel(), (len(law.prior), columns)
    sold, asked = (
        np.bincount(cell, (weight * x).ravel(), shape[0] * columns).reshape(shape)
        for x in (found.sales * (found.open_share > 0), asked)
    )
    overall = sold.sum() / asked.sum()
    pooled = (sold.sum(0) + PRIOR_UNITS * overall) / (asked.sum(0) + PRIOR_UNITS) / overall
    ratios: Array = (sold / overall + PRIOR_UNITS * pooled) / (asked + PRIOR_UNITS)
    return ratios


def _shapes(law: DemandLaw, days: StockoutDays) -> Array:
    """Shape of the gamma factor of days that makes sales likeliest, around each of `LEVELS`."""
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
