"""Supply terms no public data set records: lead times, review periods and unit costs.

They are drawn from the distributions stated here, by the generator and by every import alike;
`SupplyTerms.describe` is the sentence that goes into the manifest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from envs.errors import DataError

Array = npt.NDArray[Any]

LEAD_TIME_MEDIAN = 4.0
LEAD_TIME_SIGMA = 0.6
REVIEW_PERIODS = (1, 2, 3, 7)
REVIEW_WEIGHTS = (0.25, 0.2, 0.2, 0.35)
HOLDING_RATE = 0.01
HOLDING_SIGMA = 0.3
COST_RATIO = (4.0, 40.0)
# Median and log-sigma of a lognormal price, for sources without any.
DRAWN_PRICE = (10.0, 0.7)

TERMS: dict[str, type[np.generic]] = {
    "lead_time": np.int16,
    "lead_time_jitter": np.int16,
    "fill_min": np.float32,
    "review_period": np.int16,
    "review_offset": np.int16,
    "holding_cost": np.float32,
    "shortage_cost": np.float32,
}


@dataclass(frozen=True)
class SupplyTerms:
    """How supply terms are drawn.

    Args:
        max_lead_time: Days; lead times are clipped to 1..max_lead_time.
        max_review_period: Days; review periods above it are not drawn.
        lead_time_jitter: Days, the same for all inventories; 0 = constant lead times.
        fill_min: Least fraction of an order that arrives, the same for all inventories.

    Raises:
        DataError: An argument is out of range.
    """

    max_lead_time: int = 14
    max_review_period: int = 7
    lead_time_jitter: int = 0
    fill_min: float = 1.0

    def __post_init__(self) -> None:
        if not 1 <= self.max_lead_time <= 365:
            raise DataError("max_lead_time", self.max_lead_time, "Use 1 to 365 days.")
        if not 1 <= self.max_review_period <= 7:
            raise DataError("max_review_period", self.max_review_period, "Use 1 to 7 days.")
        if not 0 <= self.lead_time_jitter <= 365:
            raise DataError("lead_time_jitter", self.lead_time_jitter, "Use 0 to 365 days.")
        if not 0.0 < self.fill_min <= 1.0:
            raise DataError("fill_min", self.fill_min, "Use a fraction above 0, at most 1.")

    @property
    def longest(self) -> int:
        """Days that the longest terms span: lead time + jitter + review period."""
        return self.max_lead_time + self.lead_time_jitter + max(self._periods()[0])

    def describe(self) -> str:
        """One clause for the manifest: what the terms were drawn from."""
        periods, weights = self._periods()
        drawn = ", ".join(f"{p} (p = {w:.2f})" for p, w in zip(periods, weights, strict=True))
        jitter = "" if self.lead_time_jitter == 0 else f" ± up to {self.lead_time_jitter} per order"
        fill = "" if self.fill_min == 1.0 else f", fill fraction U[{self.fill_min:g}, 1] per order"
        return (
            f"lead times: lognormal with median {LEAD_TIME_MEDIAN:g} days and log-sigma "
            f"{LEAD_TIME_SIGMA:g}, rounded, clipped to 1..{self.max_lead_time}{jitter}{fill}; "
            f"review periods: {drawn} with uniform offset; holding cost per unit and day: "
            f"{HOLDING_RATE:.0%} of the price times a lognormal with median 1 and log-sigma "
            f"{HOLDING_SIGMA:g}; shortage cost: holding cost times a log-uniform ratio in "
            f"[{COST_RATIO[0]:g}, {COST_RATIO[1]:g}]"
        )

    def draw(
        self, rng: np.random.Generator, price: Array, given: Mapping[str, Array] | None = None
    ) -> dict[str, Array]:
        """Draw the supply terms of n inventories, independently of each other.

        Args:
            rng: Source of randomness; the same state gives the same terms.
            price: [n] regular price per unit.
            given: Terms that are known, column -> [n] with NaN where a value must be drawn.

        Returns:
            The columns `TERMS`, each [n].
        """
        n = len(price)
        given = given or {}
        periods, weights = self._periods()

        def known_or(name: str, drawn: Array) -> Array:
            values = given.get(name)
            return drawn if values is None else np.where(np.isnan(values), drawn, values)

        lead = LEAD_TIME_MEDIAN * np.exp(LEAD_TIME_SIGMA * rng.standard_normal(n))
        period = rng.choice(np.asarray(periods), size=n, p=np.asarray(weights))
        period = known_or("review_period", period)
        offset = np.floor(rng.random(n) * period)
        holding = HOLDING_RATE * price * np.exp(HOLDING_SIGMA * rng.standard_normal(n))
        holding = known_or("holding_cost", holding)
        ratio = np.exp(rng.uniform(np.log(COST_RATIO[0]), np.log(COST_RATIO[1]), size=n))
        values = {
            "lead_time": known_or("lead_time", np.clip(np.rint(lead), 1, self.max_lead_time)),
            "lead_time_jitter": known_or("lead_time_jitter", np.full(n, self.lead_time_jitter)),
            "fill_min": known_or("fill_min", np.full(n, self.fill_min)),
            "review_period": period,
            "review_offset": known_or("review_offset", offset),
            "holding_cost": holding,
            "shortage_cost": known_or("shortage_cost", holding * ratio),
        }
        return {name: values[name].astype(kind) for name, kind in TERMS.items()}

    def _periods(self) -> tuple[list[int], list[float]]:
        kept = [
            (period, weight)
            for period, weight in zip(REVIEW_PERIODS, REVIEW_WEIGHTS, strict=True)
            if period <= self.max_review_period
        ]
        total = sum(weight for _, weight in kept)
        return [period for period, _ in kept], [weight / total for _, weight in kept]
