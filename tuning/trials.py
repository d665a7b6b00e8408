"""Trains any number of runs with Ray Tune; what is trained already is left alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ray import tune

from pipeline.config import RunConfig
from pipeline.sources import ScenarioSource
from pipeline.train import RunResult
from tuning.reporter import SweepReporter
from tuning.trial import MethodTrial

RETRIES = 2
"""Times that a trial is started again (from its checkpoint) when its process dies."""


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
    probe: str = ""
    """Setting of the study on whose trajectories the critic is tested at the end; or none."""

    def parameters(self) -> dict[str, object]:
        """What the trial's process is told."""
        return {
            "key": self.key,
            "directory": str(self.folder),
            "run": self.run.model_dump(mode="json"),
            "source": self.source,
            "probe": self.probe,
        }


def train_trials(
    trials: Sequence[TrialPlan],
    sources: Mapping[str, ScenarioSource],
    directory: Path,
    *,
    retry_failed: bool = False,
    on_trial: Callable[[Path], None] = lambda folder: None,
) -> None:
    """Trains the trials that have no result yet, as many at a time as there are CPUs.

    Args:
        trials: In the order in which they are started.
        sources: Name -> where inventories come from.
        directory: Ray Tune keeps its own files in ``directory/tune``.
        retry_failed: Forget failed and diverged trials of earlier sessions.
        on_trial: Called with the folder of every trial that has ended.

    Raises:
        KeyboardInterrupt: Trials were cut before they ended; the same call trains them.
    """
    pending: list[dict[str, object]] = []
    for trial in trials:
        result = RunResult.read(trial.folder)
        if result is not None and retry_failed and result.status != "finished":
            (trial.folder / "result.json").unlink()
            result = None
        if result is None:
            pending.append(trial.parameters())
    if not pending:
        return
    done = len(trials) - len(pending)
    print(
        f"sweep: {len(pending)} trials to train"
        + (f", {done} of {len(trials)} are trained already" if done else ""),
        flush=True,
    )
    tuner = tune.Tuner(
        tune.with_resources(
            tune.with_parameters(MethodTrial, sources=dict(sources)),
            MethodTrial.default_resource_request,
        ),
        param_space={"trial": tune.grid_search(pending)},
        tune_config=tune.TuneConfig(
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
            callbacks=[SweepReporter(len(trials), done, on_trial)],
        ),
    )
    interrupted = False
    for outcome in tuner.fit():
        # Tune swallows Ctrl-C and hands back trials that were cut or never started; they have
        # no result and no error, and are trained by the next call.
        if outcome.config is None:
            interrupted = True
            continue
        folder = Path(outcome.config["trial"]["directory"])
        if RunResult.read(folder) is not None:
            continue
        if outcome.error is None:
            interrupted = True
            continue
        cause = str(outcome.error).strip().splitlines()[-1]
        folder.mkdir(parents=True, exist_ok=True)
        RunResult("failed", cause=cause).write(folder)
        on_trial(folder)
    if interrupted:
        raise KeyboardInterrupt
