"""Classical problems as a source of training scenarios."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import torch

from envs.problems.classical import ClassicalProblem, coming_demand, scenario
from envs.state import InventoryState, ObservationLayout, Scenario
from pipeline.scenarios.joined import side_by_side
from pipeline.scenarios.source import Split
from pipeline.scenarios.start import evaluation_start, training_start
from pipeline.tools.seeding import derive_seed

TRAINING_TILES = 16
TRAINING_ROWS, TRAINING_DAYS = 512, 240
VALIDATION_ROWS, VALIDATION_DAYS = 4096, 150
WARM_UP_DAYS = 40
"""Days of validation before which the start is not forgotten; they do not count."""


@dataclass(frozen=True)
class ClassicalSource:
    """Inventories of one or several classical problems, in equal shares of every tile.

    Tiles are drawn when they are loaded; the last few stay in memory (per process).
    """

    problems: tuple[ClassicalProblem, ...]
    """All with the same kind of demand and the same treatment of unmet demand."""
    round_orders: bool
    """Whole units only."""
    seed: int

    @property
    def max_lead_time(self) -> int:
        """K, days: the longest lead time."""
        return max(problem.lead_time for problem in self.problems)

    @property
    def layout(self) -> ObservationLayout:
        """That of :func:`~envs.problems.poisson.poisson_scenario`."""
        return ObservationLayout(self.max_lead_time, 1, 3, coming_demand(self.problems[0]))

    def num_tiles(self, split: Split) -> int:
        """Many to train on, one to validate or test on."""
        return TRAINING_TILES if split == "train" else 1

    def load(self, split: Split, tile: int) -> Scenario:
        """A tile of freshly drawn demand."""
        return _draw(self, split, tile)

    def evaluation_start(self, scenario: Scenario) -> InventoryState:
        """As in every evaluation."""
        return evaluation_start(scenario)

    def training_start(self, scenario: Scenario, generator: torch.Generator) -> InventoryState:
        """Random stock: see the function of that name."""
        return training_start(scenario, generator)


@lru_cache(maxsize=2 * TRAINING_TILES)
def _draw(source: ClassicalSource, split: Split, tile: int) -> Scenario:
    rows, days = (
        (TRAINING_ROWS, TRAINING_DAYS) if split == "train" else (VALIDATION_ROWS, VALIDATION_DAYS)
    )
    parts = [
        scenario(
            problem,
            rows // len(source.problems),
            days,
            derive_seed("classical", source.seed, split, tile, number),
            round_orders=source.round_orders,
            max_lead_time=source.max_lead_time,
        )
        for number, problem in enumerate(source.problems)
    ]
    joined = side_by_side(parts)
    if split == "train":
        return joined
    counted = torch.arange(days).unsqueeze(1).expand_as(joined.demand) >= WARM_UP_DAYS
    return replace(joined, counted=counted)
