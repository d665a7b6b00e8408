"""Runners of a small data set, without a Ray cluster."""

from __future__ import annotations

from typing import Any

import torch

from pipeline.algorithms.build import build_config
from pipeline.algorithms.runner import ShardRunner
from pipeline.policies.action_models import ACTION_MODELS
from pipeline.runs.config import RunConfig
from pipeline.scenarios.dataset import DatasetSource

SMALL: dict[str, dict[str, Any]] = {
    "ddpg": {"hidden": [8], "critic_hidden": [8], "fragment_days": 40, "exploration_noise": 0.1,
             "updates_per_iteration": 3, "train_batch_size_per_learner": 50},
    "ppo": {"hidden": [8], "value_hidden": [8], "fragment_days": 40, "initial_std": 0.1,
            "train_batch_size_per_learner": 400, "minibatch_size": 100},
    "ds": {"hidden": [8], "fragment_days": 40, "updates_per_iteration": 2,
           "train_batch_size_per_learner": 30},
}  # fmt: skip
FIRST_ACTION = ACTION_MODELS.find("both").start
"""The unit of exploration, share of the action's range."""


def make_runner(
    source: DatasetSource, algorithm: str, *, worker: int = 0, workers: int = 0, seed: int = 1
) -> ShardRunner:
    run = RunConfig(
        algorithm=algorithm, action_model="both", training=SMALL[algorithm], seed=seed,
        num_env_runners=workers,
    )  # fmt: skip
    torch.manual_seed(0)  # networks start alike, as after a weight sync
    return ShardRunner(config=build_config(run, source), worker_index=worker, num_workers=workers)


def sample(runner: ShardRunner, iteration: int | None = None) -> dict[str, torch.Tensor]:
    (batch,) = runner.sample(iteration=iteration)
    return {name: torch.as_tensor(column) for name, column in batch.items()}
