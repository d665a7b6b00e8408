"""A source in which shortages weigh more, or less, than their costs say."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from envs.state import InventoryState, ObservationLayout, Scenario
from pipeline.scenarios.source import ScenarioSource, Split


@dataclass(frozen=True)
class WeighedSource:
    """A source whose shortages count ``factor`` times in what is minimised."""

    source: ScenarioSource
    factor: float

    @property
    def layout(self) -> ObservationLayout:
        """The source's."""
        return self.source.layout

    def num_tiles(self, split: Split) -> int:
        """The source's."""
        return self.source.num_tiles(split)

    def load(self, split: Split, tile: int) -> Scenario:
        """The source's tile, weighed."""
        return weighed(self.source.load(split, tile), self.factor)

    def evaluation_start(self, scenario: Scenario) -> InventoryState:
        """The source's."""
        return self.source.evaluation_start(scenario)

    def training_start(self, scenario: Scenario, generator: torch.Generator) -> InventoryState:
        """The source's."""
        return self.source.training_start(scenario, generator)


def weighed(scenario: Scenario, factor: float) -> Scenario:
    """The same with shortages that count ``factor`` times; features stay those of the data."""
    each = torch.full_like(scenario.shortage_cost, factor)
    return replace(scenario, shortage_factor=each)
