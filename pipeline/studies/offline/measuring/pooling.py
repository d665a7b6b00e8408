"""One policy for the pool against policies trained on each of its data sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.data.pool import origin
from pipeline.evaluation.intervals import difference, sample_margins
from pipeline.evaluation.margins import Margins, margins
from pipeline.runs.method import Method
from pipeline.runs.sweep import Sweep
from pipeline.studies.offline.measuring.play import FIGURE, named, seed_files, with_figure

BEST = "best"
"""Row of the method that validated best, there and here: they may be different ones."""


def pool_table(pool: Sweep, alone: Mapping[str, Sweep]) -> pd.DataFrame:
    """A row per data set and method: what one policy for all costs more than the set's own.

    Columns: ``data``, ``name``, ``own`` and ``pooled`` (the objective's figure), ``figure_pct``
    (their difference in percent, with its interval over inventories, days and seeds).

    Args:
        pool: Trained on the pool.
        alone: Data set -> the sweep that was trained on it alone.
    """
    rows = []
    for data, own in alone.items():
        pairs = {m: (m, m) for m in seed_files(own) if m in seed_files(pool)}
        best = own.best(), pool.best()
        if best[0] is not None and best[1] is not None:
            pairs[Method(BEST)] = (best[0][0], best[1][0])
        for name, (of_own, of_pool) in pairs.items():
            drawn = sample_margins(
                {
                    "own": _sums(seed_files(own)[of_own]),
                    "pooled": _sums(seed_files(pool)[of_pool], data),
                },
                seed=0,
            )
            figures = {key: with_figure(found, pool.objective) for key, found in drawn.items()}
            than = difference(figures["pooled"], figures["own"], FIGURE, percent=True)
            row: dict[str, object] = {"data": data, "name": str(name)}
            row |= {key: found.value(FIGURE) for key, found in figures.items()}
            rows.append({**row, **named("figure_pct", than)})
    return pd.DataFrame(rows)


def _sums(files: Sequence[Path], data: str | None = None) -> list[Margins]:
    """Of every seed; of a data set's inventories alone, without the blocks that it lacks."""
    found = []
    for path in files:
        table = pq.read_table(path)
        if data is None:
            found.append(margins(table))
            continue
        mask = [origin(category) == data for category in table["category"].to_pylist()]
        own = margins(table.filter(pa.array(mask)))
        last = int(own.counted.nonzero()[0].max(initial=-1)) + 1
        found.append(Margins(own.inventories, own.blocks[:last]))
    return found
