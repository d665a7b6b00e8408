"""Progress of a sweep: one line when a trial ends or pauses, one a minute besides."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ray import tune

from envs.objective import DEFAULT_OBJECTIVE, objective_of
from pipeline.runs.result import RunResult


class SweepReporter(tune.Callback):
    """Prints how far the sweep is and what every trial came to; records trials that died.

    Args:
        left: Tells how many full trainings are yet to come; a trial up to a rung is a part of one.
        on_trial: Called with the folder of every trial that has ended.
    """

    def __init__(self, left: Callable[[], float], on_trial: Callable[[Path], None]) -> None:
        self._left = left
        self._whole = left()
        self._on_trial = on_trial
        self._start = self._said = time.monotonic()

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """At most once a minute: which trials run, and how far they are."""
        if time.monotonic() - self._said < 60:
            return
        running = ", ".join(
            f"{t.config['trial']['key']} {t.last_result.get(tune.result.TRAINING_ITERATION, 0)}"
            f"/{t.config['trial']['run']['iterations']}"
            for t in trials
            if t.status == "RUNNING"
        )
        self._say(f"running: {running}")

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """What the trial came to."""
        plan, folder = trial.config["trial"], _folder(trial)
        iterations = plan["run"]["iterations"]
        result = RunResult.read(folder)
        if result is not None:
            self._on_trial(folder)
        else:
            result = RunResult.at_checkpoint(folder)
        if result is None or result.failed:
            cause = result.cause if result else "no result was written"
            self._say(f"{plan['key']} did not finish: {cause}")
            return
        metric = objective_of(plan["run"].get("objective", DEFAULT_OBJECTIVE)).metric
        where = "" if result.iterations >= iterations else f" {result.iterations}/{iterations}"
        self._say(
            f"{plan['key']}{where} validation {metric} {result.validation[metric]:.4g} "
            f"({result.seconds:.0f} s)"
        )

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A trial whose process died for good is a failed one."""
        plan, folder = trial.config["trial"], _folder(trial)
        if RunResult.read(folder) is None:
            lines = str(trial.get_error() or "its process died").strip().splitlines()
            folder.mkdir(parents=True, exist_ok=True)
            RunResult("failed", cause=lines[-1]).write(folder)
        self._on_trial(folder)
        self._say(f"{plan['key']} failed; see {trial.error_file}")

    def _say(self, text: str) -> None:
        self._said = time.monotonic()
        left = self._left()
        done = self._whole - left
        rest = (self._said - self._start) * left / done if done > 0 else 0.0
        print(
            f"[{100 * max(0.0, done) / (self._whole or 1.0):.0f} %] {text}"
            + (f"; about {rest / 60:.0f} min left" if rest > 30 else ""),
            flush=True,
        )


def _folder(trial: Any) -> Path:
    return Path(trial.config["trial"]["directory"])
