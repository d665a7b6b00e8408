"""The demand forecaster behind the features: level x day factor.

A day's factor is exp(weekday + promotion + price + event + SNAP effects), estimated per
category by Poisson regression on training days of training inventories. The level of an
inventory is tracked as of each date (see :mod:`pipeline.features.build`). Fast, linear in
the inventory's history, and transparent: it feeds the forecast features of every method
and the forecast baseline alike.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from envs.errors import DataError
from pipeline.tools.files import write_json

FLAGS = ("promotion", "event", "snap")
EFFECTS = ("price_ratio", *FLAGS)
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
    known: NDArray[np.bool_]
    """The day's demand was observed."""
    effects: Mapping[str, NDArray[np.float32]]
    """The covariates of :data:`EFFECTS`."""


@dataclass
class DayFactors:
    """Multiplicative day effects per category, and the mean demand rate of each category."""

    coefficients: dict[str, list[float]] = field(default_factory=dict)
    """Category -> 7 weekday effects, then :data:`EFFECTS` (log scale)."""
    rates: dict[str, float] = field(default_factory=dict)
    """Category -> median over inventories of mean daily demand, units."""
    shares: dict[str, dict[str, float]] = field(default_factory=dict)
    """Category -> share of its training days with a promotion, an event, a benefit day (of the days
    on sale) and on sale (of the days since the launch). A quantity varies if its share is
    neither 0 nor 1; a fact of the training data, so that no day's features depend on later days."""

    @classmethod
    def fit(cls, histories: Iterable[TrainingHistory]) -> DayFactors:
        """Poisson regression of demand / the inventory's mean on weekday and covariates."""
        # Here, not above: only training fits, and the import takes a third of `decide`'s start.
        from sklearn.linear_model import PoissonRegressor

        parts: dict[str, list[tuple[NDArray[np.float64], ...]]] = {}
        rates: dict[str, list[float]] = {}
        counts: dict[str, NDArray[np.float64]] = {}
        for history in histories:
            _count_days(history, counts)
            observed = history.on_sale & history.known
            days = observed.sum(1)
            mean = (history.demand * observed).sum(1) / np.maximum(days, 1)
            usable = (mean > 0) & (days >= 14)
            weekday = np.eye(7)[history.weekday]
            for category in np.unique(history.category[usable]):
                rows = np.flatnonzero(usable & (history.category == category))
                seen = observed[rows]
                design = np.concatenate(
                    [np.broadcast_to(weekday, (*seen.shape, 7))]
                    + [history.effects[name][rows][..., None] for name in EFFECTS],
                    axis=-1,
                )[seen]
                size = np.broadcast_to(mean[rows, None], seen.shape)[seen]
                target = history.demand[rows][seen] / size
                part = (design, target, size)
                parts.setdefault(str(category), []).append(part)
                parts.setdefault(ALL, []).append(part)
                rates.setdefault(str(category), []).extend(mean[rows].tolist())
                rates.setdefault(ALL, []).extend(mean[rows].tolist())
        model = cls(shares={category: _shares(days) for category, days in counts.items()})
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
        by_column = self._effects(category)
        log_factor = by_column[:7][weekday]
        for column, value in enumerate((price_ratio, promotion, event, snap), start=7):
            log_factor.addcmul_(value, by_column[column])
        return log_factor.clamp_(-5.0, 5.0).exp_()

    def of_weekday(self, category: NDArray[np.generic], weekday: Tensor) -> Tensor:
        """Day factors [T, n] of the weekday [T] alone."""
        return self._effects(category)[:7].clamp(-5.0, 5.0).exp_()[weekday]

    def of_price(self, category: NDArray[np.generic], price_ratio: Tensor) -> Tensor:
        """Day factors [T, n] of the price ratio [T, n] alone."""
        return (self._effects(category)[7] * price_ratio).clamp_(-5.0, 5.0).exp_()

    def relative_effects(self, category: NDArray[np.generic]) -> dict[str, tuple[Tensor, Tensor]]:
        """Quantity of :data:`FLAGS` -> its factor on a day without and with it, [n] each.

        Relative to its mean factor on training days, which a plain level contains already.
        """
        by_column, result = self._effects(category), {}
        for column, name in enumerate(FLAGS, start=8):
            effect = by_column[column].clamp(-5.0, 5.0).exp()
            mean = 1.0 + self.share(category, name) * (effect - 1.0)
            result[name] = (1.0 / mean, effect / mean)
        return result

    def always(self, category: NDArray[np.generic]) -> dict[str, Tensor]:
        """Quantity of :data:`FLAGS` -> [n] 1.0 where it was 1 on all training days, else 0."""
        return {name: (self.share(category, name) >= 1).float() for name in FLAGS}

    def share(self, category: NDArray[np.generic], quantity: str) -> Tensor:
        """[n] of :attr:`shares`; a category without one has the pooled one, or 0."""
        none: dict[str, float] = {}
        pooled = self.shares.get(ALL, none)
        names, code = np.unique(np.asarray(category).astype(str), return_inverse=True)
        shares = [self.shares.get(c, pooled).get(quantity, 0.0) for c in names]
        return torch.tensor(shares, dtype=torch.float32)[torch.as_tensor(code)]

    def _effects(self, category: NDArray[np.generic]) -> Tensor:
        """[7 + E, n] coefficients."""
        names, code = np.unique(np.asarray(category).astype(str), return_inverse=True)
        effects = torch.tensor([self.coefficients.get(c, self.coefficients[ALL]) for c in names])
        return effects[torch.as_tensor(code)].T.contiguous()

    def prior_rate(self, category: NDArray[np.generic]) -> NDArray[np.float32]:
        """[n] units per day expected of an inventory that has not sold yet."""
        names, code = np.unique(np.asarray(category).astype(str), return_inverse=True)
        rates = [self.rates.get(c, self.rates[ALL]) for c in names]
        return np.array(rates, dtype=np.float32)[code]

    def save(self, path: Path) -> None:
        """Writes the effects as JSON that a person can read."""
        write_json(path, asdict(self))

    @classmethod
    def load(cls, path: Path) -> DayFactors:
        """Reads :meth:`save`'s file.

        Raises:
            DataError: It is missing, cut or holds something else.
        """
        try:
            return cls(**json.loads(path.read_text()))
        except (OSError, ValueError, TypeError) as error:
            raise DataError(
                "forecaster", str(path),
                "Restore the file, or train again in another folder.",
                f"cannot be read ({type(error).__name__})",
            ) from None  # fmt: skip


def _count_days(history: TrainingHistory, counts: dict[str, NDArray[np.float64]]) -> None:
    """Adds a history's days to ``counts``: category -> days on sale with each of
    :data:`FLAGS`, on sale, and since the launch."""
    launched = np.maximum.accumulate(history.on_sale, axis=1)
    flagged = [history.on_sale & (history.effects[name] > 0) for name in FLAGS]
    days = np.stack([cells.sum(1) for cells in (*flagged, history.on_sale, launched)], axis=1)
    for category in np.unique(history.category):
        found = days[history.category == category].sum(0).astype(float)
        for name in (str(category), ALL):
            counts[name] = counts.get(name, 0.0) + found


def _shares(days: NDArray[np.float64]) -> dict[str, float]:
    *flagged, on_sale, launched = days.tolist()
    shares = {name: count / max(on_sale, 1.0) for name, count in zip(FLAGS, flagged, strict=True)}
    return {**shares, "on_sale": on_sale / launched if launched else 1.0}
