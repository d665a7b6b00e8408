"""The demand forecaster behind the features: level x day factor.

A day's factor is exp(weekday + promotion + price + event + SNAP effects), estimated per
category by Poisson regression on training days of training inventories. The level of an
inventory is tracked as of each date (see :mod:`pipeline.features`). Fast, linear in
the inventory's history, and transparent: it feeds the forecast features of every method
and the forecast baseline alike.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

EFFECTS = ("price_ratio", "promotion", "event", "snap")
ALL = "*"
"""Pooled estimate, for categories with too little data."""
MIN_UNITS = 2_000.0
"""Units of demand that a category needs for an estimate of its own."""


@dataclass(frozen=True)
class TrainingHistory:
    """Training days of some training inventories, [n, T] each (category: [n])."""

    category: NDArray[np.str_]
    weekday: NDArray[np.int64]
    """[T] Monday = 0."""
    demand: NDArray[np.float32]
    on_sale: NDArray[np.bool_]
    """On sale, and the day's demand is known."""
    effects: Mapping[str, NDArray[np.float32]]
    """The covariates of :data:`EFFECTS`."""


@dataclass
class DayFactors:
    """Multiplicative day effects per category, and the mean demand rate of each category."""

    coefficients: dict[str, list[float]] = field(default_factory=dict)
    """Category -> 7 weekday effects, then :data:`EFFECTS` (log scale)."""
    rates: dict[str, float] = field(default_factory=dict)
    """Category -> median over inventories of mean daily demand, units."""

    @classmethod
    def fit(cls, histories: Iterable[TrainingHistory]) -> DayFactors:
        """Poisson regression of demand / the inventory's mean on weekday and covariates."""
        # Here, not above: only training fits, and the import takes a third of `decide`'s start.
        from sklearn.linear_model import PoissonRegressor

        parts: dict[str, list[tuple[NDArray[np.float64], ...]]] = {}
        rates: dict[str, list[float]] = {}
        for history in histories:
            days_on_sale = history.on_sale.sum(1)
            mean = (history.demand * history.on_sale).sum(1) / np.maximum(days_on_sale, 1)
            usable = (mean > 0) & (days_on_sale >= 14)
            weekday = np.eye(7)[history.weekday]
            for category in np.unique(history.category[usable]):
                rows = np.flatnonzero(usable & (history.category == category))
                on_sale = history.on_sale[rows].astype(bool)
                design = np.concatenate(
                    [np.broadcast_to(weekday, (*on_sale.shape, 7))]
                    + [history.effects[name][rows][..., None] for name in EFFECTS],
                    axis=-1,
                )[on_sale]
                size = np.broadcast_to(mean[rows, None], on_sale.shape)[on_sale]
                target = history.demand[rows][on_sale] / size
                part = (design, target, size)
                parts.setdefault(str(category), []).append(part)
                parts.setdefault(ALL, []).append(part)
                rates.setdefault(str(category), []).extend(mean[rows].tolist())
                rates.setdefault(ALL, []).extend(mean[rows].tolist())
        model = cls()
        for category, pieces in parts.items():
            design, target, size = (np.concatenate(column) for column in zip(*pieces, strict=True))
            model.rates[category] = float(np.median(rates[category]))
            if category != ALL and float((target * size).sum()) < MIN_UNITS:
                continue
            # Without intercept: seven weekday effects span it. The ridge keeps effects
            # that a category never shows (no SNAP days, say) at zero. Weights by the
            # square root of size, or a few fast movers would decide everything.
            regression = PoissonRegressor(
                alpha=1e-4, fit_intercept=False, solver="newton-cholesky", max_iter=100
            )
            regression.fit(design, target, sample_weight=np.sqrt(size))
            model.coefficients[category] = [float(c) for c in regression.coef_]
        if ALL not in model.coefficients:
            model.coefficients[ALL] = [0.0] * (7 + len(EFFECTS))
            model.rates.setdefault(ALL, 1.0)
        return model

    def predict(
        self,
        category: NDArray[np.generic],
        weekday: Tensor,
        price_ratio: Tensor,
        promotion: Tensor,
        event: Tensor,
        snap: Tensor,
    ) -> Tensor:
        """Day factors [T, n] from covariates [T, n] (weekday: [T]; category: [n])."""
        names, code = np.unique(np.asarray(category).astype(str), return_inverse=True)
        effects = torch.tensor([self.coefficients.get(c, self.coefficients[ALL]) for c in names])
        by_column = effects[torch.as_tensor(code)].T.contiguous()
        log_factor = by_column[:7][weekday]
        for column, value in enumerate((price_ratio, promotion, event, snap), start=7):
            log_factor.addcmul_(value, by_column[column])
        return log_factor.clamp_(-5.0, 5.0).exp_()

    def prior_rate(self, category: NDArray[np.generic]) -> NDArray[np.float32]:
        """[n] units per day expected of an inventory that has not sold yet."""
        names, code = np.unique(np.asarray(category).astype(str), return_inverse=True)
        rates = [self.rates.get(c, self.rates[ALL]) for c in names]
        return np.array(rates, dtype=np.float32)[code]

    def save(self, path: Path) -> None:
        """Writes the effects as JSON that a person can read."""
        path.write_text(json.dumps({"coefficients": self.coefficients, "rates": self.rates}))

    @classmethod
    def load(cls, path: Path) -> DayFactors:
        """Reads :meth:`save`'s file."""
        return cls(**json.loads(path.read_text()))
