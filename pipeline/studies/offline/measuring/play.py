"""Plays the policies of sweeps on later days, and makes samples of what they leave."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from envs.metrics import Array
from envs.objective import Objective
from pipeline.baselines.base import PER_CLASS
from pipeline.evaluation.intervals import Interval, Sample, resample
from pipeline.evaluation.tiles import Candidate, evaluate_policies, model_candidate
from pipeline.runs.method import Method
from pipeline.runs.sweep import Sweep

FIGURE = "figure"
"""A sample's metric: what the objective makes of the others."""


def seed_files(sweep: Sweep) -> dict[Method, list[Path]]:
    """Method -> its seeds' rows on later days, as a comparison names them."""
    folder = sweep.directory / "evaluation"
    return {
        method: [folder / f"{key if number else method}.parquet" for number, key in enumerate(keys)]
        for method in sweep.selected
        if (keys := sweep.seeds(method))
    }


def play_selected(sweep: Sweep) -> None:
    """Plays every seed of the selected configurations on later days, without any baseline."""
    candidates: dict[Path, Candidate] = {}
    for method, files in seed_files(sweep).items():
        for path, key in zip(files, sweep.seeds(method), strict=True):
            candidates[path] = model_candidate(sweep.trial(key) / "model")
    if candidates:
        evaluate_policies(sweep.source(), "test", candidates)


def rows_of(sweep: Sweep) -> dict[str, list[Path]]:
    """:func:`seed_files`, and the class-tuned baseline if it was played."""
    rule = sweep.directory / "evaluation" / f"{PER_CLASS}.parquet"
    own: dict[str, list[Path]] = {str(name): files for name, files in seed_files(sweep).items()}
    return own | ({PER_CLASS: [rule]} if rule.exists() else {})


def samples(rows: Mapping[str, Sequence[Path]], objective: Objective) -> dict[str, Sample]:
    """What intervals are made of, with the objective's figure among the metrics.

    Args:
        rows: Name -> files of its seeds, all of the same inventories.
        objective: What they were trained for.
    """
    return {n: with_figure(own, objective) for n, own in resample(rows, seed=0).items()}


def with_figure(sample: Sample, objective: Objective) -> Sample:
    """A sample with the metric :data:`FIGURE`, less being better."""

    def wider(figures: Array) -> Array:
        by_name = {name: figures[:, place] for place, name in enumerate(sample.names)}
        found = objective.signed(objective.figure(by_name))  # type: ignore[arg-type]
        return np.column_stack((figures, np.asarray(found)))

    return replace(
        sample,
        seeds=wider(sample.seeds),
        by_inventory=wider(sample.by_inventory),
        by_block=wider(sample.by_block),
        names=[*sample.names, FIGURE],
    )


def named(stem: str, found: Interval) -> dict[str, float]:
    """Columns of a figure and its interval."""
    return {stem: found.value, f"{stem}_low": found.low, f"{stem}_high": found.high}


def read_interval(row: Mapping[str, float], stem: str) -> Interval:
    """The inverse of :func:`named`."""
    return Interval(*(float(row[name]) for name in (stem, f"{stem}_low", f"{stem}_high")))
