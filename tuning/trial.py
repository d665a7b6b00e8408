"""A Ray Tune trial: one training run in its own folder."""

from __future__ import annotations

import math
import traceback
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from ray import tune

from pipeline.runs.config import RunConfig
from pipeline.runs.result import RunResult
from pipeline.scenarios.source import ScenarioSource
from pipeline.tools.files import write_text
from pipeline.training.run import TrainingRun
from tuning.label import TrialLabels


class MethodTrial(tune.Trainable):
    """Trains ``config["run"]`` in ``config["directory"]``, to its end or ``config["until"]``.

    Built for Tune's ``reuse_actors``: the process, its imports and the tiles in its memory
    serve one trial after the other, which brings the overhead of a trial from some 18 s
    to about 1 s. Its own folder holds checkpoints and results, so a trial that is retried
    or resumed goes on from there, whatever became of Tune's state.
    """

    sources: Mapping[str, ScenarioSource] | None = None
    """Of all trials of this process; Tune hands every trial others, with no tiles in memory."""
    _labels: Any = None
    """Likewise."""

    def setup(
        self, config: dict[str, Any], sources: Mapping[str, ScenarioSource] | None = None
    ) -> None:
        torch.set_num_threads(1)
        self.sources = self.sources or sources
        self._training: TrainingRun | None = None
        self._labelled = False
        self._begun = False
        config = config["trial"]
        self._key = config["key"]
        self._directory = Path(config["directory"])
        self._probe = config.get("probe")
        self._until = config.get("until") or math.inf
        self._source = config.get("source", "")
        self._run = config["run"]

    def _begin(self) -> None:
        """Opens the trial's folder; not before the first step.

        Tune may set a trial up twice: a process that it has started is given up when another
        comes free. Only one of them is told to train, and nobody else may touch the folder.
        """
        self._begun = True
        if RunResult.read(self._directory) is not None:
            return
        self._labels = self._labels or TrialLabels.remote()
        self._labels.run.options(name=self._key).remote(self._key)
        self._labelled = True
        try:
            assert self.sources is not None
            run = RunConfig(**self._run)
            self._training = TrainingRun(run, self.sources[self._source], self._directory)
        except Exception as error:
            self._record(error)

    def step(self) -> dict[str, Any]:
        """Iterations up to the next validation; the last one of a trial that pauses is kept."""
        if not self._begun:
            self._begin()
        if self._training is None:  # failed to start, or ended in an earlier attempt
            return {tune.result.DONE: True}
        figures: dict[str, Any] = {}
        try:
            while not (self._training.done or self._paused or self._validated(figures)):
                figures |= self._training.step()
            if self._paused and not self._training.done:
                self._training.checkpoint()
            if self._training.done and self._probe is not None:
                self._probe(self._training.algorithm, self._directory)
        except Exception as error:
            self._record(error)
            return {tune.result.DONE: True}
        # TensorBoard's horizontal axis, which goes on where the trial does.
        figures[tune.result.TRAINING_ITERATION] = self._training.result.iterations
        figures[tune.result.DONE] = self._training.done or self._paused
        return figures

    def _validated(self, figures: Mapping[str, Any]) -> bool:
        assert self._training is not None
        return self._training.objective.metric in figures

    @property
    def _paused(self) -> bool:
        assert self._training is not None
        return self._training.result.iterations >= self._until

    def _record(self, error: Exception) -> None:
        """An error of the method is a result of the sweep, with its cause; only a process
        that dies is Tune's to retry."""
        write_text(self._directory / "error.txt", traceback.format_exc())
        cause = f"{type(error).__name__}: {error}".splitlines()[0]
        done = self._training.result if self._training else RunResult("failed")
        replace(done, status="failed", validation={}, best_iteration=0, cause=cause).write(
            self._directory
        )

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Takes the next trial into the same process."""
        self.cleanup()
        self.setup(new_config)
        return True

    def save_checkpoint(self, checkpoint_dir: str) -> dict[str, str]:
        """The trial's own folder is its checkpoint: Tune keeps where that is."""
        return {"directory": str(self._directory)}

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Nothing to load: the first step resumes from the trial's folder."""

    def cleanup(self) -> None:
        """Stops the trial's runners and learners, and ends its label."""
        if self._training is not None:
            self._training.close()
            self._training = None
        if self._labelled:
            self._labels.end.remote(self._key)
            self._labelled = False

    @classmethod
    def default_resource_request(cls, config: dict[str, Any]) -> tune.PlacementGroupFactory:
        """One CPU for the trial, one per remote runner and learner (and the GPUs)."""
        run = RunConfig(**config["trial"]["run"])
        learner: dict[str, float] = {"CPU": 1.0}
        if run.num_gpus_per_learner:
            learner["GPU"] = run.num_gpus_per_learner
        main = learner if not run.num_learners else {"CPU": 1.0}
        return tune.PlacementGroupFactory(
            [main] + [{"CPU": 1.0}] * run.num_env_runners + [learner] * run.num_learners,
            strategy="SPREAD",
        )
