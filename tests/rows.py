"""Rows of a whole split, played in this process."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from pipeline.evaluation.play import PolicyFor, evaluate_tile
from pipeline.scenarios.dataset import DatasetSource
from pipeline.scenarios.source import Split


def evaluate_dataset(
    source: DatasetSource, split: Split, policy_for: PolicyFor
) -> Iterator[pd.DataFrame]:
    """Per-inventory rows of a whole split, tile by tile."""
    for tile in range(source.num_tiles(split)):
        yield evaluate_tile(*source.open(split, tile), policy_for).to_pandas()
