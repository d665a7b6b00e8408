"""Learners of a small problem, without a Ray cluster."""

from __future__ import annotations

from typing import Any

import torch
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.core.learner.learner import Learner
from ray.rllib.policy.sample_batch import MultiAgentBatch, SampleBatch

from envs.problems.settings import study_setting1
from pipeline.algorithms.build import build_config
from pipeline.algorithms.runner import ShardRunner
from pipeline.runs.config import RunConfig
from pipeline.scenarios.given import GivenScenarios

TRAINING: dict[str, dict[str, Any]] = {
    "ddpg": {"hidden": [8], "critic_hidden": [8], "updates_per_iteration": 1,
             "critic_warm_up": 0, "train_batch_size_per_learner": 64},
    "ppo": {"hidden": [8], "value_hidden": [8], "minibatch_size": 64,
            "train_batch_size_per_learner": 64},
}  # fmt: skip


def make_learner(algorithm: str, **training: Any) -> tuple[Learner, MultiAgentBatch]:
    """A learner with weights of seed 0, and a batch for it."""
    run = RunConfig(
        algorithm=algorithm, action_model="base",
        training={"fragment_days": 31, **TRAINING[algorithm], **training},
    )  # fmt: skip
    trajectories = study_setting1(16, 0)
    config = build_config(run, GivenScenarios({"train": [trajectories]}))
    torch.manual_seed(0)
    runner = ShardRunner(config=config, worker_index=0, num_workers=0)
    (columns,) = runner.sample()
    torch.manual_seed(0)
    learner = config.build_learner(spaces=runner.get_spaces())
    rows = SampleBatch(columns)
    return learner, MultiAgentBatch({DEFAULT_MODULE_ID: rows}, env_steps=len(rows))
