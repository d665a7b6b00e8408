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
    return replace(law, prior=_priors(law, days), kinds=_completed(law.kinds, days))


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


def _completed(kinds: Array, days: StockoutDays) -> Array:
    """Factors with those of kinds of days that never were: the mean of the other holidays, or of
    the other working days."""
    seen = np.bincount(days.kind.ravel(), minlength=KINDS) > 0
    result = kinds.copy()
    for holiday in (0, 1):
        alike = np.arange(KINDS) % 2 == holiday
        if (alike & seen).any():
            result[:, alike & ~seen] = kinds[:, alike & seen].mean(1, keepdims=True)
    return result


def _shapes(law: DemandLaw, days: StockoutDays) -> Array:
    """Shape of the gamma factor of days that makes sales likeliest, around each of `LEVELS`."""
    after = slice(min(WARM_UP, days.sales.shape[1] // 2), None)
    every = max(1, days.sales[:, after].size // SPREAD_DAYS)
    some = days.of(np.arange(0, len(days.group), every))
    usual = law.predict(some)
    seen = usual.open_share[:, after] > 0
    near = np.abs(np.log(usual.rate[:, after, None] / LEVELS)).argmin(-1)[seen]
    sums = []
    for shape in SHAPES:
        found = replace(law, shapes=np.full(len(LEVELS), shape)).predict(some)
        sums.append(np.bincount(near, _likelihood(found)[:, after][seen], len(LEVELS)))
    best: Array = SHAPES[np.argmax(sums, axis=0)]
    return best


def _likelihood(found: Prediction) -> Array:
    """[N, T] log-likelihood of what was sold, up to what no shape changes."""
    shape, sold = found.shape, found.sales / found.grain
    asked = np.maximum(found.rate * found.open_share / found.grain, 1e-9)
    likelihood: Array = (
        gammaln(shape + sold) - gammaln(shape)
        + shape * np.log(shape / (shape + asked)) + sold * np.log(asked / (shape + asked))
    )  # fmt: skip
    return likelihood
