"""Order-up-to an empirical quantile of an inventory's own demand over the protection period.

As of a day: the windows of L + P days that ended before it, of the last ``PAST_DAYS`` days. Their
quantile at b / (b + h * P) is mixed with the class's, which knows only the inventory's scale; own
windows weigh the more the more of them there are. They are of other seasons and promotions:
their quantile moves with the forecast, by its ratio to their mean. It is worked out
weekly, as a planner's would be. A pair (a, k) per class corrects the level, because neither
overlapping windows nor lost sales fit the newsvendor's formula.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from envs.objective import Objective
from envs.rollout import Policy
from envs.state import Scenario
from pipeline.baselines.base import Baseline
from pipeline.baselines.classes import Classes, shrunk_costs
from pipeline.baselines.grid import (
    LEVEL_GRID,
    Pairs,
    PlayPair,
    by_name,
    corrected,
    corrected_level,
    tune_pairs,
)
from pipeline.baselines.windows import Windows, drawn_windows
from pipeline.policies.order_up_to import FORECAST, critical_ratio, given_level
from pipeline.scenarios.source import ScenarioSource

PAST_DAYS, EVERY_DAYS = 364, 7
"""Days that quantiles look back, and between two of them."""
OWN_PERIODS = 8.0
"""An inventory known for so many protection periods weighs as much as its class."""
CLASS_WINDOWS = 200_000
"""Most training windows that the quantiles of classes come from."""
FLOOR, MOST_MOVED = 0.1, 4.0
"""Added to forecast and mean, in scales, and the most that their ratio moves a quantile by."""
CLASS_LEVELS = tuple(np.round(np.geomspace(0.2, 8.0, 48), 3).tolist())
"""Of the scale: what a class's quantile is looked for among."""


@dataclass(frozen=True)
class EmpiricalQuantile(Baseline):
    """Order-up-to a * quantile + k * error; the quantile is empirical."""

    name = "empirical_quantile"
    title = "Empirical quantile"
    prose = "order-up-to the empirical quantile"

    quantile_classes: Classes
    quantiles: Sequence[float]
    """[classes] of demand over the protection period, in scales, at the class's own ratios."""
    classes: Classes
    factors: Sequence[float]
    """[classes] a."""
    error_factors: Sequence[float]
    """[classes] k."""

    @classmethod
    def tune(cls, source: ScenarioSource, objective: Objective) -> EmpiricalQuantile:
        """Quantiles of classes, then the pairs with the least cost, on training inventories."""
        drawn = drawn_windows(source, objective, CLASS_WINDOWS, torch.Generator().manual_seed(0))
        classes, quantiles = class_quantiles(drawn)

        def candidates(scenario: Scenario) -> PlayPair:
            return corrected(scenario, quantile_level(scenario, classes, quantiles))

        return cls(classes, quantiles, *tune_pairs(source, objective, LEVEL_GRID, candidates))

    def policy_for(self, scenario: Scenario) -> tuple[Scenario, Policy]:
        """The levels of a tile on all its days, each from the days before it."""
        level = quantile_level(scenario, self.quantile_classes, self.quantiles)
        pairs = Pairs(self.classes, self.factors, self.error_factors)
        return given_level(scenario, corrected_level(scenario, level, pairs))


def class_quantiles(windows: Windows) -> tuple[Classes, list[float]]:
    """Classes, and in each the level, in scales, with the least newsvendor's cost."""
    columns = by_name(windows.features)
    classes = Classes.of_sample(columns)
    losses = [pinball(windows.demand, torch.tensor(level), windows.ratio) for level in CLASS_LEVELS]
    shrunk = shrunk_costs(torch.stack(losses).numpy(), classes.of(columns).numpy(), classes.sizes)
    return classes, [CLASS_LEVELS[best] for best in shrunk.argmin(1)]


def pinball(demand: Tensor, level: Tensor, ratio: Tensor) -> Tensor:
    """[R] loss whose mean is least at the ``ratio`` quantile of ``demand``; their unit."""
    short = demand - level
    return torch.maximum(ratio * short, (ratio - 1.0) * short)


def quantile_level(scenario: Scenario, classes: Classes, quantiles: Sequence[float]) -> Tensor:
    """[T, N] units: own and class's quantile, mixed by the length of the inventory's past."""
    own, mean, windows = own_quantile(scenario)
    forecast, floor = scenario.basis[..., FORECAST], FLOOR * scenario.scale
    moved = ((forecast + floor) / (mean + floor)).clamp(1 / MOST_MOVED, MOST_MOVED)
    of_class = torch.tensor(quantiles)[classes.of(by_name(scenario.features))] * scenario.scale
    protection = (scenario.lead_time + scenario.review_period).to(own.dtype)
    # Overlapping windows: so many days tell about as much as days / (L + P) periods.
    periods = windows / protection
    share = periods / (periods + OWN_PERIODS)
    return torch.lerp(of_class, moved * own, share)


def own_quantile(scenario: Scenario) -> tuple[Tensor, Tensor, Tensor]:
    """Quantile and mean, units, of the windows that ended before each day, and how many there were;
    [T, N] each.

    0 where there were none.
    """
    before = 0 if scenario.history is None else len(scenario.history)
    sums = past_windows(scenario)
    ratio = critical_ratio(scenario.features[0])
    level, mean, count = torch.zeros(3, *scenario.demand.shape, dtype=sums.dtype)
    for day in range(0, scenario.num_days, EVERY_DAYS):
        stop = before + day + 1
        # NaN is sorted behind all numbers.
        ended = sums[max(stop - PAST_DAYS, 0) : stop].sort(0).values
        known = (~ended.isnan()).sum(0)
        # Of n windows the i-th lies at i / (n + 1).
        at = (ratio * (known + 1) - 1).clamp(min=0.0).minimum((known - 1).clamp(min=0))
        low = at.floor().long()
        high = (low + 1).minimum((known - 1).clamp(min=0))
        below, above = (ended.gather(0, row.unsqueeze(0)).squeeze(0) for row in (low, high))
        week = slice(day, day + EVERY_DAYS)
        level[week] = torch.lerp(below, above, (at - low).to(sums.dtype)).nan_to_num(0.0)
        mean[week] = ended.nanmean(0).nan_to_num(0.0)
        count[week] = known.to(count.dtype)
    return level, mean, count


def past_windows(scenario: Scenario) -> Tensor:
    """[B + T, N] demand over the L + P days before each day of history and scenario, units.

    NaN where not all of these days were observed.
    """
    demand = scenario.demand
    if scenario.counted is not None:
        demand = demand.masked_fill(~scenario.counted, torch.nan)
    if scenario.history is not None:
        demand = torch.cat((scenario.history, demand))
    protection = scenario.lead_time + scenario.review_period
    parts = torch.stack((demand.nan_to_num(0.0), demand.isnan().to(demand.dtype))).double()
    sums = torch.cat((parts.new_zeros(2, 1, demand.shape[1]), parts.cumsum(1)[:, :-1]), dim=1)
    first = torch.arange(len(demand)).unsqueeze(1) - protection
    start = first.clamp(min=0)
    total, missing = (part - part.gather(0, start) for part in sums)
    known: Tensor = total.masked_fill((missing > 0) | (first < 0), torch.nan)
    return known.to(demand.dtype)
