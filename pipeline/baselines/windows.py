"""Demand over the protection period, as training data: what a day's features were followed by."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from envs.objective import Objective
from envs.state import Scenario
from pipeline.features.build import FEATURES
from pipeline.policies.order_up_to import critical_ratio, tuning_scenarios
from pipeline.scenarios.source import ScenarioSource

ON_SALE = FEATURES.index("on_sale_share")


class Windows(NamedTuple):
    """R windows [t, t + L + P) of inventories, each seen from its first morning."""

    features: Tensor
    """[R, F] of the morning."""
    demand: Tensor
    """[R] in scales of the morning."""
    ratio: Tensor
    """[R] :func:`~pipeline.policies.order_up_to.critical_ratio`."""
    weight: Tensor
    """[R] money that a scale too many costs until the next order, over 1 - ratio: times the
    pinball loss of a level in scales it is the newsvendor's cost."""


def drawn_windows(
    source: ScenarioSource, objective: Objective, most: int, generator: torch.Generator
) -> Windows:
    """At most ``most`` windows of training inventories, from the tiles baselines are tuned on."""
    count = sum(1 for _ in tuning_scenarios(source, "train"))  # the source keeps its tiles
    parts = [
        _of_tile(scenario, objective, most // count, generator)
        for scenario in tuning_scenarios(source, "train")
    ]
    return Windows(*(torch.cat(columns) for columns in zip(*parts, strict=True)))


def _of_tile(
    scenario: Scenario, objective: Objective, rows: int, generator: torch.Generator
) -> Windows:
    days, n = scenario.demand.shape
    # Of neighbouring days' windows, which overlap, more would tell little.
    rows = min(rows, days * n // 4)
    day = torch.randint(days, (rows,), generator=generator)
    inventory = torch.randint(n, (rows,), generator=generator)
    protection = (scenario.lead_time + scenario.review_period)[inventory]
    inside = day + protection <= days
    day, inventory, protection = day[inside], inventory[inside], protection[inside]
    features = scenario.features[day, inventory]
    demand = _sum_ahead(scenario.demand.double(), day, inventory, protection)
    known = torch.ones_like(demand, dtype=torch.bool)
    if scenario.counted is not None:
        # Days off sale are demand 0 as planned; a day that was not recorded says nothing.
        counted = _sum_ahead(scenario.counted.double(), day, inventory, protection)
        known = (counted > 0) & (counted >= features[:, ON_SALE] * protection - 0.5)
    scale, ratio = scenario.scale[day, inventory], critical_ratio(features)
    weight = objective.decision_size(scenario)[day, inventory] / (1.0 - ratio)
    columns = (
        features,
        (demand / scale).float(),
        ratio,
        weight / scenario.review_period[inventory],
    )
    return Windows(*(column[known] for column in columns))


def _sum_ahead(values: Tensor, day: Tensor, inventory: Tensor, span: Tensor) -> Tensor:
    """[R] sums of values [T, N] over [day, day + span)."""
    sums = torch.cat((values.new_zeros(1, values.shape[1]), values.cumsum(0)))
    return sums[day + span, inventory] - sums[day, inventory]
