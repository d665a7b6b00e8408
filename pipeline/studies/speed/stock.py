"""RLlib's own way from environments to a learner's batch: what columns are compared with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.env.single_agent_env_runner import SingleAgentEnvRunner
from ray.tune import register_env

from envs.gym_env import InventoryVectorEnv
from envs.state import Scenario
from pipeline.algorithms.build import build_config
from pipeline.runs.config import RunConfig
from pipeline.runs.method import AlgorithmName
from pipeline.studies.speed import problems


def stock_runner(
    given: Scenario, n: int = 1024, days: int = 10, *, to_learner: bool = False
) -> Callable[[], int]:
    """RLlib's ``SingleAgentEnvRunner`` plays our PPO module in the native vector environment.

    Args:
        given: At least ``n`` inventories.
        n: Environments, side by side.
        days: Steps of each per call.
        to_learner: Go on until there are columns to learn from, advantages included: RLlib's
            own ``PPO`` does that in its learner's connectors, the shard runner in ``sample()``.
    """
    few = given.inventories(slice(0, n))
    register_env("deepstock-bench", lambda _: InventoryVectorEnv(few))
    run = RunConfig(algorithm=AlgorithmName.PPO, action_model="base")
    ours = build_config(run, problems.in_tiles(8, 40, 1))
    config = (
        PPOConfig()
        .environment("deepstock-bench")
        .env_runners(
            num_env_runners=0,
            num_envs_per_env_runner=n,
            gym_env_vectorize_mode="vector_entry_point",
        )
        .rl_module(rl_module_spec=ours.rl_module_spec)
    )
    config.normalize_actions = config.clip_actions = False
    runner = SingleAgentEnvRunner(config=config, worker_index=0, num_workers=0)
    learner: Any = config.build_learner(spaces=runner.get_spaces()) if to_learner else None
    connect = to_learner and config.build_learner_connector(
        input_observation_space=runner.env.single_observation_space,
        input_action_space=runner.env.single_action_space,
    )

    def play() -> int:
        episodes = runner.sample(num_timesteps=n * days)
        if connect:
            connect(
                rl_module=learner.module,
                batch={},
                episodes=episodes,
                shared_data={},
                metrics=learner.metrics,
            )
        return n * days

    return play
