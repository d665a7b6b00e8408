"""Hyperparameters are declared once, as fields of a config."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig

from pipeline.algorithms.build import ALGORITHMS, training_keys
from pipeline.algorithms.config import ShardSettings, rllib_keys
from pipeline.algorithms.settings import Count, Number, Share, Widths


class OwnConfig(ShardSettings):
    """Of nobody's algorithm."""

    tau: Share = 0.5
    slope: Annotated[float | None, Number(1.0, 2.0)] = None
    train_batch_size_per_learner: Count = 32
    widths: Widths = (8,)
    described: int
    """No hyperparameter: neither limits nor a default."""


def test_a_field_has_its_default_and_is_taken_by_training() -> None:
    config = OwnConfig()
    assert (config.tau, config.slope, config.fragment_days) == (0.5, None, 56)
    assert config.train_batch_size_per_learner == 32
    assert isinstance(OwnConfig.train_batch_size_per_learner, property)  # still RLlib's
    assert config.training(tau=0.25, fragment_days=7, gamma=0.9, lr=0.1) is config
    assert (config.tau, config.fragment_days, config.gamma, config.lr) == (0.25, 7, 0.9, 0.1)
    assert OwnConfig().tau == 0.5
    assert config.copy().tau == 0.25
    with pytest.raises(TypeError, match="taw"):
        config.training(taw=0.1)


def test_training_keys_are_the_fields_and_rllibs() -> None:
    keys = training_keys(OwnConfig)
    assert {"tau", "slope", "hidden", "lr", "lr_final", "gamma"} < keys
    assert not keys & {"described", "source", "algo_class", "tau_final"}
    assert rllib_keys(AlgorithmConfig) < keys


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("tau", [0, 1.0], [-0.1, 1.1, True, "0.5", [0.5], None, float("nan")]),
        ("slope", [None, 1, 2.0], [0.5, "1.5"]),
        ("train_batch_size_per_learner", [1, 10**6], [0, 2.5, True, "3", None]),
        ("widths", [(64, 64), [8]], [64, [8.0], None]),
        ("lr", [1e-3, [[0, 1e-3], [5, 0.0]]], ["1e-3", None]),
        ("grad_clip", [5.0, None], ["5"]),
        ("grad_clip_by", ["global_norm"], ["value"]),
    ],
)
def test_limits(name: str, good: list[Any], bad: list[Any]) -> None:
    setting = OwnConfig.declared[name]
    assert [value for value in good if setting.remedy(value)] == []
    assert [value for value in bad if not setting.remedy(value)] == []


@pytest.mark.parametrize("algorithm", list(ALGORITHMS))
def test_defaults_are_within_their_limits(algorithm: str) -> None:
    config = ALGORITHMS.find(algorithm)()
    # Without a default here, RLlib's stays; algorithms that ignore it may have none.
    given = {name: getattr(config, name) for name in config.declared}
    wrong = {n: v for n, v in given.items() if v is not None and config.declared[n].remedy(v)}
    assert wrong == {}
    assert {"lr", "gamma", "hidden", "train_batch_size_per_learner"} <= given.keys()
