"""Rows of inventories, added up for the bootstrap: by groups of inventories, by blocks of days.

Beyond :data:`GROUPS` inventories, groups of them are drawn together: sums over thousands of
groups vary as sums over inventories do, and a million rows are read once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from envs.metrics import DAYS, SUMS, Array, Days, Over, additive, figures, parts

GROUPS = 20_000
"""Most groups of inventories; with G of them an interval's width is known within 1/sqrt(2G)."""
_CHUNK = 16_384
_COLUMNS = ("counted_days", "weight", "shortage_cost", "holding_cost")

Rows: TypeAlias = pa.Table | Path
"""A policy's rows per inventory, or the Parquet file that holds them."""


@dataclass(frozen=True)
class Margins:
    """A policy's sums, by group of inventories [G, parts] and by block of days [B, parts]."""

    inventories: Array
    blocks: Array

    @property
    def counted(self) -> NDArray[np.bool_]:
        """[B] the block holds counted days."""
        return self.blocks[:, parts().index((DAYS, Over.EACH_ONCE))] > 0

    @property
    def figures(self) -> Array:
        """[metrics] the policy's own."""
        return figures(self.blocks.sum(0))


class MarginSums:
    """Adds inventories up to :class:`Margins`; inventory i belongs to group i mod G.

    Args:
        total: Inventories that there will be.
        groups: G at most; None: :data:`GROUPS`.
    """

    def __init__(self, total: int, groups: int | None = None) -> None:
        most = GROUPS if groups is None else groups
        self._by_group = np.zeros((min(total, most), len(parts())))
        self._by_block: Array | None = None

    def add(self, part: Margins, first: int) -> None:
        """Adds the inventories from ``first`` on, each a group of its own in ``part``."""
        own, groups = part.inventories, len(self._by_group)
        group = (first + np.arange(len(own))) % groups
        for column in range(own.shape[1]):
            self._by_group[:, column] += np.bincount(group, own[:, column], groups)
        known = self._by_block
        self._by_block = part.blocks if known is None else known + part.blocks

    def margins(self) -> Margins:
        """Of what was added so far: something."""
        assert self._by_block is not None
        return Margins(self._by_group, self._by_block)


def margins(rows: Rows) -> Margins:
    """A policy's sums."""
    total = len(rows) if isinstance(rows, pa.Table) else pq.read_metadata(rows).num_rows
    sums, first = MarginSums(total), 0
    for chunk in _chunks(rows):
        sums.add(rows_margins(chunk), first)
        first += len(chunk)
    return sums.margins()


def rows_margins(chunk: pa.Table) -> Margins:
    """The sums of a few rows, every inventory by itself."""
    sums = _block_sums(chunk)
    return Margins(sums.sum(1), sums.sum(0))


def _block_sums(chunk: pa.Table) -> Array:
    """[n, B, parts] of :func:`~envs.metrics.additive`."""
    n = len(chunk)
    block = {
        name: chunk.column(f"block_{name}").combine_chunks().flatten().to_numpy().reshape(n, -1)
        for name in SUMS
    }
    days, weight, shortage, holding = (
        chunk.column(name).to_numpy().astype(np.float64)[:, None] for name in _COLUMNS
    )
    of_blocks = Days(**block, shortage_cost=shortage, holding_cost=holding)
    return np.stack(additive(of_blocks, days, weight), axis=-1).astype(np.float64)


def _chunks(rows: Rows) -> Iterator[pa.Table]:
    if isinstance(rows, pa.Table):
        for first in range(0, len(rows), _CHUNK):
            yield rows.slice(first, _CHUNK)
    else:
        names = [*_COLUMNS, *(f"block_{name}" for name in SUMS)]
        with pq.ParquetFile(rows) as file:
            for batch in file.iter_batches(_CHUNK, columns=names):
                yield pa.Table.from_batches([batch])
