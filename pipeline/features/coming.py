"""The demand until an order arrives, as a data set's observations tell it."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from envs.projection import ComingDemand, DailyDemand
from envs.state import Observation
from pipeline.features.build import FEATURES

LEAD_TIME, PERIOD, FORECAST, ERROR = (
    FEATURES.index(name)
    for name in ("lead_time", "review_period", "lead_time_forecast", "forecast_error")
)


@dataclass(frozen=True)
class DatasetDemand(ComingDemand):
    """The forecast over the lead time, spread evenly over its days, and the forecast's error over
    L + P days as that of so many independent days."""

    name = "dataset"

    backlog: bool = False

    def read(self, observation: Observation) -> tuple[Tensor, DailyDemand]:
        """Nominal lead times; the same demand on all days until then."""
        features, scale = observation.features, observation.scale
        lead_time = (14.0 * features[..., LEAD_TIME]).round()
        protection = lead_time + 7.0 * features[..., PERIOD]
        mean = features[..., FORECAST] * scale / lead_time.clamp(min=1.0)
        return lead_time, DailyDemand(mean, features[..., ERROR] * scale * protection.rsqrt())
