"""Progress of a sweep on the terminal: one line when a trial ends, one a minute besides."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ray import tune

from pipeline.train import RunResult


class SweepReporter(tune.Callback):
    """Prints how far the sweep is and what every trial came to.

    Args:
        total: Trials of this round, those of earlier sessions included.
        done: Of them, finished before.
        on_trial: Called with the folder of every trial that has ended.
    """

    def __init__(self, total: int, done: int, on_trial: Callable[[Path], None]) -> None:
        self._total, self._done = total, done
        self._on_trial = on_trial
        self._start = self._said = time.monotonic()
        self._ended = 0

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """At most once a minute: which trials run, and how far they are."""
        if time.monotonic() - self._said < 60:
            return
        running = ", ".join(
            f"{t.config['trial']['key']} {t.last_result.get('iterations', 0)}"
            f"/{t.config['trial']['run']['iterations']}"
            for t in trials
            if t.status == "RUNNING"
        )
        self._say(f"running: {running}")

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """What the trial came to."""
        self._ended += 1
        folder = Path(trial.config["trial"]["directory"])
        result = RunResult.read(folder)
        self._on_trial(folder)
        if result is None or result.status != "finished":
            cause = result.cause if result else "no result was written"
            self._say(f"{trial.config['trial']['key']} did not finish: {cause}")
        else:
            self._say(
                f"{trial.config['trial']['key']} validation cost {result.validation['cost']:.4g} "
                f"({result.seconds:.0f} s)"
            )

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A trial that failed for good."""
        self._ended += 1
        self._say(f"{trial.config['trial']['key']} failed; see {trial.error_file}")

    def _say(self, text: str) -> None:
        self._said = time.monotonic()
        left = self._total - self._done - self._ended
        rest = (self._said - self._start) / max(self._ended, 1) * left
        print(
            f"[{self._done + self._ended}/{self._total}] {text}"
            + (f"; about {rest / 60:.0f} min left" if left and self._ended else ""),
            flush=True,
        )
