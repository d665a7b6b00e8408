"""What the algorithms share: sampling, the training step and weight sync.

Everything else is RLlib's: Algorithm, AlgorithmConfig, LearnerGroup, Learner, RLModule,
checkpoints, evaluation, fault tolerance.
"""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import torch
from ray.rllib.algorithms.algorithm import Algorithm
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.core.learner.learner import Learner
from ray.rllib.policy.sample_batch import MultiAgentBatch, SampleBatch
from ray.rllib.utils.annotations import override
from ray.rllib.utils.metrics import (
    ENV_RUNNER_RESULTS,
    ENV_RUNNER_SAMPLING_TIMER,
    LEARNER_RESULTS,
    LEARNER_UPDATE_TIMER,
    NUM_ENV_STEPS_SAMPLED_LIFETIME,
    SYNCH_WORKER_WEIGHTS_TIMER,
    TIMERS,
)
from torch import Tensor

from envs.errors import ClusterError
from envs.rollout import Policy
from pipeline.algorithms.config import ShardSettings
from pipeline.algorithms.imitation import imitate
from pipeline.algorithms.modules import PolicyModule
from pipeline.algorithms.runner import Rows, ShardRunner
from pipeline.tools.seeding import derive_seed


def _sample(runner: ShardRunner, iteration: int) -> tuple[int, dict[str, Tensor], Any]:
    (batch,) = runner.sample(iteration=iteration)
    return runner.worker_index, dict(batch), runner.get_metrics()


def _save_rows(runner: ShardRunner, folder: Path) -> None:
    runner.rows.save(_kept(runner, folder))


def _restore_rows(runner: ShardRunner, folder: Path) -> None:
    runner.rows.restore(_kept(runner, folder))


def _start_with(learner: Any, weights: dict[str, Tensor]) -> None:
    learner.own_module.start_with(weights)


def _kept(runner: ShardRunner, folder: Path) -> Path:
    return folder / f"rows-{runner.worker_index}.pt.zst"


class ShardAlgorithm(Algorithm):
    """Base of the algorithms: collects rows of all shards, faults included, and learns from them.

    An algorithm is its four classes; :meth:`prepared` and :meth:`passes` say what else it does
    with an iteration's rows.
    """

    config_class: ClassVar[type[ShardSettings]]
    module_class: ClassVar[type[PolicyModule]]
    learner_class: ClassVar[type[Learner]]
    rows_class: ClassVar[type[Rows]]
    figures: ClassVar[tuple[str, ...]]
    """What its learner says of an iteration, as runs record it."""

    @classmethod
    @override(Algorithm)
    def get_default_config(cls) -> Any:
        return cls.config_class()

    @override(Algorithm)
    def setup(self, config: AlgorithmConfig) -> None:
        super().setup(config)
        # RLlib's own first push returns early without connectors: without this line
        # remote runners play their first fragment on weights of their own.
        self._sync_weights()

    @override(Algorithm)
    def save_to_path(self, path: str | Path | None = None, **kwargs: Any) -> str:
        """RLlib's checkpoint, and what each runner's rows keep: RLlib keeps no remote runner's
        state."""
        saved: str = super().save_to_path(path, **kwargs)
        self.env_runner_group.foreach_env_runner(partial(_save_rows, folder=Path(saved)))
        return saved

    @override(Algorithm)
    def restore_from_path(self, path: str | Path, *args: Any, **kwargs: Any) -> None:
        super().restore_from_path(path, *args, **kwargs)
        self.env_runner_group.foreach_env_runner(partial(_restore_rows, folder=Path(path)))

    def imitate(self, rule: Policy, updates: int) -> None:
        """Lets the policy learn what a rule orders, before it learns what orders lead to."""
        weights = imitate(self.env_runner_group.local_env_runner, rule, updates)
        for done in self.learner_group.foreach_learner(partial(_start_with, weights=weights)):
            done.get()  # raises what a remote learner raised
        self._sync_weights()

    def __repr__(self) -> str:
        """Shown for the trial on Ray's dashboard."""
        return f"{type(self).__name__}-{self.config.action_model}"

    @override(Algorithm)
    def training_step(self) -> None:
        columns = self.prepared(self._collect())
        with self.metrics.log_time((TIMERS, LEARNER_UPDATE_TIMER)):
            results = self.learner_group.update(
                batch=self._batch(columns), timesteps=self._timesteps(), **self.passes(columns)
            )
        self.metrics.aggregate(results, key=LEARNER_RESULTS)
        self._sync_weights()

    def prepared(self, columns: dict[str, Tensor]) -> dict[str, Tensor]:
        """An iteration's rows as the learner gets them."""
        return columns

    def passes(self, columns: dict[str, Tensor]) -> dict[str, Any]:
        """How the learner goes through them; default: once, in minibatches, in their order."""
        return {"minibatch_size": self.config.train_batch_size_per_learner, "num_epochs": 1}

    def _sync_weights(self) -> None:
        with self.metrics.log_time((TIMERS, SYNCH_WORKER_WEIGHTS_TIMER)):
            self.env_runner_group.sync_weights(
                from_worker_or_learner_group=self.learner_group, policies=[DEFAULT_MODULE_ID]
            )

    def _collect(self) -> dict[str, Tensor]:
        """Rows of all shards, each shard exactly once; restarts runners that died."""
        with self.metrics.log_time((TIMERS, ENV_RUNNER_SAMPLING_TIMER)):
            got = self._sample_all_shards()
        self.metrics.aggregate([metrics for _, metrics in got], key=ENV_RUNNER_RESULTS)
        if len(got) == 1:
            return got[0][0]
        names = list(got[0][0])
        return {name: torch.cat([torch.as_tensor(c[name]) for c, _ in got]) for name in names}

    def _sample_all_shards(self, patience_s: float = 300.0) -> list[tuple[dict[str, Tensor], Any]]:
        group = self.env_runner_group
        if group.num_remote_env_runners() == 0:
            _, columns, metrics = _sample(group.local_env_runner, self.iteration)
            return [(columns, metrics)]
        wanted = set(range(1, group.num_remote_env_runners() + 1))
        got: dict[int, tuple[dict[str, Tensor], Any]] = {}
        deadline = time.monotonic() + patience_s
        while wanted - set(got):
            missing = sorted((wanted - set(got)) & set(group.healthy_env_runner_ids()))
            for worker, columns, metrics in group.foreach_env_runner(
                _sample,
                kwargs={"iteration": self.iteration},
                local_env_runner=False,
                remote_worker_ids=missing,
                timeout_seconds=self.config.sample_timeout_s,
            ):
                got[worker] = (columns, metrics)
            if not wanted - set(got):
                break
            if time.monotonic() > deadline:
                raise ClusterError(
                    "env runners", sorted(wanted - set(got)),
                    "Check the cluster's nodes and free memory, then run the same command "
                    "again: it resumes from the last checkpoint.",
                    f"did not come back within {patience_s:.0f} s",
                )  # fmt: skip
            self.restore_env_runners(group)
            time.sleep(0.5)
        return [got[worker] for worker in sorted(got)]

    def shuffled(self, columns: dict[str, Tensor]) -> dict[str, Tensor]:
        """The rows in an order that follows from seed and iteration alone."""
        generator = torch.Generator().manual_seed(
            derive_seed("shuffle", self.config.seed or 0, self.iteration)
        )
        order = torch.randperm(len(next(iter(columns.values()))), generator=generator)
        return {name: column[order] for name, column in columns.items()}

    def _timesteps(self) -> dict[str, int]:
        """What RLlib's schedules count: iterations here, so that a schedule's end is the run's."""
        return {NUM_ENV_STEPS_SAMPLED_LIFETIME: self.iteration}

    @staticmethod
    def _batch(columns: dict[str, Tensor]) -> MultiAgentBatch:
        rows = len(next(iter(columns.values())))
        return MultiAgentBatch({DEFAULT_MODULE_ID: SampleBatch(columns)}, env_steps=rows)
