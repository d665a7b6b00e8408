"""A training run that starts from what a planner's rule orders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from envs.rollout import Decision
from pipeline.algorithms.build import build_config
from pipeline.algorithms.shard import ShardAlgorithm
from pipeline.runs.config import RunConfig
from pipeline.scenarios.dataset import DatasetSource
from pipeline.training.run import TrainingRun
from tests.runners import SMALL

pytestmark = pytest.mark.usefixtures("cluster")
Weights = dict[str, torch.Tensor]


def small_run(algorithm: str, **settings: Any) -> RunConfig:
    training = {**SMALL[algorithm], **({"critic_warm_up": 0} if algorithm == "ddpg" else {})}
    content = {"algorithm": algorithm, "action_model": "both", "training": training}
    return RunConfig(**{**content, "iterations": 4, **settings})


def weights(module: torch.nn.Module) -> Weights:
    return {name: value.detach().clone() for name, value in module.state_dict().items()}


def same(one: Weights, other: Weights) -> bool:
    return all(torch.equal(value, other[name]) for name, value in one.items())


def policy_of(algorithm: ShardAlgorithm) -> torch.nn.Module:
    policy: torch.nn.Module = algorithm.get_module().unwrapped().policy
    return policy


@pytest.mark.parametrize("algorithm", list(SMALL))
def test_a_run_starts_from_the_rule_once(
    source: DatasetSource, tmp_path: Path, algorithm: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All copies of the policy, in learner and runner; a run that is resumed goes on."""
    asked = []

    def noted(self: ShardAlgorithm, rule: Any, updates: int) -> None:
        asked.append((type(rule).__name__, updates))
        imitate(self, rule, updates)

    imitate = ShardAlgorithm.imitate
    monkeypatch.setattr(ShardAlgorithm, "imitate", noted)
    run = small_run(algorithm, checkpoint_every=1, imitation_updates=3)
    plain = TrainingRun(small_run(algorithm), source, tmp_path / "plain")
    first = TrainingRun(run, source, tmp_path / "rule")
    assert asked == [("OrderUpToPerClass", 3)]
    started = weights(policy_of(first.algorithm))
    learner = first.algorithm.learner_group._learner.own_module
    for each in learner.policies():
        assert same(weights(each), started)
    assert not same(weights(policy_of(plain.algorithm)), started)
    assert first.result.seconds > 0
    first.step()
    assert not same(weights(learner.policy), started)
    for each in (first, plain):
        each.close()
    second = TrainingRun(run, source, tmp_path / "rule")
    second.close()
    assert len(asked) == 1


@pytest.mark.slow
def test_every_learner_and_runner_starts_from_the_rule(source: DatasetSource) -> None:
    built = build_config(small_run("ddpg", num_learners=2, num_env_runners=2), source).build_algo()
    built.imitate(lambda seen: Decision(seen.scale), 2)
    started = weights(policy_of(built))
    learners = [
        result.get()
        for result in built.learner_group.foreach_learner(
            lambda learner: [weights(policy) for policy in learner.own_module.policies()]
        )
    ]
    runners = built.env_runner_group.foreach_env_runner(
        lambda runner: weights(runner.module.policy), local_env_runner=False
    )
    built.stop()
    assert [len(copies) for copies in learners] == [3, 3]
    assert len(runners) == 2
    for each in [*learners[0], *learners[1], *runners]:
        assert same(each, started)
