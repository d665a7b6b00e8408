"""How the problems of tests tell the demand until an order arrives."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from envs.projection import ComingDemand, DailyDemand
from envs.state import Observation


@dataclass(frozen=True)
class AnyDemand(ComingDemand):
    """Some lead time and demand for every two features in [0, 1], true or not."""

    name = "any"

    backlog: bool = False

    def read(self, observation: Observation) -> tuple[Tensor, DailyDemand]:
        """Lead times may be any, up to K; demand's size is the scale's."""
        one, other = observation.features[..., 0], observation.features[..., 1]
        longest = observation.stock.shape[-1] - 1
        lead_time = ((longest + 1) * other).floor().clamp(max=longest)
        mean = 0.3 * one * observation.scale
        return lead_time, DailyDemand(mean, 0.05 * observation.scale + 0.5 * other * mean)
