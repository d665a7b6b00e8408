"""Stock against service: what a policy holds at every trade-off, not at one.

A policy is played with shortages weighed by a row of factors. What it then holds and misses is a
curve; two policies are compared along it: turnover time at the same stockout rate (or the same
unfilled share of demand), and its mean over stockout rates of 1 to 10 %.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import pandas as pd

from envs.metrics import FILL_RATE, METRICS, STOCKOUT_RATE, TURNOVER_TIME, Array, metric_names
from pipeline.evaluation.intervals import Interval, Sample, difference, interval, sample_margins
from pipeline.evaluation.margins import Margins, MarginSums, rows_margins
from pipeline.evaluation.play import PolicyFor, evaluate_tile
from pipeline.scenarios.dataset import DatasetSource
from pipeline.scenarios.source import Split
from pipeline.tools.files import beside
from pipeline.tools.progress import Progress
from pipeline.tools.spread import spread

FACTORS = tuple(float(f"{factor:.3g}") for factor in np.geomspace(0.01, 10.0, 13))
"""What shortages are weighed by."""
MOST_TILES = 16
"""Some 30,000 inventories settle a curve."""
GROUPS = 4_000
"""Of inventories that are drawn together."""
STOCKOUT_LEVELS = (1.0, 2.0, 3.0, 5.0, 10.0)
"""Percent of days, at which turnover times are compared."""
UNFILLED_LEVELS = (1.0, 2.0, 5.0)
"""Percent of demand, likewise."""
MEAN_LEVELS = np.geomspace(1.0, 10.0, 21)
"""Percent of days, over which curves are averaged."""
MEAN = "1-10"
"""The level of that average."""
_TURNOVER, _STOCKOUTS, _FILL = (
    metric_names().index(metric.name) for metric in (TURNOVER_TIME, STOCKOUT_RATE, FILL_RATE)
)


class Adjustable(Protocol):
    """A policy whose trade-off can be turned; can be pickled."""

    @property
    def mark(self) -> str:
        """Tells it from others of its name."""

    def at(self, factor: float) -> PolicyFor:
        """It, with shortages that count ``factor`` times."""


class _Work(NamedTuple):
    source: DatasetSource
    split: Split
    policies: Mapping[str, Adjustable]
    factors: Sequence[float]
    tiles: Sequence[int]


@dataclass(frozen=True)
class Curve:
    """Sums of one policy at every factor."""

    factors: Array
    """[F], ascending."""
    margins: Sequence[Margins]
    """[F]."""

    @property
    def figures(self) -> Array:
        """[F, metrics]."""
        return np.stack([each.figures for each in self.margins])


def play_curves(
    source: DatasetSource,
    split: Split,
    policies: Mapping[str, Adjustable],
    folder: Path,
    factors: Sequence[float] = FACTORS,
    most_tiles: int = MOST_TILES,
) -> dict[str, Curve]:
    """Every policy at every factor; ``folder/<name>.npz`` keeps each curve.

    Args:
        source: The data set.
        split: Its inventories and days.
        policies: Name -> policy.
        folder: What is there already, of the same policies and data, is not played again.
        factors: Ascending.
        most_tiles: That are played, evenly spread.
    """
    count = source.num_tiles(split)
    work = _Work(source, split, policies, factors, range(0, count, -(-count // most_tiles)))
    marks = {name: _mark(work, policy) for name, policy in policies.items()}
    found = {name: _read(folder / f"{name}.npz", mark) for name, mark in marks.items()}
    missing = {name: policy for name, policy in policies.items() if found[name] is None}
    if missing:
        for name, curve in _played(work._replace(policies=missing)).items():
            _write(folder / f"{name}.npz", curve, marks[name])
            found[name] = curve
    return {name: curve for name, curve in found.items() if curve is not None}


def _played(work: _Work) -> dict[str, Curve]:
    tiles = work.tiles
    progress = Progress(f"frontiers of {len(work.policies)} policies", len(tiles), "tiles")
    ends = np.cumsum([work.source.rows(work.split, tile) for tile in tiles])
    first = dict(zip(tiles, [0, *ends[:-1].tolist()], strict=True))
    total = int(ends[-1])
    sums = {name: [MarginSums(total, GROUPS) for _ in work.factors] for name in work.policies}
    for tile, played in spread(_of_tile, work, list(tiles)):
        for name, by_factor in played.items():
            for own, found in zip(sums[name], by_factor, strict=True):
                own.add(found, first[tile])
        progress.add(1)
    factors = np.asarray(work.factors)
    return {name: Curve(factors, [own.margins() for own in by]) for name, by in sums.items()}


def _of_tile(work: _Work, tile: int) -> dict[str, list[Margins]]:
    """Policy -> sums at every factor."""
    raw, scenario = work.source.open(work.split, tile)
    longest = work.source.num_days(work.split)[1]
    return {
        name: [
            rows_margins(evaluate_tile(raw, scenario, policy.at(factor), longest))
            for factor in work.factors
        ]
        for name, policy in work.policies.items()
    }


def _mark(work: _Work, policy: Adjustable) -> str:
    content = [
        work.source.panel.manifest.model_dump_json(), json.dumps(asdict(work.source.factors)),
        work.split, list(work.factors), list(work.tiles), policy.mark,
    ]  # fmt: skip
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]


def _read(path: Path, mark: str) -> Curve | None:
    try:
        with np.load(path) as kept:
            if str(kept["mark"]) != mark:
                return None
            pairs = zip(kept["inventories"], kept["blocks"], strict=True)
            return Curve(kept["factors"], [Margins(*pair) for pair in pairs])
    except (OSError, ValueError, KeyError, EOFError):
        return None


def _write(path: Path, curve: Curve, mark: str) -> None:
    with beside(path) as partial, partial.open("wb") as file:
        np.savez_compressed(
            file,
            mark=mark,
            factors=curve.factors,
            inventories=np.stack([each.inventories for each in curve.margins]).astype(np.float32),
            blocks=np.stack([each.blocks for each in curve.margins]),
        )


def turnover_at(figures: Array, level: float, *, unfilled: bool = False) -> Array:
    """Turnover time [...] where a curve passes a level; NaN where it does not.

    Between two factors the turnover is linear in the logarithm of what is missed.

    Args:
        figures: [..., F, metrics], factors ascending.
        level: Percent of days without stock.
        unfilled: Percent of demand that is not filled instead.
    """
    missed = 100.0 - figures[..., _FILL] if unfilled else figures[..., _STOCKOUTS]
    missed = np.log(np.maximum(missed, 1e-3))
    goal, turnover = np.log(level), figures[..., _TURNOVER]
    passes = (missed[..., :-1] >= goal) & (missed[..., 1:] < goal)
    at = passes.argmax(-1)[..., None]

    def ends(values: Array) -> tuple[Array, Array]:
        low, high = (np.take_along_axis(values, at + i, -1)[..., 0] for i in (0, 1))
        return low, high

    (more, less), (start, stop) = ends(missed), ends(turnover)
    share = (more - goal) / np.where(more > less, more - less, 1.0)
    return np.where(passes.any(-1), start + share * (stop - start), np.nan)


def mean_turnover(figures: Array) -> Array:
    """[...] geometric mean of the turnover times at stockout rates of 1 to 10 %."""
    along = np.stack([turnover_at(figures, level) for level in MEAN_LEVELS])
    result: Array = np.exp(np.log(along).mean(0))
    return result


def at_levels(figures: Array) -> dict[str, Array]:
    """Name -> turnover times [...] of curves [..., F, metrics]; one number for all, last."""
    stockouts = {f"stockout {x:g} %": turnover_at(figures, x) for x in STOCKOUT_LEVELS}
    fill = {f"fill {100 - x:g} %": turnover_at(figures, x, unfilled=True) for x in UNFILLED_LEVELS}
    return stockouts | fill | {f"stockout {MEAN} %": mean_turnover(figures)}


def curve_samples(curves: Mapping[str, Sequence[Curve]], seed: int) -> dict[str, Sample]:
    """Turnover times of :func:`at_levels`, each a metric, with what intervals are made of.

    Args:
        curves: Name -> the curves of each of its seeds; same inventories, days and factors.
        seed: Of the resampling, the same draws for all.
    """
    flat = {
        f"{name} {place}": [own.margins[place] for own in seeds]
        for name, seeds in curves.items()
        for place in range(len(seeds[0].factors))
    }
    samples = sample_margins(flat, seed)
    result = {}
    for name, seeds in curves.items():
        along = [samples[f"{name} {place}"] for place in range(len(seeds[0].factors))]
        figures = {
            part: np.stack([getattr(sample, part) for sample in along], axis=1)
            for part in ("seeds", "by_inventory", "by_block")
        }
        found = {part: at_levels(values) for part, values in figures.items()}
        result[name] = Sample(
            **{part: np.stack([*levels.values()], axis=-1) for part, levels in found.items()},
            groups=along[0].groups,
            blocks=along[0].blocks,
            names=list(found["seeds"]),
        )
    return result


def curve_table(curves: Mapping[str, Sequence[Curve]]) -> pd.DataFrame:
    """``frontier.csv``: a row per policy and factor, all metrics, the mean over seeds."""
    rows = []
    for name, seeds in curves.items():
        mean = np.mean([own.figures for own in seeds], axis=0)
        for factor, figures in zip(seeds[0].factors, mean, strict=True):
            found = {m.name: float(x) for m, x in zip(METRICS, figures, strict=True)}
            rows.append({"name": name, "factor": float(factor), **found})
    return pd.DataFrame(rows)


def level_table(samples: Mapping[str, Sample], reference: str) -> pd.DataFrame:
    """``frontier_levels.csv``: turnover time of every policy at every level, with intervals.

    Args:
        samples: Of :func:`curve_samples`.
        reference: Whom ``pct_vs_baseline`` compares with.
    """
    rows: list[dict[str, object]] = []
    for name, own in samples.items():
        for level in own.names:
            found = interval(own, level)
            than = difference(own, samples[reference], level, percent=True)
            ends = _with_ends("turnover_days", found) | _with_ends("pct_vs_baseline", than)
            rows.append({"name": name, "level": level, **ends})
    return pd.DataFrame(rows)


def _with_ends(stem: str, found: Interval) -> dict[str, float]:
    return {stem: found.value, f"{stem}_low": found.low, f"{stem}_high": found.high}
