"""From a run's configuration to RLlib's: the algorithms by name, and what they accept."""

from __future__ import annotations

import logging
from typing import Any

from envs.errors import ConfigError
from envs.objective import objective_of
from envs.registry import Registry
from pipeline.algorithms.config import ShardSettings
from pipeline.algorithms.settings import LearningRate, Number, is_number
from pipeline.runs.config import RunConfig, unknown_key
from pipeline.runs.method import AlgorithmName
from pipeline.scenarios.dataset import DatasetSource

ALGORITHMS = Registry(
    "algorithm",
    ShardSettings,
    {name.value: f"pipeline.algorithms.{name}:{name.name}Config" for name in AlgorithmName},
)
"""Their configurations, each in the file of its algorithm's name."""

FINAL_RATE = 0.03
"""Learning rates fall to this share of their start over a run, unless ``lr_final`` says where
to. At a constant rate the policies go on moving by more than what separates the methods."""


def training_keys(config_class: type[ShardSettings]) -> set[str]:
    """Names that a run's ``training`` takes: those of the config's ``training()``, and where
    learning rates end."""
    return config_class.training_keys() | {f"{rate}_final" for rate in _rates(config_class)}


def _rates(config_class: type[ShardSettings]) -> list[str]:
    declared = config_class.declared.items()
    return [name for name, setting in declared if isinstance(setting.limits, LearningRate)]


def _remedy(config: ShardSettings, key: str, value: Any) -> str | None:
    """What to write instead of a value; None: it is a good one."""
    if key in config.declared:
        return config.declared[key].remedy(value)
    # RLlib's own keys, and where rates end: a number where there is one.
    like = getattr(config, key.removesuffix("_final"), None)
    return Number().remedy(value) if is_number(like) else None


def _training_of(run: RunConfig, config: ShardSettings) -> dict[str, Any]:
    """The arguments of ``training()``: checked, learning rates as schedules over the run."""
    known = training_keys(type(config))
    for key, value in run.training.items():
        if key not in known:
            raise unknown_key("training", key, known)
        if remedy := _remedy(config, key, value):
            raise ConfigError(f"training: {key}", value, remedy)
    training = dict(run.training)
    for rate in _rates(type(config)):
        first = training.get(rate, getattr(config, rate))
        final = training.pop(f"{rate}_final", None)
        if final is not None and isinstance(first, list):
            raise ConfigError(
                f"training: {rate}_final", final, f"Let the schedule of {rate} end with it.",
                "does not go with a schedule",
            )  # fmt: skip
        if is_number(first):
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
    if run.imitation_updates and not isinstance(source, DatasetSource):
        raise ConfigError(
            "imitation_updates", run.imitation_updates, "Leave it out.",
            "needs a data set: the rule to learn from is tuned on its features",
        )  # fmt: skip
    config = ALGORITHMS.find(run.algorithm)()
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
        if isinstance(source, DatasetSource):
            # Minibatches may be of several tiles: in a pool the shortest span sets the length.
            config.fragment_days = min(config.fragment_days, source.num_days("train")[0])
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
