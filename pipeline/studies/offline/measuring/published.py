"""The layout of the published table: every method relative to DDPG BOTH on later days.

Published are DDPG and DS with four action models, on data that are not public; ours has PPO too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import pandas as pd

from envs.metrics import STOCKOUT_RATE, TURNOVER_TIME
from pipeline.evaluation.intervals import Sample, difference, interval
from pipeline.runs.method import REFERENCE, Method
from pipeline.studies.offline.measuring.play import FIGURE, named

STOCKOUTS, TURNOVER = STOCKOUT_RATE.name, TURNOVER_TIME.name


class Published(NamedTuple):
    """Relative to DDPG BOTH."""

    stockouts: float
    """Percentage points."""
    turnover: float
    """Days."""


PUBLISHED: Mapping[str, Published] = {
    "ddpg-none": Published(10.10, 6.13),
    "ddpg-base": Published(6.03, 6.46),
    "ddpg-coeff": Published(4.41, -0.41),
    REFERENCE: Published(0.0, 0.0),
    "ds-none": Published(2.10, -1.25),
    "ds-base": Published(2.18, -2.81),
    "ds-coeff": Published(1.74, 3.80),
    "ds-both": Published(1.91, 0.23),
}


def published_table(samples: Mapping[str, Sample]) -> pd.DataFrame:
    """A row per method (and the class-tuned baseline): its figures, and their differences.

    Columns: ``name``; ``stockouts`` (%), ``turnover`` (days) and ``figure`` (the objective's) with
    their intervals; ``stockouts_pp``, ``turnover_days`` and ``figure_pct`` relative to DDPG BOTH,
    with theirs; ``published_stockouts_pp`` and ``published_turnover_days``; ``seeds``.
    """
    rows = []
    for name, own in samples.items():
        row: dict[str, object] = {"name": name, "seeds": len(own.seeds)}
        row |= named("stockouts", interval(own, STOCKOUTS, high=100.0))
        row |= named("turnover", interval(own, TURNOVER))
        row |= named("figure", interval(own, FIGURE))
        if REFERENCE in samples:
            other = samples[REFERENCE]
            row |= named("stockouts_pp", difference(own, other, STOCKOUTS))
            row |= named("turnover_days", difference(own, other, TURNOVER))
            row |= named("figure_pct", difference(own, other, FIGURE, percent=True))
        if name in PUBLISHED:
            row["published_stockouts_pp"], row["published_turnover_days"] = PUBLISHED[name]
        rows.append(row)
    return pd.DataFrame(rows)


PAIRS: tuple[tuple[str, str], ...] = (
    *((name, REFERENCE) for name in PUBLISHED if name != REFERENCE),
    ("ddpg-none", "ds-none"),
    *((Method.of("ds", model), "ds-none") for model in ("base", "coeff", "both")),
    *((Method.of("ddpg", model), "ddpg-none") for model in ("base", "coeff")),
)
"""Differences that the published findings are about: the first minus the second."""


def pair_table(samples: Mapping[str, Sample]) -> pd.DataFrame:
    """A row per pair of :data:`PAIRS` that was played: ``first``, ``second``, the differences of
    stockout rates (percentage points) and turnover times (days), and their intervals."""
    rows = []
    for first, second in PAIRS:
        if first in samples and second in samples:
            own, other = samples[first], samples[second]
            row: dict[str, object] = {"first": str(first), "second": str(second)}
            row |= named("stockouts_pp", difference(own, other, STOCKOUTS))
            row |= named("turnover_days", difference(own, other, TURNOVER))
            rows.append(row)
    return pd.DataFrame(rows, columns=PAIR_COLUMNS)


PAIR_COLUMNS = [
    "first", "second",
    *(f"stockouts_pp{end}" for end in ("", "_low", "_high")),
    *(f"turnover_days{end}" for end in ("", "_low", "_high")),
]  # fmt: skip
