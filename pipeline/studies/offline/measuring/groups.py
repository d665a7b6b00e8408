"""Later days by sales class, by category, by lead time, and in a pool by data set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from envs.metrics import COST
from pipeline.baselines.base import PER_CLASS
from pipeline.data.pool import origin
from pipeline.data.schema import SALES_CLASSES
from pipeline.evaluation.intervals import Sample, difference, interval, sample_margins
from pipeline.evaluation.margins import Margins, MarginSums, rows_margins
from pipeline.runs.method import REFERENCE
from pipeline.studies.offline.measuring.play import named
from pipeline.studies.offline.measuring.published import STOCKOUTS, TURNOVER

LEAD_TIMES = ((0, 2), (3, 5), (6, 9), (10, 99))
"""Days, both ends included."""
DRAWN_TOGETHER = 2_000
"""Most groups of inventories that intervals draw: the sums of all files are held at once."""
Group: TypeAlias = tuple[str, str]
"""What inventories are told apart by, and which of them these are."""


def groups_of(rows: pa.Table, *, pooled: bool) -> dict[Group, pa.Array]:
    """Group -> mask of its inventories; groups without any are left out.

    Args:
        rows: Of an evaluation.
        pooled: The data are a pool, whose categories begin with their data set.
    """
    found = dict(_masks(rows, pooled))
    return {group: mask for group, mask in found.items() if pc.any(mask).as_py()}


def _masks(rows: pa.Table, pooled: bool) -> Iterator[tuple[Group, pa.Array]]:
    for name in SALES_CLASSES:
        yield ("sales class", name), pc.equal(rows["sales_class"], name)
    categories = np.asarray(rows["category"].to_numpy()).astype(str)
    if pooled:
        sets = np.asarray([origin(category) for category in categories])
        for name in np.unique(sets):
            yield ("data set", str(name)), pa.array(sets == name)
    for name in np.unique(categories):
        yield ("category", str(name)), pa.array(categories == name)
    for low, high in LEAD_TIMES:
        lead = rows["lead_time"]
        within = pc.and_(pc.greater_equal(lead, low), pc.less_equal(lead, high))
        yield ("lead time", f"{low} to {high} days" if high < 99 else f"{low} days or more"), within


def group_table(rows: Mapping[str, Sequence[Path]], *, pooled: bool) -> pd.DataFrame:
    """A row per group and policy.

    Columns: ``by``, ``group``, ``inventories``, ``name``; ``stockouts`` (%), ``turnover`` (days),
    ``cost``; ``stockouts_pp`` and ``turnover_days`` relative to DDPG BOTH and ``cost_pct`` to the
    class-tuned baseline, each with its interval, where these were played.
    """
    sums: dict[Group, dict[str, list[Margins]]] = {}
    sizes: dict[Group, int] = {}
    for name, files in rows.items():
        for path in files:
            table = pq.read_table(path)
            for group, mask in groups_of(table, pooled=pooled).items():
                own = table.filter(mask)
                sizes[group] = len(own)
                sums.setdefault(group, {}).setdefault(name, []).append(_sums(own))
    found = []
    for group, by_name in sums.items():
        drawn = sample_margins(by_name, seed=0)
        for name in drawn:
            head = {"by": group[0], "group": group[1], "inventories": sizes[group], "name": name}
            found.append({**head, **_row(drawn, name)})
    return pd.DataFrame(found)


def _sums(rows: pa.Table) -> Margins:
    sums = MarginSums(len(rows), DRAWN_TOGETHER)
    sums.add(rows_margins(rows), 0)
    return sums.margins()


def _row(drawn: Mapping[str, Sample], name: str) -> dict[str, float]:
    own = drawn[name]
    row = {
        "stockouts": interval(own, STOCKOUTS).value,
        "turnover": interval(own, TURNOVER).value,
        "cost": interval(own, COST.name).value,
    }
    if REFERENCE in drawn:
        row |= named("stockouts_pp", difference(own, drawn[REFERENCE], STOCKOUTS))
        row |= named("turnover_days", difference(own, drawn[REFERENCE], TURNOVER))
    if PER_CLASS in drawn:
        row |= named("cost_pct", difference(own, drawn[PER_CLASS], COST.name, percent=True))
    return row
