"""Plays runs on test trajectories; each run keeps its figures beside its model."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import ray

from envs.errors import DataError
from pipeline.evaluation.intervals import paired_difference
from pipeline.evaluation.trajectories import play
from pipeline.policies.store import POLICY, load_model
from pipeline.studies.synthetic.measuring.references import TestSet

TEST = "test.json"
AT_A_TIME = 8
"""Runs of one task."""


def play_runs(runs: Sequence[Path], test: TestSet, add: Callable[[int], None]) -> None:
    """Writes ``test.json`` of every run that has a model and was not tested on these yet.

    Args:
        runs: Folders.
        test: What they are played on; spread over the Ray cluster if there is one.
        add: Called with the number of runs that are through.
    """
    waiting = [run for run in runs if not _is_tested(run, test.stamp)]
    add(len(runs) - len(waiting))
    tasks = [waiting[k : k + AT_A_TIME] for k in range(0, len(waiting), AT_A_TIME)]
    if not ray.is_initialized():
        for task in tasks:
            _test(task, test)
            add(len(task))
        return
    shared = ray.put(test)
    remote = ray.remote(num_cpus=1)(_test)
    left = {remote.remote(task, shared): len(task) for task in tasks}
    while left:
        (ready,), _ = ray.wait(list(left), num_returns=1)
        ray.get(ready)
        add(left.pop(ready))


def _is_tested(run: Path, stamp: str) -> bool:
    """On the same trajectories, and not trained again since."""
    path = run / TEST
    figures = json.loads(path.read_text()) if path.exists() else {}
    return figures.get("on") == stamp and figures.get("model") == _digest(run)


def _digest(run: Path) -> str:
    """Of the run's model; empty without one."""
    path = run / "model" / POLICY
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else ""


def _test(runs: Sequence[Path], test: TestSet) -> None:
    for run in runs:
        try:
            policy = load_model(run / "model").policy
        except DataError:  # it failed before its first validation: it has no figures
            continue
        cost = play(policy, test.scenario)["cost"].to_numpy(np.float64)
        gap = paired_difference(cost, test.reference)
        figures = {
            "on": test.stamp,
            "model": _digest(run),
            "cost": float(cost.mean()),
            "error": float(cost.std(ddof=1) / len(cost) ** 0.5),
            "gap_pct": gap.value, "gap_low": gap.low, "gap_high": gap.high,
        }  # fmt: skip
        partial = run / f"{TEST}.partial"
        partial.write_text(json.dumps(figures))
        os.replace(partial, run / TEST)
