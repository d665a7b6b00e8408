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
import os
import shutil
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import yaml
from ray.rllib.utils.metrics import ENV_RUNNER_RESULTS, EVALUATION_RESULTS, LEARNER_RESULTS

from envs.objective import objective_of
from pipeline.algorithms.build import build_config
from pipeline.evaluation.play import METRICS
from pipeline.policies.store import save_model
from pipeline.runs.config import RunConfig
from pipeline.scenarios.source import ScenarioSource
from pipeline.tools.cpu_time import CpuClock

Status = Literal["finished", "diverged", "failed", "stopped"]
"""``stopped``: a sweep gave up on the configuration before its end."""
SMOOTHED = 3
"""Validations whose mean decides which iteration's model is kept: the least of many single ones
would be a lottery."""
LOSSES = (
    "critic_loss", "actor_loss", "q_mean", "action_mean",  # DDPG
    "policy_loss", "value_loss", "entropy",  # PPO
    "simulated_loss",  # DS
)  # fmt: skip


@dataclass
class RunResult:
    """What ``result.json`` holds."""

    status: Status
    validation: dict[str, float] = field(default_factory=dict)
    """Metrics on validation inventories, mean of the last :data:`SMOOTHED` validations at the
    best iteration."""
    best_iteration: int = 0
    iterations: int = 0
    seconds: float = 0.0
    """Wall-clock time spent training and validating, over all resumptions."""
    cpu_seconds: float = 0.0
    """CPU time of all processes in that time."""
    cause: str = ""
    """Why a run failed, diverged or was stopped."""

    @property
    def failed(self) -> bool:
        """It was given a chance to end well, and did not."""
        return self.status in ("failed", "diverged")

    def write(self, directory: Path) -> None:
        """Writes ``result.json`` in one step."""
        partial = directory / "result.json.partial"
        partial.write_text(json.dumps(asdict(self), indent=1))
        os.replace(partial, directory / "result.json")

    @classmethod
    def read(cls, directory: Path) -> RunResult | None:
        """The result of a run that has ended; None if it has not."""
        path = directory / "result.json"
        return cls(**json.loads(path.read_text())) if path.exists() else None

    @classmethod
    def at_checkpoint(cls, directory: Path) -> RunResult | None:
        """How far a run was at its last checkpoint; None if it has none."""
        for name in ("checkpoint", "checkpoint.before", "checkpoint"):  # one may just be moved
            try:
                progress = (directory / name / "progress.json").read_text()
            except FileNotFoundError:
                continue
            return cls(**json.loads(progress)["result"])
        return None


def _checkpoint_of(directory: Path) -> Path:
    """A run's last whole checkpoint, if it has one; see :meth:`TrainingRun.checkpoint`."""
    checkpoint = directory / "checkpoint"
    return checkpoint if checkpoint.exists() else directory / "checkpoint.before"


def _forget_checkpoint(directory: Path) -> None:
    for name in ("checkpoint", "checkpoint.before"):
        shutil.rmtree(directory / name, ignore_errors=True)


def read_history(directory: Path) -> list[dict[str, float]]:
    """A run's validations, the earliest first: ``iteration``, times and metrics."""
    path = directory / "history.jsonl"
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    # The last one may be being written.
    return [json.loads(line) for line in lines if line.endswith("\n")]


def stop_run(directory: Path, cause: str) -> None:
    """Ends a run where its last checkpoint is: its result says ``stopped``, and why."""
    result = RunResult.at_checkpoint(directory)
    assert result is not None  # whoever stops a run has paused it there
    replace(result, status="stopped", cause=cause).write(directory)
    _forget_checkpoint(directory)


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
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "config.yaml").write_text(yaml.safe_dump(run.model_dump(mode="json")))
        self.algorithm = build_config(run, source, **inventories).build_algo()
        self.result = RunResult("finished")
        self._best = math.inf
        self._resume()
        self._cpu = CpuClock(self.algorithm)

    def _resume(self) -> None:
        checkpoint = _checkpoint_of(self.directory)
        progress = checkpoint / "progress.json"
        if progress.exists():
            self.algorithm.restore_from_path(str(checkpoint / "rllib"))
            state = json.loads(progress.read_text())
            self.result = RunResult(**state["result"])
            self._best = state["best"]
        self._forget_after(self.result.iterations)

    def _forget_after(self, iteration: int) -> None:
        """What was recorded after the checkpoint happens again."""
        for name in ("history.jsonl", "losses.jsonl"):
            record = self.directory / name
            if record.exists():
                lines = record.read_text().splitlines(keepends=True)
                whole = [line for line in lines if line.endswith("\n")]  # the last may be cut
                kept = [line for line in whole if json.loads(line)["iteration"] <= iteration]
                if kept != lines:  # in one step: a sweep may be reading it
                    partial = self.directory / f"{name}.partial"
                    partial.write_text("".join(kept))
                    os.replace(partial, record)

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
        self._record("losses.jsonl", {"iteration": iteration, **figures})
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
            _forget_checkpoint(self.directory)
        elif iteration % self.run.checkpoint_every == 0:
            self.checkpoint()
        return figures

    def close(self) -> None:
        """Stops runners and learners."""
        self.algorithm.stop()

    def _losses(self, trained: dict[str, Any]) -> dict[str, float]:
        learner = trained.get(LEARNER_RESULTS, {}).get("default_policy", {})
        return {name: float(learner[name]) for name in LOSSES if name in learner}

    def _judge(self, evaluation: dict[str, Any]) -> dict[str, float]:
        """Keeps the policy if its validations of late are the best so far."""
        found = {name: float(evaluation[ENV_RUNNER_RESULTS][name]) for name in METRICS}
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
            save_model(self.directory / "model", policy, getattr(self.source, "factors", None))
        spent = {"seconds": self.result.seconds, "cpu_seconds": self.result.cpu_seconds}
        line = {"iteration": self.result.iterations, **spent, **figures}
        self._record("history.jsonl", line)
        return figures

    def _record(self, name: str, line: dict[str, float]) -> None:
        with (self.directory / name).open("a") as record:
            record.write(json.dumps(line) + "\n")

    def checkpoint(self) -> None:
        """Writes a checkpoint, from which another process may go on."""
        checkpoint = self.directory / "checkpoint"
        partial = self.directory / "checkpoint.partial"
        shutil.rmtree(partial, ignore_errors=True)
        self.algorithm.save_to_path(str((partial / "rllib").resolve()))
        progress = {"result": asdict(self.result), "best": self._best}
        (partial / "progress.json").write_text(json.dumps(progress))
        # One of the two is whole at any moment; _checkpoint_of() looks for both.
        before = self.directory / "checkpoint.before"
        shutil.rmtree(before, ignore_errors=True)
        if checkpoint.exists():
            os.replace(checkpoint, before)
        os.replace(partial, checkpoint)
        shutil.rmtree(before, ignore_errors=True)
