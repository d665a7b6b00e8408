"""Scenarios that are held in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from envs.state import InventoryState, ObservationLayout, Scenario
from pipeline.scenarios.source import Split
from pipeline.scenarios.start import empty_start


@dataclass(frozen=True)
class GivenScenarios:
    """Textbook problems, the study's trajectories.

    Evaluation and training start empty.
    """

    scenarios: Mapping[Split, Sequence[Scenario]]
    """Split -> tiles; all of one layout."""

    @property
    def layout(self) -> ObservationLayout:
        """Layout of the first training tile."""
        return self.scenarios["train"][0].layout

    def num_tiles(self, split: Split) -> int:
        """Number of tiles of a split."""
        return len(self.scenarios[split])

    def load(self, split: Split, tile: int) -> Scenario:
        """One tile."""
        return self.scenarios[split][tile]

    def evaluation_start(self, scenario: Scenario) -> InventoryState:
        """No stock, nothing on its way."""
        return empty_start(scenario)

    def training_start(self, scenario: Scenario, generator: torch.Generator) -> InventoryState:
        """The same: nothing is drawn."""
        return empty_start(scenario)
