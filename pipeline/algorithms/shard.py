"""What the three algorithms share: configuration, sampling and weight sync.

Everything else is RLlib's: Algorithm, AlgorithmConfig, LearnerGroup, Learner, RLModule,
checkpoints, evaluation, fault tolerance.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import gymnasium as gym
import numpy as np
import torch
from ray.rllib.algorithms.algorithm import Algorithm
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig, NotProvided
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.policy.sample_batch import MultiAgentBatch, SampleBatch
from ray.rllib.utils.annotations import override
from ray.rllib.utils.metrics import (
    ENV_RUNNER_RESULTS,
    ENV_RUNNER_SAMPLING_TIMER,
    NUM_ENV_STEPS_SAMPLED_LIFETIME,
    SYNCH_WORKER_WEIGHTS_TIMER,
    TIMERS,
)
from torch import Tensor

from envs.errors import ClusterError
from envs.objective import DEFAULT_OBJECTIVE, Objective
from envs.state import InventoryState, Scenario
from pipeline.algorithms.runner import ShardRunner
from pipeline.policies.action_models import ACTION_MODELS, ActionModel, make_action_model
from pipeline.scenarios.source import ScenarioSource, Split
from pipeline.tools.seeding import derive_seed

Rows = Literal["replayed", "advantages", "windows"]


def set_given(config: AlgorithmConfig, arguments: dict[str, Any]) -> None:
    """Sets every keyword argument that was given, as RLlib's own configs do one by one."""
    for name, value in arguments.items():
        if name not in ("self", "kwargs", "__class__") and value is not NotProvided:
            setattr(config, name, value)


class ShardSettings:
    """Mixin of the three configs: where inventories come from and how they are played."""

    source: ScenarioSource | None
    split: Split
    action_model: str
    objective: Objective
    fragment_days: int
    weight_power: float
    hidden: Sequence[int]
    initial_action: float | None
    initial_stock: Callable[[Scenario, torch.Generator], InventoryState] | None

    def _set_shard_defaults(self: Any, rows: Rows) -> None:
        self.rows = rows
        self.source = None
        self.split = "train"
        self.action_model = "both"
        self.objective = DEFAULT_OBJECTIVE
        self.planned_iterations: int | None = None
        self.shortage_factors: tuple[float, float] | None = None
        self.action_low, self.action_high, self.coefficient_high = 0.0, 3.0, 1.0
        self.fragment_days = 56
        self.weight_power = 0.5
        self.hidden = (64, 64)
        self.initial_action = None
        self.fragment_copies = 1
        self.initial_stock = None  # what the source says
        self.updates_per_iteration = 1
        self.fragments_per_iteration = 1
        self.env_runner_cls = ShardRunner
        self.num_env_runners = 0
        self.restart_failed_env_runners = True
        self.max_num_env_runner_restarts = 100
        self.merge_env_runner_states = False
        self.broadcast_env_runner_states = False
        self.normalize_actions = False
        self.clip_actions = False
        self.framework_str = "torch"

    def training(
        self: Any,
        *,
        hidden: Sequence[int] = NotProvided,
        initial_action: float | None = NotProvided,
        fragment_days: int = NotProvided,
        fragment_copies: int = NotProvided,
        weight_power: float = NotProvided,
        action_high: float = NotProvided,
        coefficient_high: float = NotProvided,
        **kwargs: Any,
    ) -> Any:
        """Hyperparameters that the three algorithms share, beyond RLlib's own.

        Args:
            hidden: Widths of the policy's hidden layers.
            initial_action: Output of the untrained policy, share of its range; None for the
                action model's sensible start.
            fragment_days: Days of a fragment or window.
            fragment_copies: Times each inventory of a tile is played in a fragment. More than
                1 is for data of a few trajectories: exploration differs between copies.
            weight_power: A decision (in DS: an inventory) weighs its size ** power in
                the losses: 0 treats all inventories alike, 1 counts money.
            action_high: Upper end of a level's or order's range, in demand scales.
            coefficient_high: Upper end of the coefficients' range.
            **kwargs: The algorithm's and RLlib's own.
        """
        super().training(**kwargs)  # type: ignore[misc]  # of the config it is mixed into
        set_given(self, locals())
        return self

    def inventories(
        self: Any,
        *,
        source: ScenarioSource,
        action_model: str | type[ActionModel],
        objective: Objective = DEFAULT_OBJECTIVE,
        shortage_factors: tuple[float, float] | None = None,
        planned_iterations: int | None = None,
        initial_stock: Callable[[Scenario, torch.Generator], InventoryState] | None = None,
    ) -> Any:
        """Says which inventories are trained on, and with which action model.

        Args:
            source: Scenarios tile by tile; picklable.
            action_model: Registered name, ``module:Class``, or a class.
            objective: What is minimised.
            shortage_factors: Least and largest factor by which shortages of an inventory are
                weighed in a fragment, drawn log-uniformly; None: by none.
            planned_iterations: How long the training is to last, for what is annealed; None: what
                would be annealed is at its end from the start.
            initial_stock: Draws the stock that a training fragment starts with; default:
                the source's ``training_start``.
        """
        self.source = source
        model = make_action_model(action_model, source.layout.basis)
        self.action_model = ACTION_MODELS.written(action_model)
        self.objective, self.planned_iterations = objective, planned_iterations
        self.shortage_factors = shortage_factors
        if initial_stock is not None:
            self.initial_stock = initial_stock
        infinite = float("inf")
        self.observation_space = gym.spaces.Box(
            -infinite, infinite, (source.layout.size,), np.float32
        )
        self.action_space = gym.spaces.Box(-infinite, infinite, (model.outputs,), np.float32)
        return self

    def _module_settings(self: Any) -> dict[str, Any]:
        layout = self.source.layout
        settings = {
            "low": self.action_low,
            "high": self.action_high,
            "coefficient_high": self.coefficient_high,
        }
        model = make_action_model(self.action_model, layout.basis, **settings)
        return {
            "layout": {
                "max_lead_time": layout.max_lead_time,
                "basis": layout.basis,
                "features": layout.features,
            },
            "action_model": {"kind": self.action_model, **settings},
            "objective": self.objective,
            "hidden": tuple(self.hidden),
            "initial_action": (
                model.start / model.end if self.initial_action is None else self.initial_action
            ),
        }


def _sample(runner: ShardRunner, iteration: int) -> tuple[int, dict[str, Tensor], Any]:
    (batch,) = runner.sample(iteration=iteration)
    return runner.worker_index, dict(batch), runner.get_metrics()


def _save_replay(runner: ShardRunner, folder: Path) -> None:
    runner.replay.save(folder / f"replay-{runner.worker_index}.pt.gz")


def _restore_replay(runner: ShardRunner, folder: Path) -> None:
    runner.replay.restore(folder / f"replay-{runner.worker_index}.pt.gz")


class ShardAlgorithm(Algorithm):
    """Mixin of the three algorithms: sampling from shards with faults, and weight sync."""

    @override(Algorithm)
    def setup(self, config: AlgorithmConfig) -> None:
        super().setup(config)
        # RLlib's own first push returns early without connectors: without this line
        # remote runners play their first fragment on weights of their own.
        self._sync_weights()

    @override(Algorithm)
    def save_to_path(self, path: str | Path | None = None, **kwargs: Any) -> str:
        """RLlib's checkpoint, and each runner's replay: RLlib keeps no remote runner's state."""
        saved: str = super().save_to_path(path, **kwargs)
        self.env_runner_group.foreach_env_runner(partial(_save_replay, folder=Path(saved)))
        return saved

    @override(Algorithm)
    def restore_from_path(self, path: str | Path, *args: Any, **kwargs: Any) -> None:
        super().restore_from_path(path, *args, **kwargs)
        self.env_runner_group.foreach_env_runner(partial(_restore_replay, folder=Path(path)))

    def __repr__(self) -> str:
        """Shown for the trial on Ray's dashboard."""
        return f"{type(self).__name__}-{self.config.action_model}"

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

    def _shuffled(self, columns: dict[str, Tensor]) -> dict[str, Tensor]:
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
