"""Plays runs on test trajectories; each run keeps its figures beside its model."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from envs.errors import DataError
from pipeline.evaluation.intervals import paired_difference
from pipeline.evaluation.trajectories import play
from pipeline.policies.store import POLICY, load_model
from pipeline.studies.synthetic.measuring.references import TestSet
from pipeline.tools.files import write_json
from pipeline.tools.spread import spread

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
    for task, _ in spread(_test, test, tasks):
        add(len(task))


def _is_tested(run: Path, stamp: str) -> bool:
    """On the same trajectories, and not trained again since."""
    path = run / TEST
    figures = json.loads(path.read_text()) if path.exists() else {}
    return figures.get("on") == stamp and figures.get("model") == _digest(run)


def _digest(run: Path) -> str:
    """Of the run's model; empty without one."""
    path = run / "model" / POLICY
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else ""


def _test(test: TestSet, runs: Sequence[Path]) -> None:
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
        write_json(run / TEST, figures)
