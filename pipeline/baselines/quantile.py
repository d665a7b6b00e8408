"""Newsvendor on conditional quantiles of demand, from one gradient-boosted model for all.

The level is the quantile at b / (b + h * P) of demand over the protection period, given the
features of the day. One model learns it for all ratios at once: the ratio follows from features,
and each training window has the pinball loss of its own ratio, weighted by what a unit costs.
Boosting starts from forecast + z * error, z the normal quantile of the ratio; a step is Newton's,
where the curvature of the expected loss is the normal density at z over the error.

Because lost sales, and levels that fall faster than stock does, are no part of the newsvendor's
formula, the level that is played mixes the quantile with the class-tuned rule's, times a factor:
two figures per class, tuned by playing training inventories.
"""

from __future__ import annotations

import functools
import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from envs.objective import Objective
from envs.rollout import Policy
from envs.state import Observation, Scenario
from pipeline.baselines.base import DayRule
from pipeline.baselines.classes import Classes
from pipeline.baselines.grid import Grid, PlayPair, by_name, tune_pairs
from pipeline.baselines.per_class import OrderUpToPerClass, levels_of
from pipeline.baselines.windows import Windows, drawn_windows
from pipeline.features.build import FEATURES
from pipeline.policies.order_up_to import (
    FORECAST,
    ForecastErrorRule,
    critical_ratio,
    forecast_error,
    given_level,
)
from pipeline.scenarios.source import ScenarioSource

if TYPE_CHECKING:
    from lightgbm import Booster

ERROR = FEATURES.index("forecast_error")
WINDOWS = 300_000
"""Most training windows."""
ROUNDS = 100
GRID = Grid((0.0, 0.3, 0.6, 1.0), (0.85, 0.92, 1.0, 1.08, 1.18))
"""Of the quantile's share in the level, and of factors."""
SMALLEST_ERROR = 0.05
"""Of a scale: the curvature of an inventory whose forecast has never failed is not infinite."""
PARAMETERS = {
    "learning_rate": 0.05,
    "num_leaves": 15,
    "min_data_in_leaf": 500,
    "max_delta_step": 2.0,
    "bagging_freq": 1,
    "bagging_fraction": 0.5,
    "max_bin": 127,
    "num_threads": 1,
    "seed": 1,
    "deterministic": True,
    "force_row_wise": True,
    "verbosity": -1,
    "monotone_constraints": [int(name == "log_cost_ratio") for name in FEATURES],
}
"""LightGBM's. Leaves hold enough windows for quantiles near 1; no quantile falls as b / h
grows."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class QuantileNewsvendor(ForecastErrorRule, DayRule):
    """Order-up-to factor * ((1 - share) * class-tuned level + share * learned quantile)."""

    name = "quantile_newsvendor"
    title = "Quantile newsvendor"
    prose = "newsvendor on learned quantiles"

    rule: OrderUpToPerClass
    model: str = field(repr=False)
    """LightGBM's text."""
    classes: Classes
    shares: Sequence[float]
    """[classes]."""
    factors: Sequence[float]
    """[classes]."""

    @classmethod
    def tune(cls, source: ScenarioSource, objective: Objective) -> QuantileNewsvendor:
        """Model, shares and factors with the least cost, on training inventories."""
        rule = OrderUpToPerClass.tune(source, objective)
        drawn = drawn_windows(source, objective, WINDOWS, torch.Generator().manual_seed(0))
        model = fit(drawn)

        def candidates(scenario: Scenario) -> PlayPair:
            usual, learned = levels_of(scenario, rule), learned_levels(scenario, model)
            return lambda share, factor: given_level(
                scenario, factor * torch.lerp(usual, learned, share)
            )

        return cls(rule, model, *tune_pairs(source, objective, GRID, candidates))

    @property
    def version(self) -> str:
        """See the base class; the model's text is no part of ``repr``."""
        return hashlib.sha256((repr(self) + self.model).encode()).hexdigest()[:12]

    def weights(self, observation: Observation) -> Tensor:
        """[N, 2] one, and the safety factor that the level comes to."""
        usual = self.rule.level(self.rule.weights(observation), observation)
        learned = quantiles(self.model, observation.features) * observation.scale
        level = self._mixed(observation.features, usual, learned)
        error = forecast_error(observation).clamp(min=1e-6 * observation.scale)
        factor = (level - observation.basis[..., FORECAST]) / error
        return torch.stack((torch.ones_like(factor), factor), dim=-1)

    def policy_for(self, scenario: Scenario) -> tuple[Scenario, Policy]:
        """The same, with the levels of all review days of a tile worked out at once."""
        usual, learned = levels_of(scenario, self.rule), learned_levels(scenario, self.model)
        return given_level(scenario, self._mixed(scenario.features, usual, learned))

    def _mixed(self, features: Tensor, usual: Tensor, learned: Tensor) -> Tensor:
        table = torch.tensor([self.shares, self.factors])
        share, factor = table[:, self.classes.of(by_name(features))]
        level: Tensor = factor * torch.lerp(usual, learned, share)
        return level


def fit(windows: Windows, rounds: int = ROUNDS) -> str:
    """LightGBM's text of a model of what :func:`start` misses of the own quantile."""
    import lightgbm  # here, not above: whoever does not tune or play it need not wait for it

    demand, ratio = windows.demand.double().numpy(), windows.ratio.double().numpy()
    weight = (windows.weight / windows.weight.mean()).double().numpy()
    curvature = weight * _density(windows.features, windows.ratio).double().numpy()

    def newton(level: Array, _: object) -> tuple[Array, Array]:
        """Derivative of the pinball loss, and curvature of its expectation."""
        return weight * np.where(demand < level, 1.0 - ratio, -ratio), curvature

    data = lightgbm.Dataset(
        windows.features.numpy(),
        demand,
        init_score=start(windows.features).double().numpy(),
        params=PARAMETERS,
    )
    booster = lightgbm.train({**PARAMETERS, "objective": newton}, data, rounds)
    return booster.model_to_string()


def start(features: Tensor) -> Tensor:
    """[...] forecast + z * error, in scales, from features [..., F]."""
    forecast = features[..., FEATURES.index("near_forecast")]
    return forecast + _normal(critical_ratio(features)) * features[..., ERROR]


def quantiles(model: str, features: Tensor) -> Tensor:
    """[...] own quantiles, in scales, from features [..., F]."""
    rows = features.reshape(-1, features.shape[-1])
    if not len(rows):
        return features[..., 0]
    learned = _booster(model).predict(rows.numpy(), raw_score=True, num_threads=1)
    found = torch.as_tensor(learned, dtype=features.dtype)
    return start(features) + found.view(features.shape[:-1])


def learned_levels(scenario: Scenario, model: str) -> Tensor:
    """[T, N] units on review days; 0 on others, when nobody is asked."""
    level, due = torch.zeros_like(scenario.scale), scenario.review
    level[due] = quantiles(model, scenario.features[due]) * scenario.scale[due]
    return level


@functools.lru_cache(maxsize=2)
def _booster(model: str) -> Booster:
    from lightgbm import Booster

    return Booster(model_str=model)


def _normal(ratio: Tensor) -> Tensor:
    quantile: Tensor = torch.special.ndtri(ratio)
    return quantile


def _density(features: Tensor, ratio: Tensor) -> Tensor:
    """[R] of demand at its quantile, per scale, if forecast errors were normal."""
    error = features[..., ERROR].clamp(min=SMALLEST_ERROR)
    at_ratio: Tensor = (-0.5 * _normal(ratio).square()).exp()
    return at_ratio / (error * math.sqrt(2 * math.pi))
