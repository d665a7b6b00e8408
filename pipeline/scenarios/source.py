"""Where scenarios come from: what runners, the evaluator and the baselines ask for tiles.

A tile is the unit of work everywhere: a cache-sized block of inventories that is read,
turned into features, simulated and forgotten. Nobody holds a whole data set.
"""

from __future__ import annotations

from typing import Literal, Protocol

import torch

from envs.state import InventoryState, ObservationLayout, Scenario

Split = Literal["train", "validation", "test"]


class ScenarioSource(Protocol):
    """Gives scenarios tile by tile; picklable, cheap to send to a Ray worker."""

    @property
    def layout(self) -> ObservationLayout:
        """Layout of the observations of every scenario."""

    def num_tiles(self, split: Split) -> int:
        """Number of tiles of a split."""

    def load(self, split: Split, tile: int) -> Scenario:
        """One tile over the days of the split."""

    def evaluation_start(self, scenario: Scenario) -> InventoryState:
        """Stock on the first morning when a policy is evaluated."""

    def training_start(self, scenario: Scenario, generator: torch.Generator) -> InventoryState:
        """Draws the stock that a training fragment starts with."""
