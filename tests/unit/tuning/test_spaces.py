"""Search dimensions and the Latin hypercube."""

from __future__ import annotations

import math

import pytest

from envs.errors import ConfigError
from tuning.spaces import latin_hypercube, value_at


def test_values_at_a_share_of_the_range() -> None:
    assert value_at("tau", {"uniform": [1.0, 3.0]}, 0.25) == pytest.approx(1.5)
    assert value_at("lr", {"loguniform": [1e-4, 1e-2]}, 0.5) == pytest.approx(1e-3)
    assert value_at("batch", {"choice": [128, 256, 512]}, 0.5) == 256
    assert value_at("batch", {"choice": [128, 256, 512]}, 0.999) == 512


def test_a_latin_hypercube_visits_every_stratum_once() -> None:
    n = 10
    space = {"lr": {"loguniform": [1e-4, 1e-2]}, "gamma": {"uniform": [0.0, 1.0]}}
    design = latin_hypercube(space, n, seed=3)
    rates = sorted(int(n * math.log(c["lr"] / 1e-4) / math.log(100)) for c in design)
    assert rates == list(range(n))
    assert sorted(int(n * c["gamma"]) for c in design) == list(range(n))


def test_the_design_depends_on_its_seed_alone() -> None:
    space = {"lr": {"uniform": [0.0, 1.0]}}
    assert latin_hypercube(space, 5, 1) == latin_hypercube(space, 5, 1)
    assert latin_hypercube(space, 5, 1) != latin_hypercube(space, 5, 2)


def test_nothing_to_search() -> None:
    assert latin_hypercube({}, 3, 0) == [{}, {}, {}]


@pytest.mark.parametrize(
    "dimension",
    [
        {"normal": [0, 1]},
        {"uniform": [0, 1], "choice": [1]},
        {"uniform": [2.0, 1.0]},
        {"loguniform": [0.0, 1.0]},
        {"choice": []},
    ],
)
def test_a_wrong_dimension_is_named(dimension: dict[str, list[float]]) -> None:
    with pytest.raises(ConfigError, match=r"search\.lr"):
        value_at("lr", dimension, 0.5)
