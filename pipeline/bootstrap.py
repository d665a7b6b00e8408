"""Intervals of metrics over inventories, in memory that does not grow with their number.

Every inventory enters a resample Poisson(1) times, the same number for all policies
(Chamandy et al. 2012, "Estimating uncertainty for massive data streams"). Beyond
:data:`GROUPS` inventories, groups of them are drawn together: sums over thousands of groups
vary as sums over inventories do, and a million rows are read once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline.evaluate import METRICS

RESAMPLES = 1000
"""Bootstrap resamples of the inventories."""
GROUPS = 20_000
"""Most groups of inventories; with G of them an interval's width is known within 1/sqrt(2G)."""
_CHUNK = 50_000

Rows: TypeAlias = pd.DataFrame | Path
"""A policy's rows per inventory, or the Parquet file that holds them."""


def bootstrap(rows: Mapping[str, Rows], seed: int) -> dict[str, dict[str, NDArray[np.float64]]]:
    """Estimate (entry 0) and resamples of every metric, paired over policies.

    Args:
        rows: Policy -> its rows; the same inventories in the same order for all.
        seed: Of the resampling.

    Returns:
        Policy -> metric -> [1 + RESAMPLES].
    """
    sums = np.stack([_group_sums(policy) for policy in rows.values()])
    groups = sums.shape[-1]
    columns = sums.reshape(-1, groups).T
    times = np.ones((RESAMPLES + 1, groups), dtype=np.float32)
    times[1:] = np.random.default_rng(seed).poisson(1.0, (RESAMPLES, groups))
    # Row blocks: a product in double without a copy of all draws in double.
    drawn = np.concatenate(
        [block.astype(np.float64) @ columns for block in np.array_split(times, 16)]
    )
    drawn = drawn.reshape(RESAMPLES + 1, len(rows), len(METRICS), 2)
    value, weight = drawn[..., 0], drawn[..., 1]
    figures = value / np.where(weight > 0, weight, np.nan)
    return {
        name: {metric: figures[:, p, m] for m, metric in enumerate(METRICS)}
        for p, name in enumerate(rows)
    }


def _group_sums(rows: Rows) -> NDArray[np.float64]:
    """[metrics, 2, G] weighted sum and sum of weights; inventory i belongs to group i mod G."""
    total = len(rows) if isinstance(rows, pd.DataFrame) else pq.read_metadata(rows).num_rows
    groups = min(total, GROUPS)
    sums = np.zeros((len(METRICS), 2, groups))
    first = 0
    for chunk in _chunks(rows):
        group = (first + np.arange(len(chunk))) % groups
        first += len(chunk)
        for m, metric in enumerate(METRICS):
            value = chunk[metric].to_numpy(np.float64)
            known = np.isfinite(value)
            # Money adds up; rates are weighted (see pipeline.evaluate.summarize).
            weight = known * (1.0 if metric == "cost" else chunk["weight"].to_numpy(np.float64))
            sums[m, 0] += np.bincount(group, np.where(known, value, 0.0) * weight, groups)
            sums[m, 1] += np.bincount(group, weight, groups)
    return sums


def _chunks(rows: Rows) -> Iterator[pd.DataFrame]:
    if isinstance(rows, pd.DataFrame):
        for first in range(0, len(rows), _CHUNK):
            yield rows.iloc[first : first + _CHUNK]
    else:
        with pq.ParquetFile(rows) as file:
            for batch in file.iter_batches(_CHUNK, columns=[*METRICS, "weight"]):
                yield batch.to_pandas()
