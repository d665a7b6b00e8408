"""Synchronous successive halving of one method's configurations (Jamieson and Talwalkar 2016).

All configurations are trained to the first rung, the best go on to the second, and so on. Who
goes on follows from validation costs at the rung alone: not from who was there first, on how
many CPUs, or how often the sweep was interrupted. What has happened is read from the trials'
folders every time, so there is no state to keep or lose. Learning rates fall as if nobody
stopped: a trial that is stopped has simply not gone on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from pipeline.train import RunResult, read_history, stop_run
from tuning.trials import TrialPlan


@dataclass(frozen=True)
class Bracket:
    """One method's configurations and its rungs."""

    method: str
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
        alive = list(self.trials)
        for iteration, keep in self.rungs:
            if keep >= len(alive):
                continue
            waiting = [trial for trial in alive if not trial.reached(iteration)]
            if waiting:
                return [replace(trial, until=iteration) for trial in waiting]
            costs = [cost_at(trial.folder, iteration) for trial in alive]
            ranked = sorted(range(len(alive)), key=lambda i: (costs[i], i))
            kept = [i for i in ranked[:keep] if math.isfinite(costs[i])]
            stopped = [trial for i, trial in enumerate(alive) if i not in kept]
            alive = [alive[i] for i in sorted(kept)]
            self._stop(stopped, alive, iteration)
        return [trial for trial in alive if not trial.ended]

    def work(self) -> float:
        """Full trainings that the bracket comes to if none fails."""
        alive, before, total = len(self.trials), 0, 0.0
        for iteration, keep in self.rungs:
            if keep < alive:
                total += alive * (iteration - before) / self.trials[0].run.iterations
                alive, before = keep, iteration
        return total + alive * (1.0 - before / self.trials[0].run.iterations)

    def _stop(self, trials: list[TrialPlan], kept: list[TrialPlan], iteration: int) -> None:
        new = [trial for trial in trials if not trial.ended]
        for trial in new:
            stop_run(trial.folder, f"not among the best {len(kept)} at iteration {iteration}")
            self.on_stop(trial.folder)
        if new:
            names = ", ".join(trial.key.removeprefix(f"{self.method}-") for trial in kept) or "none"
            print(
                f"{self.method}: after iteration {iteration} of {trials[0].run.iterations} "
                f"{names} of {len(trials) + len(kept)} go on",
                flush=True,
            )


def cost_at(folder: Path, iteration: int) -> float:
    """Validation cost by which a trial is judged at a rung; infinite if it did not get there.

    The mean over the last third of its iterations: the least of many would be a lottery.
    """
    history = [line for line in read_history(folder) if line["iteration"] <= iteration]
    result = RunResult.read(folder)
    diverged = result is not None and result.status == "diverged" and result.iterations <= iteration
    if diverged or not history or history[-1]["iteration"] != iteration:
        return math.inf
    recent = [line["cost"] for line in history if 3 * line["iteration"] > 2 * iteration]
    cost = math.fsum(recent) / len(recent)
    return cost if math.isfinite(cost) else math.inf
