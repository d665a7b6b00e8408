"""Intervals of metrics: over inventories, over blocks of days, and over seeds.

A figure would differ with other inventories of this kind, on other days, and if its method had
been trained with other seeds. Inventories and blocks of days are crossed (every inventory
lives through every block), so each is drawn with the other held fixed and the variances are
added; days of one block are drawn together, for a promotion or a warm week lasts. What neither
explains alone is counted twice: the intervals are a little too wide. The seeds' variance is
that of their own figures, divided by their number. Each part has its own quantile, Student's t
with n - 1 degrees of freedom for n seeds, blocks or groups, and the reaches are added as
variances are. (One quantile by Welch and Satterthwaite held the truth in 92.7 % of
simulations with two seeds.)

Every inventory enters a resample Poisson(1) times, the same number for all policies
(Chamandy et al. 2012, "Estimating uncertainty for massive data streams"). Beyond
:data:`GROUPS` inventories, groups of them are drawn together: sums over thousands of groups
vary as sums over inventories do, and a million rows are read once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from scipy import stats

from envs.objective import BLOCK_SUMS
from pipeline.evaluation.play import METRICS

RESAMPLES = 1000
"""Bootstrap resamples, of the inventories and of the blocks of days."""
GROUPS = 20_000
"""Most groups of inventories; with G of them an interval's width is known within 1/sqrt(2G)."""
FEWEST_BLOCKS = 6
"""Fewer blocks of days say nothing about other days: the interval leaves these as they are."""
CONFIDENCE = 0.95
_CHUNK = 16_384
_COLUMNS = ("counted_days", "weight", "shortage_cost", "holding_cost")
_SUMS = ("cost", "inventories", "stockouts", "weight", "stock", "sales", "demand")
_RATIOS = {
    "cost": ("cost", "inventories", 1.0),
    "stockout_rate_pct": ("stockouts", "weight", 100.0),
    "turnover_days": ("stock", "sales", 1.0),
    "fill_rate_pct": ("sales", "demand", 100.0),
}
"""Metric -> numerator, denominator, unit; of :func:`~pipeline.evaluation.play.summarize`."""

Array: TypeAlias = NDArray[np.float64]
Rows: TypeAlias = pa.Table | Path
"""A policy's rows per inventory, or the Parquet file that holds them."""
Scale = Literal["difference", "percent"]


class Interval(NamedTuple):
    """A figure and its interval; NaN where it is not known."""

    value: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Of a difference: it is told apart from none."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class Margins:
    """A policy's sums, by group of inventories [G, sums] and by block of days [B, sums]."""

    inventories: Array
    blocks: Array


@dataclass(frozen=True)
class Sample:
    """A row of the comparison: the mean over a method's seeds, and how it varies."""

    seeds: Array
    """[seeds, metrics] each seed's figures."""
    by_inventory: Array
    """[RESAMPLES, metrics] the row with other inventories."""
    by_block: Array
    """[RESAMPLES, metrics] the row with other blocks of days."""
    groups: int
    blocks: int
    """Blocks that hold counted days."""

    def value(self, metric: str) -> float:
        """The row's figure: the mean over its seeds."""
        return float(self.seeds[:, METRICS.index(metric)].mean())

    @property
    def inventories_vary(self) -> bool:
        """Whether intervals hold other inventories: a single one says nothing about others."""
        return self.groups > 1

    @property
    def days_vary(self) -> bool:
        """Whether there are blocks enough for intervals to hold other days."""
        return self.blocks >= FEWEST_BLOCKS

    def note(self, *, learned: bool) -> str:
        """What the row's intervals hold."""
        held = ["inventories"] * self.inventories_vary
        held += [f"{self.blocks} blocks of days"] * self.days_vary
        held += [f"{len(self.seeds)} seeds"] * (learned and len(self.seeds) > 1)
        lacks = ["one seed, so other seeds are not in it"] * (learned and len(self.seeds) == 1)
        if not self.inventories_vary:
            lacks.append("conditional on the one inventory")
        if not self.days_vary:
            lacks.append(f"conditional on these days ({self.blocks} blocks)")
        return "; ".join([", ".join(held) or "no interval", *lacks])


def interval(own: Sample, metric: str, *, low: float = 0.0, high: float = np.inf) -> Interval:
    """A row's figure with its interval, kept within [low, high]."""
    m = METRICS.index(metric)
    parts = _parts(own, own.by_inventory[:, m], own.by_block[:, m])
    parts += _seed_part(own, m, 1.0)
    value, least, most = _student(own.value(metric), parts, 1)
    return Interval(value, max(least, low), min(most, high))


def difference(
    own: Sample, other: Sample, metric: str, scale: Scale = "difference", *, among: int = 1
) -> Interval:
    """How a row differs from another on the same inventories and days, with its interval.

    Args:
        own, other: The rows.
        metric: Of :data:`~pipeline.evaluation.play.METRICS`.
        scale: In the metric's unit, or in percent of the other's (NaN where that is 0).
        among: Differences that are looked at together: the intervals of all of them hold
            with 95 % (Bonferroni).
    """
    m = METRICS.index(metric)
    if own is other:
        return Interval(0.0, 0.0, 0.0)

    mine, yours = own.value(metric), other.value(metric)
    if scale == "percent" and yours == 0:
        return Interval(float("nan"), float("nan"), float("nan"))

    def compared(mine: Array, yours: Array) -> Array:
        if scale == "difference":
            return mine - yours
        return 100.0 * (mine / np.where(yours == 0, np.nan, yours) - 1.0)

    parts = _parts(
        own,
        compared(own.by_inventory[:, m], other.by_inventory[:, m]),
        compared(own.by_block[:, m], other.by_block[:, m]),
    )
    slope = 1.0 if scale == "difference" else 100.0 / yours
    parts += _seed_part(own, m, slope)
    parts += _seed_part(other, m, slope if scale == "difference" else slope * mine / yours)
    return _student(float(compared(np.array(mine), np.array(yours))), parts, among)


def _parts(sample: Sample, by_inventory: Array, by_block: Array) -> list[tuple[float, int]]:
    """Variances and degrees of freedom of what is drawn."""
    parts = []
    if sample.inventories_vary:
        parts.append((_variance(by_inventory), sample.groups - 1))
    if sample.days_vary:
        # Of B blocks drawn with replacement the mean varies (B - 1) / B as much as it should.
        unbiased = sample.blocks / (sample.blocks - 1)
        parts.append((unbiased * _variance(by_block), sample.blocks - 1))
    return parts


def _variance(drawn: Array) -> float:
    """A few inventories may all be left out of a resample, which then has no figures."""
    known = drawn[np.isfinite(drawn)]
    return float(known.var()) if len(known) > 1 else float("nan")


def _seed_part(sample: Sample, metric: int, slope: float) -> list[tuple[float, int]]:
    figures = sample.seeds[:, metric]
    if len(figures) < 2:
        return []
    return [(slope**2 * float(figures.var(ddof=1)) / len(figures), len(figures) - 1)]


def _student(value: float, parts: Sequence[tuple[float, int]], among: int) -> Interval:
    """NaN where nothing varies: no figure would be as sure as that."""
    if not parts:
        return Interval(value, float("nan"), float("nan"))
    tail = (1.0 - CONFIDENCE) / (2 * among)
    squared = sum(
        variance * float(stats.t.ppf(1.0 - tail, max(freedom, 1))) ** 2
        for variance, freedom in parts
    )
    reach = float(np.sqrt(squared))
    return Interval(value, value - reach, value + reach)


def resample(rows: Mapping[str, Sequence[Rows]], seed: int) -> dict[str, Sample]:
    """Draws inventories and blocks of days, the same for all policies.

    Args:
        rows: Name -> the rows of each of its seeds; the same inventories in the same order
            and the same days for all.
        seed: Of the resampling.
    """
    return sample_margins({n: [margins(seed_) for seed_ in own] for n, own in rows.items()}, seed)


def sample_margins(rows: Mapping[str, Sequence[Margins]], seed: int) -> dict[str, Sample]:
    """:func:`resample` of sums."""
    policies = [policy for own in rows.values() for policy in own]
    generator = np.random.default_rng(seed)
    groups = len(policies[0].inventories)
    columns = np.concatenate([policy.inventories for policy in policies], axis=1)
    by_inventory = np.concatenate(
        [
            # A piece at a time: never all draws in double.
            generator.poisson(1.0, (piece, groups)).astype(np.float64) @ columns
            for piece in _even(RESAMPLES, 16)
        ]
    )
    counted = policies[0].blocks[:, _SUMS.index("inventories")] > 0
    blocks = int(counted.sum())
    columns = np.concatenate([policy.blocks[counted] for policy in policies], axis=1)
    by_block = np.full((RESAMPLES, columns.shape[1]), np.nan)
    if blocks:
        drawn = generator.multinomial(blocks, np.full(blocks, 1.0 / blocks), RESAMPLES)
        by_block = drawn.astype(np.float64) @ columns
    shape = (RESAMPLES, len(policies), len(_SUMS))
    inventory_figures, block_figures = (
        _figures(sums.reshape(shape)) for sums in (by_inventory, by_block)
    )
    samples, first = {}, 0
    for name, own in rows.items():
        of = slice(first, first + len(own))
        first += len(own)
        samples[name] = Sample(
            np.stack([_figures(policy.blocks.sum(0)) for policy in own]),
            inventory_figures[:, of].mean(1),
            block_figures[:, of].mean(1),
            groups,
            blocks,
        )
    return samples


def _even(total: int, parts: int) -> list[int]:
    return [len(part) for part in np.array_split(np.arange(total), parts) if len(part)]


def _figures(sums: Array) -> Array:
    """[..., sums] to [..., metrics]."""
    columns = []
    for metric in METRICS:
        above, below, unit = _RATIOS[metric]
        by = sums[..., _SUMS.index(below)]
        columns.append(unit * sums[..., _SUMS.index(above)] / np.where(by > 0, by, np.nan))
    return np.stack(columns, axis=-1)


def margins(rows: Rows) -> Margins:
    """A policy's sums; inventory i belongs to group i mod G."""
    total = len(rows) if isinstance(rows, pa.Table) else pq.read_metadata(rows).num_rows
    groups = min(total, GROUPS)
    by_group = np.zeros((groups, len(_SUMS)))
    by_block: Array | None = None
    first = 0
    for chunk in _chunks(rows):
        sums = _block_sums(chunk)  # [n, B, sums]
        group = (first + np.arange(len(chunk))) % groups
        first += len(chunk)
        own = sums.sum(1)
        for column in range(len(_SUMS)):
            by_group[:, column] += np.bincount(group, own[:, column], groups)
        by_block = sums.sum(0) if by_block is None else by_block + sums.sum(0)
    assert by_block is not None
    return Margins(by_group, by_block)


def _block_sums(chunk: pa.Table) -> Array:
    """[n, B, sums] of :data:`_SUMS`.

    Money adds up and rates are weighted (see :func:`pipeline.evaluation.play.summarize`): an
    inventory's days have the weight of 1, or of its own, between them.
    """
    n = len(chunk)
    block = {
        name: chunk.column(f"block_{name}").combine_chunks().flatten().to_numpy().reshape(n, -1)
        for name in BLOCK_SUMS
    }
    days, weight, shortage, holding = (
        chunk.column(name).to_numpy().astype(np.float64)[:, None] for name in _COLUMNS
    )
    share = np.divide(1.0, days, out=np.zeros_like(days), where=days > 0)
    sums = {
        "cost": share * (shortage * block["unmet"] + holding * block["stock"]),
        "inventories": share * block["days"],
        "stockouts": weight * share * block["stockout_days"],
        "weight": weight * share * block["days"],
        "stock": block["stock"],
        "sales": block["sales"],
        "demand": block["demand"],
    }
    return np.stack([sums[name] for name in _SUMS], axis=-1).astype(np.float64)


def _chunks(rows: Rows) -> Iterator[pa.Table]:
    if isinstance(rows, pa.Table):
        for first in range(0, len(rows), _CHUNK):
            yield rows.slice(first, _CHUNK)
    else:
        names = [*_COLUMNS, *(f"block_{name}" for name in BLOCK_SUMS)]
        with pq.ParquetFile(rows) as file:
            for batch in file.iter_batches(_CHUNK, columns=names):
                yield pa.Table.from_batches([batch])
