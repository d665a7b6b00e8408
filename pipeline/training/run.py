"""One training run in a folder: trains, validates, keeps the best model, can be resumed.

config.yaml     what was asked for, resolved
history.jsonl   one line per validation
losses.jsonl    one line per iteration
model/          the policy that validated best so far, a mean of several validations
checkpoint/     RLlib's checkpoint, to resume from
result.json     written last: status, best validation, time
"""

from __future__ import annotations

import json
import math
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ray.rllib.utils.metrics import ENV_RUNNER_RESULTS, EVALUATION_RESULTS, LEARNER_RESULTS

from envs.metrics import metric_names
from envs.objective import objective_of
from pipeline.algorithms.build import build_config
from pipeline.baselines.per_class import OrderUpToPerClass
from pipeline.policies.store import save_model
from pipeline.runs.config import RunConfig
from pipeline.runs.result import CHECKPOINT, HISTORY, PROGRESS, RunResult, read_history
from pipeline.scenarios.source import ScenarioSource
from pipeline.tools.cpu_time import CpuClock
from pipeline.tools.files import (
    append_json,
    beside,
    read_lines,
    remove,
    whole,
    write_json,
    write_text,
    write_yaml,
)  # fmt: skip

SMOOTHED = 3
"""Validations whose mean decides which iteration's model is kept: the least of many single ones
would be a lottery."""
LOSS_RECORD = "losses.jsonl"


class TrainingRun:
    """Trains one configuration step by step.

    Args:
        run: What to train.
        source: Where inventories come from.
        directory: The run's folder. A checkpoint found there is resumed.
        **inventories: Passed on to the algorithm config's ``inventories()``.
    """

    def __init__(
        self, run: RunConfig, source: ScenarioSource, directory: Path, **inventories: Any
    ) -> None:
        self.run = run
        self.objective = objective_of(run.objective)
        self.source = source
        self.directory = directory
        write_yaml(directory / "config.yaml", run.model_dump(mode="json"), sort_keys=True)
        self.algorithm = build_config(run, source, **inventories).build_algo()
        self.result = RunResult("finished")
        self._best = math.inf
        self._resume()
        imitates = run.imitation_updates > 0 and self.result.iterations == 0
        rule = OrderUpToPerClass.tune(source, self.objective) if imitates else None
        self._cpu = CpuClock(self.algorithm)
        if rule is not None:  # tuning it is no part of the training: a sweep's trials share it
            start = time.perf_counter()
            self.algorithm.imitate(rule, run.imitation_updates)
            self.result.seconds += time.perf_counter() - start

    def _resume(self) -> None:
        checkpoint = whole(self.directory / CHECKPOINT)
        progress = checkpoint / PROGRESS
        if progress.exists():
            self.algorithm.restore_from_path(str(checkpoint / "rllib"))
            state = json.loads(progress.read_text())
            self.result = RunResult(**state["result"])
            self._best = state["best"]
        self._forget_after(self.result.iterations)

    def _forget_after(self, iteration: int) -> None:
        """What was recorded after the checkpoint happens again."""
        for name in (HISTORY, LOSS_RECORD):
            record = self.directory / name
            kept = [line for line in read_lines(record) if line["iteration"] <= iteration]
            text = "".join(json.dumps(line) + "\n" for line in kept)
            if record.exists() and text != record.read_text():
                write_text(record, text)

    @property
    def done(self) -> bool:
        """All iterations are through, or the run diverged."""
        return self.result.iterations >= self.run.iterations or self.result.status != "finished"

    def step(self) -> dict[str, float]:
        """One iteration; validates and checkpoints when due. Returns the newest figures."""
        start = time.perf_counter()
        trained = self.algorithm.train()
        self.result.iterations += 1
        iteration = self.result.iterations
        figures = self._losses(trained)
        append_json(self.directory / LOSS_RECORD, {"iteration": iteration, **figures})
        lost = [name for name, value in figures.items() if not math.isfinite(value)]
        if lost:
            # Nothing else ends the run, and its last good model would look finished.
            self.result.status = "diverged"
            self.result.cause = f"{lost[0]} is {figures[lost[0]]} in iteration {iteration}"
        last = iteration >= self.run.iterations
        if iteration % self.run.validate_every == 0:
            # RLlib evaluated within train(); between evaluations the key is stale.
            figures |= self._judge(trained[EVALUATION_RESULTS])
        elif last:
            figures |= self._judge(self.algorithm.evaluate())
        self.result.seconds += time.perf_counter() - start
        self.result.cpu_seconds += self._cpu.lap()
        if last or self.result.status != "finished":
            self.result.write(self.directory)
            remove(self.directory / CHECKPOINT)
        elif iteration % self.run.checkpoint_every == 0:
            self.checkpoint()
        return figures

    def close(self) -> None:
        """Stops runners and learners."""
        self.algorithm.stop()

    def _losses(self, trained: dict[str, Any]) -> dict[str, float]:
        learner = trained.get(LEARNER_RESULTS, {}).get("default_policy", {})
        return {name: float(learner[name]) for name in self.algorithm.figures if name in learner}

    def _judge(self, evaluation: dict[str, Any]) -> dict[str, float]:
        """Keeps the policy if its validations of late are the best so far."""
        found = {name: float(evaluation[ENV_RUNNER_RESULTS][name]) for name in metric_names()}
        figures = self.objective.judged(found)
        recent = [*read_history(self.directory)[1 - SMOOTHED :], figures]
        smooth = {name: sum(line[name] for line in recent) / len(recent) for name in figures}
        name, value = self.objective.metric, smooth[self.objective.metric]
        if not math.isfinite(value):
            self.result.status = "diverged"
            self.result.cause = (
                f"validation {name} is {value} in iteration {self.result.iterations}"
            )
        elif self.objective.signed(value) < self._best:
            self._best = self.objective.signed(value)
            self.result.best_iteration = self.result.iterations
            self.result.validation = smooth
            policy = self.algorithm.get_module().unwrapped().averaged
            save_model(
                self.directory / "model",
                policy,
                getattr(self.source, "factors", None),
                self.objective,
                self.run.shortage_factors,
            )
        spent = {"seconds": self.result.seconds, "cpu_seconds": self.result.cpu_seconds}
        line = {"iteration": self.result.iterations, **spent, **figures}
        append_json(self.directory / HISTORY, line)
        return figures

    def checkpoint(self) -> None:
        """Writes a checkpoint, from which another process may go on."""
        with beside(self.directory / CHECKPOINT) as partial:
            self.algorithm.save_to_path(str((partial / "rllib").resolve()))
            write_json(partial / PROGRESS, {"result": asdict(self.result), "best": self._best})
