"""From a run's configuration to RLlib's: the algorithms by name, and what they accept."""

from __future__ import annotations

import inspect
import logging
from typing import Any

from envs.errors import ConfigError
from envs.objective import objective_of
from pipeline.algorithms.ddpg import DDPGConfig
from pipeline.algorithms.ds import DSConfig
from pipeline.algorithms.ppo import PPOConfig
from pipeline.runs.config import AlgorithmName, RunConfig, unknown_key

CONFIGS: dict[AlgorithmName, Any] = {
    AlgorithmName.DDPG: DDPGConfig,
    AlgorithmName.PPO: PPOConfig,
    AlgorithmName.DS: DSConfig,
}

FINAL_RATE = 0.03
"""Learning rates fall to this share of their start over a run, unless ``lr_final`` says where
to. At a constant rate the policies go on moving by more than what separates the methods."""

LEAST = {
    "fragment_days": 1, "fragment_copies": 1, "updates_per_iteration": 1,
    "fragments_per_iteration": 1, "alternatives": 1, "decisions_per_fragment": 1,
    "replay_fragments": 1, "replay_capacity": 1, "critic_warm_up": 0,
    "train_batch_size_per_learner": 1, "minibatch_size": 1, "num_epochs": 1,
}  # fmt: skip
"""Whole numbers, and their least values."""
RANGES = {
    "gamma": (0.0, 1.0), "tau": (0.0, 1.0), "lambda_": (0.0, 1.0),
    "initial_action": (0.001, 0.999), "exploration_noise": (0.0, 10.0), "initial_std": (1e-6, 10.0),
    "actor_smoothing": (0.0, 1.0), "kl_limit": (0.0, 1e6),
}  # fmt: skip
"""Ends of other numbers' ranges."""


def training_keys(config_class: type) -> set[str]:
    """Names that ``training()`` of a config class takes, RLlib's own included."""
    names: set[str] = {"lr_final"}
    for cls in config_class.__mro__:
        method = cls.__dict__.get("training")
        if method is not None:
            parameters = inspect.signature(method).parameters.values()
            names |= {p.name for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY}
    if "critic_lr" in names:
        names.add("critic_lr_final")
    return names


def _check_type(key: str, value: Any, default: Any) -> None:
    """RLlib takes any value and fails while training: compare types with the default."""
    numbers = (int, float)
    if value is None and key == "grad_clip":
        return
    if isinstance(default, (tuple, list)) and key.endswith("hidden"):
        good = isinstance(value, (tuple, list)) and all(isinstance(v, int) for v in value)
        wanted = "Write a list of whole numbers, [64, 64]."
    elif isinstance(default, numbers) and not isinstance(default, bool):
        schedule = isinstance(value, list) and key in ("lr", "critic_lr", "entropy_coeff")
        good = schedule or (isinstance(value, numbers) and not isinstance(value, bool))
        wanted = "Write a number (1.0e-3: YAML reads 1e-3 as text)."
    else:
        return
    if not good:
        raise ConfigError(f"training: {key}", value, wanted, "has the wrong type")


def _check_range(key: str, value: Any) -> None:
    """What would otherwise end a run in its first iteration, or train something else."""
    if key in LEAST and (not isinstance(value, int) or value < LEAST[key]):
        raise ConfigError(
            f"training: {key}", value, f"Use a whole number of at least {LEAST[key]}."
        )
    if key in RANGES and value is not None:
        low, high = RANGES[key]
        if not isinstance(value, (int, float)) or not low <= value <= high:
            raise ConfigError(f"training: {key}", value, f"Use a number from {low:g} to {high:g}.")


def _training_of(run: RunConfig, config: Any) -> dict[str, Any]:
    """The arguments of ``training()``: checked, learning rates as schedules over the run."""
    known = training_keys(type(config))
    for key in run.training:
        if key not in known:
            raise unknown_key("training", key, known)
        _check_type(key, run.training[key], getattr(config, key.removesuffix("_final")))
        _check_range(key, run.training[key])
    training = dict(run.training)
    clip_by = training.get("grad_clip_by", "global_norm")
    if clip_by != "global_norm":  # see JointGradients
        raise ConfigError(
            "training: grad_clip_by", clip_by, "Leave it out: gradients are clipped by global norm."
        )
    for rate in ("lr", "critic_lr"):
        first = training.get(rate, getattr(config, rate, None))
        final = training.pop(f"{rate}_final", None)
        if final is not None and isinstance(first, list):
            raise ConfigError(
                f"training: {rate}_final", final, f"Let the schedule of {rate} end with it.",
                "does not go with a schedule",
            )  # fmt: skip
        if isinstance(first, (int, float)):
            final = first * FINAL_RATE if final is None else final
            training[rate] = [[0, first], [run.iterations, final]]
    return training


def build_config(run: RunConfig, source: Any, **inventories: Any) -> Any:
    """The RLlib configuration of a run.

    Args:
        run: What to train.
        source: A :class:`~pipeline.scenarios.source.ScenarioSource`.
        **inventories: Further arguments of the config's ``inventories()``.

    Raises:
        ConfigError: ``training`` holds a key the algorithm does not know, or a bad value.
    """
    # RLlib says in every process that its new API stack is the default.
    logging.getLogger("ray.rllib").setLevel(logging.ERROR)
    config = CONFIGS[run.algorithm]()
    training = _training_of(run, config)
    try:
        config.inventories(
            source=source,
            action_model=run.action_model,
            objective=objective_of(run.objective),
            shortage_factors=run.shortage_factors,
            planned_iterations=run.iterations,
            **inventories,
        )
        config.training(**training)
        config.debugging(seed=run.seed, log_level="ERROR")
        config.env_runners(num_env_runners=run.num_env_runners, sample_timeout_s=600)
        config.learners(
            num_learners=run.num_learners, num_gpus_per_learner=run.num_gpus_per_learner
        )
        config.evaluation(
            evaluation_interval=run.validate_every,
            evaluation_num_env_runners=0,
            evaluation_config={"split": "validation"},
        )
        config.validate()
    except (TypeError, ValueError) as error:
        raise ConfigError(
            "training", run.training, "Correct the value that the message names.",
            f"was refused by {run.algorithm} ({error})",
        ) from error  # fmt: skip
    return config
