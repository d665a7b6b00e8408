"""Demand of a known law, seen through the project's features; and baselines tuned on a tile."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from envs.objective import DEFAULT_OBJECTIVE
from envs.state import Scenario
from pipeline.baselines.base import BASELINES, Baseline
from pipeline.features.build import BASIS, FEATURES
from pipeline.policies.order_up_to import FORECAST
from pipeline.scenarios.dataset import DatasetSource
from pipeline.scenarios.given import GivenScenarios

KnownLaw = Callable[..., Scenario]


def known_law(
    seed: int,
    *,
    n: int = 300,
    days: int = 120,
    dispersion: float = 1.0,
    lead: tuple[int, int] = (1, 5),
    period: int = 1,
    cost_ratio: tuple[float, float] = (9.0, 99.0),
    backlog: bool = True,
) -> Scenario:
    """Independent negative binomial demand whose mean and standard deviation are known exactly.

    ``dispersion`` r: the variance of a day is m + m^2 / r; sums of days are negative binomial too.
    """
    rng = np.random.default_rng(seed)
    mean = rng.uniform(0.3, 6.0, n)
    lead_time = rng.integers(lead[0], lead[1] + 1, n)
    span = lead_time + period
    error = np.sqrt(span * (mean + mean**2 / dispersion))
    scale = span * mean + error
    ratio = np.exp(rng.uniform(*np.log(cost_ratio), n))
    known = {
        "recent_demand": span * mean / scale,
        "longer_demand": span * mean / scale,
        "near_forecast": span * mean / scale,
        "far_forecast": span * mean / scale,
        "lead_time_forecast": lead_time * mean / scale,
        "forecast_error": error / scale,
        "zero_share": (1 + mean / dispersion) ** -dispersion,
        "lead_time": lead_time / 14,
        "review_period": np.full(n, period / 7),
        "critical_ratio": ratio / (1 + ratio),
        "log_cost_ratio": np.log(ratio) / 4,
        "on_sale_share": np.ones(n),
        "plan_known": np.ones(n),
    }
    features = torch.zeros(days, n, len(FEATURES))
    for name, values in known.items():
        features[..., FEATURES.index(name)] = torch.as_tensor(values, dtype=torch.float32)
    basis = torch.zeros(days, n, len(BASIS))
    basis[..., FORECAST] = torch.as_tensor(span * mean, dtype=torch.float32)
    demand = rng.negative_binomial(dispersion, dispersion / (dispersion + mean), (days, n))
    return Scenario(
        demand=torch.as_tensor(demand, dtype=torch.float32),
        lead_time=torch.as_tensor(lead_time),
        review_period=torch.full((n,), period),
        review=(torch.arange(days) % period == 0).unsqueeze(1).expand(days, n).contiguous(),
        shortage_cost=torch.as_tensor(ratio, dtype=torch.float32),
        holding_cost=torch.ones(n),
        scale=torch.as_tensor(scale, dtype=torch.float32).expand(days, n).contiguous(),
        basis=basis,
        features=features,
        max_lead_time=int(lead[1]),
        backlog=backlog,
    ).validate()


@pytest.fixture(scope="session")
def law() -> KnownLaw:
    """Makes scenarios of a known law."""
    return known_law


def one_tile(train: Scenario) -> GivenScenarios:
    """A source of one training tile."""
    return GivenScenarios({"train": [train]})


@pytest.fixture(scope="session")
def tuned(source: DatasetSource) -> dict[str, Baseline]:
    """Every registered baseline, tuned on one small tile."""
    tile = one_tile(source.load("train", 0))
    return {name: BASELINES.find(name).tune(tile, DEFAULT_OBJECTIVE) for name in BASELINES}
