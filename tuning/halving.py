"""Synchronous successive halving of one method's configurations (Jamieson and Talwalkar 2016).

All configurations are trained to the first rung, the best go on to the second, and so on. Who
goes on follows from validation at the rung alone: not from who was there first, on how
many CPUs, or how often the sweep was interrupted. What has happened is read from the trials'
folders every time, so there is no state to keep or lose. Learning rates fall as if nobody
stopped: a trial that is stopped has simply not gone on.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from envs.objective import Objective, objective_of
from pipeline.runs.method import Method, TrialKey
from pipeline.runs.result import RunResult, read_history, stop_run
from tuning.trials import TrialPlan


@dataclass(frozen=True)
class Bracket:
    """One method's configurations and its rungs."""

    method: Method
    trials: Sequence[TrialPlan]
    """Ties go to the earlier one."""
    rungs: Sequence[tuple[int, int]] = ()
    """(iteration, how many go on), the earliest first."""
    on_stop: Callable[[Path], None] = field(default=lambda folder: None)
    """Called with the folder of every trial that is stopped."""

    def pending(self) -> list[TrialPlan]:
        """What may be trained now; stops trials where all others are there to be compared.

        Empty once every trial has ended.
        """
        stage = self._stage()
        for stopped, kept, iteration in stage.decided:
            self._stop(stopped, kept, iteration)
        until = stage.open[0][0] if stage.open else None
        return [replace(trial, until=until) for trial in stage.waiting]

    def remaining(self) -> float:
        """Full trainings that are yet to come, if none fails."""
        stage = self._stage()
        whole = self.trials[0].run.iterations
        before = stage.open[0][0] if stage.open else whole
        left = float(sum(max(0, before - trial.progress) for trial in stage.waiting))
        for (iteration, keep), after in itertools.pairwise([*stage.open, (whole, 0)]):
            left += keep * (after[0] - iteration)
        return left / whole

    def _stage(self) -> _Stage:
        alive = list(self.trials)
        decided: list[tuple[list[TrialPlan], list[TrialPlan], int]] = []
        rungs = list(self.rungs)
        while rungs:
            iteration, keep = rungs[0]
            if keep < len(alive):
                waiting = [trial for trial in alive if not trial.reached(iteration)]
                if waiting:
                    return _Stage(decided, waiting, rungs)
                kept = _best(alive, iteration, keep)
                decided.append(([t for t in alive if t not in kept], kept, iteration))
                alive = kept
            del rungs[0]
        return _Stage(decided, [trial for trial in alive if not trial.ended], [])

    def _stop(self, trials: list[TrialPlan], kept: list[TrialPlan], iteration: int) -> None:
        new = [trial for trial in trials if not trial.ended]
        for trial in new:
            stop_run(trial.folder, f"not among the best {len(kept)} at iteration {iteration}")
            self.on_stop(trial.folder)
        if new:
            keys = [TrialKey.parse(trial.folder.name) for trial in kept]
            names = ", ".join(key.within_method for key in keys) or "none"
            print(
                f"{self.method}: after iteration {iteration} of {trials[0].run.iterations} "
                f"{names} of {len(trials) + len(kept)} go on",
                flush=True,
            )


@dataclass(frozen=True)
class _Stage:
    """Where a bracket stands."""

    decided: list[tuple[list[TrialPlan], list[TrialPlan], int]]
    """Of every rung that is behind: who is stopped, who goes on, the iteration."""
    waiting: list[TrialPlan]
    """Who is yet to reach the next rung, or the end."""
    open: list[tuple[int, int]]
    """The rungs that are ahead."""


def _best(trials: list[TrialPlan], iteration: int, keep: int) -> list[TrialPlan]:
    """Of trials that have all reached a rung, the best that did not fail, in their order."""
    values = [
        value_at(trial.folder, iteration, objective_of(trial.run.objective)) for trial in trials
    ]
    ranked = sorted(range(len(trials)), key=lambda i: (values[i], i))
    kept = sorted(i for i in ranked[:keep] if math.isfinite(values[i]))
    return [trials[i] for i in kept]


def value_at(folder: Path, iteration: int, objective: Objective) -> float:
    """What a trial is judged by at a rung, less being better; infinite if it did not get there.

    The objective's figure, a mean over the last third of its iterations: the best of many would
    be a lottery.
    """
    history = [line for line in read_history(folder) if line["iteration"] <= iteration]
    result = RunResult.read(folder)
    diverged = result is not None and result.status == "diverged" and result.iterations <= iteration
    if diverged or not history or history[-1]["iteration"] != iteration:
        return math.inf
    name = objective.metric
    recent = [line[name] for line in history if 3 * line["iteration"] > 2 * iteration]
    value = objective.signed(math.fsum(recent) / len(recent))
    return value if math.isfinite(value) else math.inf
