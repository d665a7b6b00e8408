"""Trains any number of runs with Ray Tune; what is trained already is left alone."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.tune.search import Searcher

from pipeline.runs.config import RunConfig
from pipeline.runs.result import RunResult
from pipeline.scenarios.source import ScenarioSource
from tuning.reporter import SweepReporter
from tuning.trial import MethodTrial

RETRIES = 2
"""Times that a trial is started again (from its checkpoint) when its process dies."""


Probe = Callable[[Any, Path], object]
"""Looks at a trained RLlib Algorithm; told the run's folder, to leave there what it has found."""


@dataclass(frozen=True)
class TrialPlan:
    """A run that is to be trained."""

    key: str
    """Its name among all that are trained together."""
    folder: Path
    """Where it is trained."""
    run: RunConfig
    source: str = ""
    """Which of the sources it is trained on."""
    probe: Probe | None = None
    """Called at the end, in the trial's process; can be pickled."""
    until: int | None = None
    """Iteration at which it is paused; None: it is trained to its end."""

    def parameters(self) -> dict[str, object]:
        """What the trial's process is told."""
        return {
            "key": self.key,
            "directory": str(self.folder),
            "run": self.run.model_dump(mode="json"),
            "source": self.source,
            "probe": self.probe,
            "until": self.until,
        }

    @property
    def ended(self) -> bool:
        """It has a result, whatever it is."""
        return RunResult.read(self.folder) is not None

    def reached(self, iteration: int) -> bool:
        """It has ended, or can go on from ``iteration`` or later."""
        return self.progress >= iteration

    @property
    def progress(self) -> int:
        """Iteration up to which it is trained for good; all of them if it has ended."""
        at = RunResult.at_checkpoint(self.folder)
        return self.run.iterations if self.ended else at.iterations if at else 0


Pending = Callable[[], Sequence[TrialPlan]]
"""What may be trained now, in the order in which it is to be started; empty at the end."""


def not_ended(trials: Sequence[TrialPlan]) -> Pending:
    """The trials of a fixed list that have no result yet."""
    return lambda: [trial for trial in trials if not trial.ended]


def remaining(trials: Iterable[TrialPlan]) -> float:
    """Full trainings that a fixed list of trials is yet to come to."""
    return sum(1.0 - trial.progress / trial.run.iterations for trial in trials)


def forget_failures(folders: Iterable[Path]) -> None:
    """Lets trials that failed or diverged be trained again, from their checkpoints."""
    for folder in folders:
        result = RunResult.read(folder)
        if result is not None and result.failed:
            (folder / "result.json").unlink()


class TrialQueue(Searcher):
    """Tells Tune what to train next, whenever a trial has ended.

    Not a list made beforehand: what is trained at all depends on how the others do. One
    Tune run for everything keeps its processes from first to last.
    """

    def __init__(self, pending: Pending) -> None:
        super().__init__()
        self._pending = pending
        self._next: list[TrialPlan] | None = None
        self._given: set[tuple[str, int | None]] = set()
        self._running: dict[str, str] = {}
        """Tune's id of a trial -> its key."""

    def suggest(self, trial_id: str) -> Any:
        """The next trial; None: none before another ends; FINISHED: none ever."""
        if self._next is None:
            self._next = [t for t in self._pending() if (t.key, t.until) not in self._given]
        # One that has just reached its rung may still be at work in its folder.
        busy = set(self._running.values())
        trial = next((trial for trial in self._next if trial.key not in busy), None)
        if trial is None:
            return None if self._running else Searcher.FINISHED
        self._next.remove(trial)
        self._given.add((trial.key, trial.until))
        self._running[trial_id] = trial.key
        return {"trial": trial.parameters()}

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Asks again what may be trained."""
        self._running.pop(trial_id, None)
        self._next = None

    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None:
        """Nothing to save: everything follows from the trials' folders."""


def train_trials(
    pending: Pending,
    sources: Mapping[str, ScenarioSource],
    directory: Path,
    *,
    left: Callable[[], float],
    on_trial: Callable[[Path], None] = lambda folder: None,
) -> None:
    """Trains all that is pending, as many at a time as there are CPUs.

    Args:
        pending: Asked whenever a trial has ended.
        sources: Name -> where inventories come from.
        directory: Ray Tune keeps its own files in ``directory/tune``.
        left: Tells how many full trainings are yet to come.
        on_trial: Called with the folder of every trial that has ended.

    Raises:
        KeyboardInterrupt: Trials were cut before they ended; the same call trains them.
    """
    first = pending()
    if not first:
        return
    print(f"sweep: {len(first)} trials to train", flush=True)
    # Tune would start its processes one after the other; more than the next few would fix an
    # order before it is known which trials go on.
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(max(2, int(_cpus() / 2)))
    tune.Tuner(
        tune.with_resources(
            tune.with_parameters(MethodTrial, sources=dict(sources)),
            MethodTrial.default_resource_request,
        ),
        tune_config=tune.TuneConfig(
            search_alg=TrialQueue(pending),
            num_samples=-1,
            reuse_actors=True,
            trial_name_creator=lambda trial: trial.config["trial"]["key"],
            trial_dirname_creator=lambda trial: trial.config["trial"]["key"],
        ),
        run_config=tune.RunConfig(
            name="tune",
            storage_path=str(directory),
            verbose=0,
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            failure_config=tune.FailureConfig(max_failures=RETRIES),
            callbacks=[SweepReporter(left, on_trial)],
        ),
    ).fit()
    # Tune swallows Ctrl-C. Trials that were cut or never started have no result, and are
    # trained by the next call.
    if pending():
        raise KeyboardInterrupt


def _cpus() -> float:
    return float(ray.cluster_resources().get("CPU", 1))
