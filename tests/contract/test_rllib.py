"""What the project relies on RLlib for, and what RLlib may rely on here."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import ray
import torch
from ray.rllib.algorithms.ppo import PPOConfig as RLlibPPOConfig
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.rllib.env.single_agent_env_runner import SingleAgentEnvRunner
from ray.rllib.utils.metrics import ENV_RUNNER_RESULTS

from envs.metrics import metric_names
from envs.rollout import rollout
from envs.state import InventoryState
from pipeline.algorithms.build import build_config
from pipeline.algorithms.shard import ShardAlgorithm
from pipeline.evaluation.play import evaluate_scenario, play_policy, summarize
from pipeline.policies.store import load_model
from pipeline.runs.config import RunConfig
from pipeline.runs.result import RunResult
from pipeline.scenarios.dataset import DatasetSource
from pipeline.scenarios.start import evaluation_start
from pipeline.training.run import SMOOTHED, TrainingRun

pytestmark = pytest.mark.usefixtures("cluster")
SMALL: dict[str, dict[str, Any]] = {
    "ddpg": {"hidden": [8], "critic_hidden": [8], "fragment_days": 40, "critic_warm_up": 1,
             "updates_per_iteration": 3, "train_batch_size_per_learner": 64},
    "ppo": {"hidden": [8], "value_hidden": [8], "fragment_days": 40, "num_epochs": 1,
            "train_batch_size_per_learner": 256, "minibatch_size": 128},
    "ds": {"hidden": [8], "fragment_days": 30, "updates_per_iteration": 2,
           "train_batch_size_per_learner": 32},
}  # fmt: skip


def small_run(algorithm: str, **settings: Any) -> RunConfig:
    content = {"algorithm": algorithm, "action_model": "both", "training": SMALL[algorithm]}
    return RunConfig(**{**content, "iterations": 4, **settings})


Build = Callable[..., ShardAlgorithm]


@pytest.fixture
def build(source: DatasetSource) -> Iterator[Build]:
    """Builds algorithms and stops them at the end."""
    built: list[ShardAlgorithm] = []

    def make(algorithm: str, **settings: Any) -> ShardAlgorithm:
        built.append(build_config(small_run(algorithm, **settings), source).build_algo())
        return built[-1]

    yield make
    for algorithm in built:
        algorithm.stop()


def weights(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in module.state_dict().items()}


def assert_equal(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert set(one) == set(other)
    for name, value in one.items():
        assert torch.equal(torch.as_tensor(value), torch.as_tensor(other[name])), name


def policy_of(algorithm: ShardAlgorithm) -> torch.nn.Module:
    policy: torch.nn.Module = algorithm.get_module().unwrapped().policy
    return policy


def learner_policy(algorithm: ShardAlgorithm) -> dict[str, torch.Tensor]:
    """Weights of the learner's policy network."""
    state = algorithm.learner_group.get_weights()["default_policy"]
    return {name: torch.as_tensor(value) for name, value in state.items()}


# -- (a) RLlib's stock runner -----------------------------------------------------------------


@pytest.mark.parametrize("algorithm", list(SMALL))
def test_the_stock_runner_orders_what_our_rollout_orders(
    source: DatasetSource, algorithm: str
) -> None:
    """The same module in SingleAgentEnvRunner with the vector env, day by day."""
    n, days = 12, 24
    torch.manual_seed(1)
    scenario = source.load("train", 0).inventories(torch.arange(n)).days(0, days)
    spec = build_config(small_run(algorithm), source).rl_module_spec
    config = (
        RLlibPPOConfig()
        .environment(
            "envs.gym_env:DeepStock/Inventory-v0",
            env_config={"scenario": scenario, "start": evaluation_start},
        )
        .env_runners(
            num_env_runners=0,
            num_envs_per_env_runner=n,
            gym_env_vectorize_mode="vector_entry_point",
        )
        .rl_module(
            rl_module_spec=RLModuleSpec(
                module_class=spec.module_class, model_config=spec.model_config
            )
        )
        .debugging(seed=0)
    )
    config.normalize_actions = config.clip_actions = False
    runner = SingleAgentEnvRunner(config=config, worker_index=0, num_workers=0)
    policy = runner.module.policy
    with torch.no_grad():
        policy.net[-1].weight.mul_(10.0)  # orders that depend on the state
        played = rollout(scenario, policy.decide, evaluation_start(scenario), record=True)
    assert played.stock is not None
    episodes = runner.sample(num_episodes=n, explore=False)
    assert [len(episode) for episode in episodes] == [days] * n
    for i, episode in enumerate(episodes):
        infos = episode.get_infos()[1:]  # the first one belongs to the reset
        orders = np.array([info["order"] for info in infos])
        # Single precision: an order is the difference of a level and a position.
        tolerance = 1e-6 * float((played.stock[:, i].sum(-1) + played.order[:, i]).max())
        np.testing.assert_allclose(orders, played.order[:, i], rtol=0, atol=tolerance)
        expected = torch.stack(
            [
                scenario.observe(day, InventoryState.unstack(played.stock[day])).flatten()[i]
                for day in range(days)
            ]
        )
        seen = np.stack(episode.get_observations())[:days]
        np.testing.assert_allclose(seen, expected, rtol=1e-6, atol=tolerance)
    assert (played.order > 0).any(0).sum() > n / 2
    # Across the end of an episode: autoreset is where the runner expects it.
    again = runner.sample(num_timesteps=n * (days + 5), explore=False)
    assert sorted(len(episode) for episode in again) == [5] * n + [days] * n
    first = [episode for episode in again if len(episode) == 5]
    start = scenario.observe(0, evaluation_start(scenario)).flatten()
    np.testing.assert_allclose(np.stack([e.get_observations(0) for e in first]), start, rtol=1e-6)
    runner.stop()


# -- (b), (c) remote runners ------------------------------------------------------------------


@pytest.mark.slow
def test_remote_runners_play_on_the_learners_weights_and_survive_a_kill(build: Build) -> None:
    algorithm = build("ppo", num_env_runners=2)
    group = algorithm.env_runner_group

    def remote_weights() -> list[dict[str, torch.Tensor]]:
        return list(group.foreach_env_runner(lambda r: weights(r.module), local_env_runner=False))

    for _ in range(2):  # before the first iteration, and after it
        expected = learner_policy(algorithm)
        remote = remote_weights()
        assert len(remote) == 2
        for got in remote:
            assert_equal({name: got[name] for name in expected}, expected)
        before = expected
        algorithm.train()
    assert not torch.equal(before["log_std"], learner_policy(algorithm)["log_std"])

    unkilled = algorithm._collect()
    assert group.num_healthy_remote_env_runners() == 2
    actor = group._worker_manager.actors()[2]
    ray.kill(actor, no_restart=False)
    killed = algorithm._collect()
    assert_equal(killed, unkilled)
    assert group.num_remote_worker_restarts() == 1
    assert group.num_healthy_remote_env_runners() == 2
    result = algorithm.train()
    assert result["training_iteration"] == 3


# -- (d) several learners ---------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", list(SMALL))
def test_two_learners_stay_bit_equal(build: Build, algorithm: str) -> None:
    """A rollout that bypasses DDP would let them drift apart silently."""
    built = build(algorithm, num_learners=2)
    first = learner_policy(built)
    for _ in range(2):
        built.train()

    def state(learner: Any) -> dict[str, torch.Tensor]:
        found = weights(learner.module["default_policy"].unwrapped())
        if algorithm != "ds":
            found["target_size"] = learner._target_size
        return found

    one, two = [result.get() for result in built.learner_group.foreach_learner(state)]
    assert_equal(one, two)
    assert any(not torch.equal(one[name], first[name]) for name in first)


# -- (e) checkpoints --------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", list(SMALL))
def test_a_restored_algorithm_is_the_saved_one(
    build: Build, algorithm: str, tmp_path: Path, source: DatasetSource
) -> None:
    training = {**SMALL[algorithm], "lr": 0.01, "lr_final": 0.0001}
    original, restored = (build(algorithm, training=training, seed=s) for s in (1, 1))
    for _ in range(2):
        original.train()
    original.save_to_path(str(tmp_path / "checkpoint"))
    restored.restore_from_path(str(tmp_path / "checkpoint"))
    assert restored.iteration == 2
    scenario = source.load("validation", 0)
    observation = scenario.observe(0, evaluation_start(scenario))
    with torch.no_grad():
        orders = [policy_of(a).decide(observation).order for a in (original, restored)]
    assert torch.equal(*orders)
    learners = [a.learner_group._learner for a in (original, restored)]
    modules = [weights(each.module["default_policy"].unwrapped()) for each in learners]
    assert_equal(*modules)  # targets, critics and the averaged policy too
    assert any(name.startswith("averaged.net") for name in modules[0])
    if algorithm != "ds":
        assert torch.equal(*(each._target_size for each in learners))
    original.train()
    restored.train()
    assert restored.iteration == 3
    assert_equal(learner_policy(original), learner_policy(restored))
    after = policy_of(restored).decide(observation).order
    assert not torch.equal(after, orders[0])


def history(directory: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (directory / "history.jsonl").read_text().splitlines()]


def test_a_training_run_resumes_from_its_checkpoint(source: DatasetSource, tmp_path: Path) -> None:
    run = small_run("ds", iterations=5, validate_every=1, checkpoint_every=2)
    first = TrainingRun(run, source, tmp_path)
    for _ in range(3):  # dies one iteration after its checkpoint
        first.step()
        if first.result.iterations == 2:
            saved = weights(policy_of(first.algorithm))
    assert RunResult.read(tmp_path) is None
    first.close()
    second = TrainingRun(run, source, tmp_path)
    assert second.result.iterations == second.algorithm.iteration == 2
    assert second.result.best_iteration <= 2
    assert_equal(weights(policy_of(second.algorithm)), saved)
    while not second.done:
        figures = second.step()
    second.close()
    result = RunResult.read(tmp_path)
    assert result == second.result
    assert result.status == "finished"
    assert result.iterations == 5
    lines = history(tmp_path)
    assert [line["iteration"] for line in lines] == [1, 2, 3, 4, 5]
    # Single validations are a lottery: the mean of the last ones decides.
    smooth = [
        {name: float(np.mean([line[name] for line in lines[max(0, i - SMOOTHED + 1) : i + 1]]))
         for name in metric_names()}
        for i in range(5)
    ]  # fmt: skip
    best = min(range(5), key=lambda i: smooth[i]["cost"])
    assert best + 1 == result.best_iteration
    assert result.validation == pytest.approx(smooth[best], rel=1e-9)
    assert figures["cost"] == lines[-1]["cost"]
    # The model that was kept is that iteration's average, as the project's evaluator sees it.
    model = load_model(tmp_path / "model")
    assert model.factors == source.factors
    rows = evaluate_scenario(source.load("validation", 0), play_policy(model.policy.decide))
    assert summarize(rows)["cost"] == pytest.approx(lines[best]["cost"], rel=1e-6)
    assert not (tmp_path / "checkpoint").exists()


def test_a_run_that_diverges_says_so(source: DatasetSource, tmp_path: Path) -> None:
    run = small_run("ds", iterations=5, validate_every=1)
    training = TrainingRun(run, source, tmp_path)
    with torch.no_grad():
        for parameter in policy_of(training.algorithm).parameters():
            parameter.fill_(float("nan"))
    learner = training.algorithm.learner_group
    learner.set_weights({"default_policy": {
        name: np.full_like(value, np.nan)
        for name, value in learner.get_weights()["default_policy"].items()
    }})  # fmt: skip
    training.step()
    training.close()
    assert training.done
    result = RunResult.read(tmp_path)
    assert result is not None
    assert result.status == "diverged"
    assert "validation cost is nan" in result.cause


# -- (f) evaluation ---------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", list(SMALL))
def test_rllibs_evaluation_is_the_evaluators(
    build: Build, source: DatasetSource, algorithm: str
) -> None:
    built = build(algorithm, validate_every=2)
    trained = [built.train() for _ in range(2)]
    module = built.get_module().unwrapped()
    policy = module.averaged  # not the policy of the last update, which is trained on
    assert not torch.equal(policy.net[-1].weight, module.policy.net[-1].weight)
    rows = pd.concat(
        evaluate_scenario(source.load("validation", tile), play_policy(policy.decide))
        for tile in range(source.num_tiles("validation"))
    )
    expected = summarize(rows)
    during = trained[1]["evaluation"][ENV_RUNNER_RESULTS]
    after = built.evaluate()[ENV_RUNNER_RESULTS]
    for name in metric_names():
        assert float(during[name]) == pytest.approx(expected[name], rel=1e-5)
        assert float(after[name]) == pytest.approx(expected[name], rel=1e-5)
    assert after["num_episodes"] == 60


def test_the_same_seed_trains_the_same_policy(build: Build) -> None:
    def trained(seed: int) -> dict[str, torch.Tensor]:
        algorithm = build("ppo", seed=seed)
        for _ in range(2):
            algorithm.train()
        return learner_policy(algorithm)

    one, two, other = trained(3), trained(3), trained(4)
    assert_equal(one, two)
    assert any(not torch.equal(one[name], other[name]) for name in one)
