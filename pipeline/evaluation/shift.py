"""How far another data set's inputs are from those that policies were trained on.

A policy may be played anywhere, but what it makes of inputs that it never met is anybody's guess:
this says how many there are.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from envs.metrics import Array, listed
from pipeline.features.build import FEATURES
from pipeline.scenarios.dataset import DatasetSource
from pipeline.scenarios.source import Split

SHIFT = "shift.csv"
TILES = 4
"""Tiles of each that are looked at."""
EVERY = 7
"""Days between two that are looked at."""
LOW, HIGH = 0.5, 99.5
"""Percentiles of training between which an input is nothing new."""
NOTEWORTHY = 5.0
"""Percent of inputs outside from which a feature is named."""


def input_shift(trained: DatasetSource, other: DatasetSource) -> pd.DataFrame:
    """A row per feature: training's range, and the share of the other's test inputs outside.

    Columns: ``feature``; ``low`` and ``high``, the :data:`LOW` and :data:`HIGH` percentiles of
    training; ``outside_pct``; ``difference``, of the means in training's standard deviations.
    The last row, ``category``, counts inventories of categories that training did not have.
    """
    own, others = _inputs(trained, "train"), _inputs(other, "test")
    low, high = np.percentile(own, [LOW, HIGH], axis=0)
    outside = 100.0 * ((others < low - 1e-6) | (others > high + 1e-6)).mean(0)
    spread = np.where(own.std(0) > 1e-9, own.std(0), np.nan)
    table = pd.DataFrame(
        {
            "feature": FEATURES,
            "low": low,
            "high": high,
            "outside_pct": outside,
            "difference": (others.mean(0) - own.mean(0)) / spread,
        }
    )
    known = np.isin(_categories(other), [*trained.factors.rates])
    table.loc[len(table)] = ["category", np.nan, np.nan, 100.0 * float((~known).mean()), np.nan]
    return table


def shift_in_words(table: pd.DataFrame) -> str:
    """What :func:`input_shift` found, in a sentence or two."""
    far = table[table["outside_pct"] > NOTEWORTHY].sort_values("outside_pct", ascending=False)
    usual = 100.0 - HIGH + LOW
    if far.empty:
        return (
            "The policies were trained on another data set; of no input more than "
            f"{NOTEWORTHY:g} % lie outside the range that training saw (it left {usual:g} % out)."
        )
    named = listed(f"{row.feature} ({row.outside_pct:.0f} %)" for row in far.itertuples())
    return (
        "The policies were trained on another data set. Outside the range that training saw lie, "
        f"in percent of their inputs here (training left {usual:g} % out): {named}."
    )


def _inputs(source: DatasetSource, split: Split) -> Array:
    """[rows, F] of review days."""
    tiles = list(_some_tiles(source, split))
    scenarios = [source.open(split, tile)[1] for tile in tiles]
    rows = [s.features[::EVERY].flatten(0, 1)[s.review[::EVERY].flatten()] for s in scenarios]
    return np.concatenate([own.numpy().astype(np.float64) for own in rows])


def _categories(source: DatasetSource) -> np.ndarray[tuple[int], np.dtype[np.str_]]:
    column = source.panel.read_inventories(["category"]).column("category")
    return np.asarray(column.to_numpy(zero_copy_only=False)).astype(str)


def _some_tiles(source: DatasetSource, split: Split) -> Iterator[int]:
    count = source.num_tiles(split)
    yield from range(0, count, -(-count // TILES))
