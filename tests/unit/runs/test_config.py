"""A run's configuration: what reaches RLlib, and errors that name key, value and remedy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from envs.errors import ConfigError
from pipeline.algorithms.build import FINAL_RATE, build_config, training_keys
from pipeline.policies.action_models import ACTION_MODELS
from pipeline.runs.config import RunConfig, load_yaml, parse
from pipeline.runs.method import AlgorithmName
from pipeline.scenarios.dataset import DatasetSource

BASE = {"algorithm": "ddpg", "action_model": "both"}


def refused(**content: Any) -> ConfigError:
    with pytest.raises(ConfigError) as raised:
        parse(RunConfig, {**BASE, **content}, "run.yaml")
    return raised.value


def test_a_typo_is_answered_with_the_nearest_key() -> None:
    error = refused(iteration=5)
    assert error.field == "run.yaml: iteration"
    assert error.remedy == "Did you mean iterations?"


def test_a_key_like_no_other_is_answered_with_all_keys() -> None:
    assert "validate_every" in refused(xyzzy=1).remedy


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("iterations", "many"),
        ("iterations", 0),
        ("seed", -1),
        ("action_model", "bose"),
        ("algorithm", "sac"),
        ("num_gpus_per_learner", -1),
        ("training", 3),
    ],
)
def test_a_wrong_value_is_named(key: str, value: object) -> None:
    error = refused(**{key: value})
    assert error.field == f"run.yaml: {key}"
    assert error.value == value


def test_a_missing_key_is_named() -> None:
    with pytest.raises(ConfigError, match="algorithm") as raised:
        parse(RunConfig, {"action_model": "both"}, "run.yaml")
    assert raised.value.remedy == "Add it."


def test_yaml_files(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("algorithm: ds\naction_model: base\ntraining: {lr: 1.0e-3}\n")
    run = parse(RunConfig, load_yaml(path), path.name)
    assert (run.method, run.training) == ("ds-base", {"lr": 1e-3})
    path.write_text("algorithm: [ds\naction_model: base\n")
    with pytest.raises(ConfigError, match="Correct the YAML in line 2"):
        load_yaml(path)
    path.write_text("- a\n- b\n")
    with pytest.raises(ConfigError, match="holds no mapping"):
        load_yaml(path)
    with pytest.raises(ConfigError, match="exists and can be read"):
        load_yaml(tmp_path / "none.yaml")


@pytest.fixture
def build(source: DatasetSource) -> Any:
    def make(algorithm: str = "ddpg", training: dict[str, Any] | None = None, **more: Any) -> Any:
        content = {"algorithm": algorithm, "action_model": "both", "training": training or {}}
        return build_config(RunConfig(**{**content, **more}), source)

    return make


@pytest.mark.parametrize("algorithm", list(AlgorithmName))
def test_training_values_reach_rllib_as_they_stand(build: Any, algorithm: AlgorithmName) -> None:
    training = {"grad_clip": 2.5, "hidden": [8], "fragment_days": 30, "weight_power": 0.25}
    config = build(algorithm, training, seed=4, num_env_runners=2, validate_every=7)
    assert {name: getattr(config, name) for name in training} == training
    assert (config.seed, config.num_env_runners, config.evaluation_interval) == (4, 2, 7)
    settings = config.rl_module_spec.model_config
    assert settings["hidden"] == (8,)
    assert settings["initial_action"] == ACTION_MODELS.find("both").start
    assert settings["action_model"]["kind"] == "both"


def test_the_width_of_observation_and_action_follow_from_data_and_action_model(
    build: Any, source: DatasetSource
) -> None:
    config = build("ds")
    assert config.observation_space.shape == (source.layout.size,)
    assert config.action_space.shape == (source.layout.basis,)
    assert build("ds", action_model="none").action_space.shape == (1,)


def test_final_rates_become_schedules_over_the_run(build: Any) -> None:
    first = build().critic_lr[0][1]
    config = build(training={"lr": 1e-3, "lr_final": 1e-5, "critic_lr_final": 1e-6}, iterations=30)
    assert config.lr == [[0, 1e-3], [30, 1e-5]]
    assert config.critic_lr == [[0, first], [30, 1e-6]]


def test_rates_fall_by_default_and_given_schedules_stand(build: Any) -> None:
    config = build(training={"lr": 0.01}, iterations=20)
    assert config.lr == [[0, 0.01], [20, pytest.approx(0.01 * FINAL_RATE)]]
    schedule = [[0, 0.01], [5, 0.02]]
    assert build(training={"lr": schedule}).lr == schedule


def test_a_typo_in_training_is_answered_with_the_nearest_key(build: Any) -> None:
    with pytest.raises(ConfigError, match=r"Did you mean exploration_noise\?"):
        build(training={"exploration_nois": 0.1})
    with pytest.raises(ConfigError, match="critic_lr"):
        build("ds", training={"critic_lr": 0.1})
    with pytest.raises(ConfigError, match="critic_lr_final"):
        build("ds", training={"critic_lr_final": 0.1})


@pytest.mark.parametrize(
    ("algorithm", "training"),
    [
        ("ppo", {"minibatch_size": 9999, "train_batch_size_per_learner": 100}),
        ("ddpg", {"lr": "1e-3"}),  # what YAML makes of 1e-3 without a point
        ("ddpg", {"critic_lr": "1e-3"}),
        ("ddpg", {"gamma": "high"}),
        ("ddpg", {"tau": [0.1]}),
        ("ds", {"updates_per_iteration": "ten"}),
        ("ds", {"hidden": 64}),
        ("ppo", {"grad_clip_by": "value"}),
        ("ppo", {"fragment_copies": 0}),
        ("ddpg", {"updates_per_iteration": 2.5}),
        ("ddpg", {"tau": 2.0}),
        ("ddpg", {"alternatives": -1}),
        ("ddpg", {"alternatives": 1.5}),
        ("ddpg", {"decisions_per_fragment": 0}),
        ("ddpg", {"exploration_noise": -0.1}),
        ("ddpg", {"exploration_noise": 11.0}),
        ("ppo", {"initial_std": 0.0}),
        ("ds", {"initial_action": 1.0}),
        ("ds", {"initial_action": "low"}),
        ("ddpg", {"lr": [[0, 0.01], [5, 0.02]], "lr_final": 0.01}),
    ],
)
def test_a_wrong_training_value_is_refused_before_anything_runs(
    build: Any, algorithm: str, training: dict[str, Any]
) -> None:
    with pytest.raises(ConfigError) as raised:
        build(algorithm, training)
    assert any(key in str(raised.value) for key in training)


def test_exploration_may_be_wider_than_the_first_action(build: Any) -> None:
    assert build(training={"exploration_noise": 1.5}).exploration_noise == 1.5
    assert build("ppo", training={"initial_std": 2}).initial_std == 2


def test_training_keys_are_rllibs_and_ours() -> None:
    from pipeline.algorithms.ddpg import DDPGConfig
    from pipeline.algorithms.ppo import PPOConfig

    assert {"gamma", "lr", "lr_final", "tau", "critic_lr_final", "alternatives"} < training_keys(
        DDPGConfig
    )
    assert {"clip_param", "num_epochs", "initial_std"} < training_keys(PPOConfig)
    assert "tau" not in training_keys(PPOConfig)
