"""What is played: random demand and features, everything reviewed daily, one lead time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from envs.projection import ComingDemand, DailyDemand
from envs.state import Observation, ObservationLayout, Scenario
from pipeline.policies.action_models import make_action_model
from pipeline.policies.networks import PolicyNetwork
from pipeline.scenarios.given import GivenScenarios

LEAD, FEATURES, BASIS, HIDDEN = 4, 20, 5, (64, 64)
"""The shapes that rates are quoted for."""


@dataclass(frozen=True)
class KnownDemand(ComingDemand):
    """That of :func:`scenario`, uniform on 0..10; in no observation."""

    name = "known"

    lead_time: int = LEAD
    backlog: bool = False

    def read(self, observation: Observation) -> tuple[Tensor, DailyDemand]:
        """The same for all."""
        mean = torch.full_like(observation.scale, 5.0)
        return torch.full_like(mean, self.lead_time), DailyDemand(mean, mean * 3.0**-0.5)


def scenario(
    n: int,
    days: int,
    *,
    lead: int = LEAD,
    features: int = FEATURES,
    mixed_leads: bool = False,
    review_period: int = 1,
    seed: int = 1,
) -> Scenario:
    """Lost sales, b = 9, h = 1; ``features=0`` leaves out all that only policies look at.

    Args:
        n: Inventories.
        days: T.
        lead: Everyone's lead time, or the longest one.
        features: F.
        mixed_leads: Lead times from 0 to ``lead`` instead of one for all.
        review_period: Everyone's; offsets differ.
        seed: Of all random numbers.
    """
    generator = torch.Generator().manual_seed(seed)

    def random(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator)

    offset = torch.arange(n) % review_period
    seen = features > 0
    return Scenario(
        demand=10 * random(days, n),
        lead_time=(random(n) * (lead + 1)).long() if mixed_leads else torch.full((n,), lead),
        review_period=torch.full((n,), review_period),
        review=(torch.arange(days).unsqueeze(1) - offset) % review_period == 0,
        shortage_cost=torch.full((n,), 9.0),
        holding_cost=torch.ones(n),
        scale=20 + 10 * random(days, n) if seen else torch.full((1, 1), 25.0).expand(days, n),
        basis=10 * random(days, n, BASIS) if seen else torch.ones(1, 1, BASIS).expand(days, n, -1),
        features=random(days, n, features) if seen else torch.empty(days, n, 0),
        coming=None if mixed_leads else KnownDemand(lead),
        max_lead_time=lead,
    )


def constant_order(given: Scenario) -> Tensor:
    """[T, N] 5 units a day, the mean demand; takes no memory."""
    return torch.full((1, 1), 5.0).expand(given.demand.shape)


def policy(given: Scenario, kind: str = "base", hidden: Sequence[int] = HIDDEN) -> PolicyNetwork:
    """An untrained policy network for ``given``."""
    torch.manual_seed(0)
    return PolicyNetwork(given.layout, make_action_model(kind, BASIS, coming=given.coming), hidden)


def forward_flops(layout: ObservationLayout, outputs: int = 1) -> float:
    """Of the policy network's matrix products, per decision."""
    widths = (layout.max_lead_time + 2 + layout.features, *HIDDEN, outputs)
    return sum(2.0 * a * b for a, b in pairwise(widths))


def training_flops(layout: ObservationLayout, outputs: int = 1) -> float:
    """Forward, gradients of all weights, and of all inputs but the features."""
    return 3.0 * forward_flops(layout, outputs) - 2.0 * layout.features * HIDDEN[0]


def in_tiles(n: int, days: int, tiles: int) -> GivenScenarios:
    """A source of ``tiles`` scenarios of ``n`` inventories each."""
    made = [scenario(n, days, seed=tile) for tile in range(tiles)]
    return GivenScenarios({"train": made, "validation": made[:1], "test": made[:1]})
