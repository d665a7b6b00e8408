"""Raw tiles of history for the tests of features and policies."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from pipeline.features.build import FeatureTile, build_features
from pipeline.features.forecast import EFFECTS, DayFactors


@dataclass(frozen=True)
class History:
    """A raw tile: what :func:`~pipeline.features.build.build_features` is made from."""

    static: dict[str, np.ndarray[Any, Any]]
    dynamic: dict[str, np.ndarray[Any, Any]]
    factors: DayFactors
    first_weekday: int = 2

    @property
    def days(self) -> int:
        return int(self.dynamic["demand"].shape[1])

    def build(self, **days: int | None) -> FeatureTile:
        return build_features(self.static, self.dynamic, self.factors, self.first_weekday, **days)

    def but(self, **quantities: np.ndarray[Any, Any]) -> History:
        """The same history with other quantities [n, T]."""
        return replace(self, dynamic={**self.dynamic, **quantities})


def make_history(seed: int, n: int = 12, days: int = 150) -> History:
    """Random history: launches, off-sale days, promotions, prices, two categories."""
    rng = np.random.default_rng(seed)
    lead, period = rng.integers(1, 10, n), rng.choice([1, 2, 3, 7], n)
    launch = np.where(rng.random(n) < 0.3, rng.integers(0, 30, n), 0)
    on_sale = (np.arange(days) >= launch[:, None]) & (rng.random((n, days)) < 0.95)
    promotion = rng.random((n, days)) < 0.08
    price = rng.uniform(2, 20, (n, 1)) * np.where(promotion, 0.8, 1.0)
    rate = np.exp(rng.normal(0.5, 1.2, (n, 1))) * np.where(promotion, 1.8, 1.0)
    demand = rng.poisson(rate, (n, days)) * on_sale
    coefficients = {
        "food": [-0.3, -0.2, -0.1, 0.0, 0.1, 0.3, 0.2, -1.5, 0.4, 0.3, 0.1],
        "*": [0.1, 0.0, 0.0, 0.0, 0.0, -0.1, -0.2, -1.0, 0.2, 0.0, 0.0],
    }
    assert len(coefficients["*"]) == 7 + len(EFFECTS)
    holding = rng.uniform(0.02, 0.3, n)
    return History(
        static={
            "lead_time": lead,
            "review_period": period,
            "review_offset": rng.integers(0, 7, n) % period,
            "lead_time_jitter": np.zeros(n, dtype=int),
            "fill_min": np.ones(n),
            "shortage_cost": holding * rng.uniform(4, 40, n),
            "holding_cost": holding,
            "category": np.array(["food", "toys"] * (n // 2 + 1))[:n],
        },
        dynamic={
            "demand": demand.astype(np.float32),
            "known": np.ones((n, days), dtype=np.uint8),
            "on_sale": on_sale.astype(np.uint8),
            "price": price.astype(np.float32),
            "promotion": promotion.astype(np.uint8),
            "event": np.broadcast_to(rng.random(days) < 0.04, (n, days)).astype(np.uint8),
            "snap": np.broadcast_to(np.arange(days) % 30 < 10, (n, days)).astype(np.uint8),
        },
        factors=DayFactors(coefficients, {"food": 2.0, "*": 1.5}),
    )


@pytest.fixture
def history() -> History:
    return make_history(1)
