"""Expected leftover and shortage, against stockpyl and against sums."""

from __future__ import annotations

import numpy as np
import pytest
from stockpyl.loss_functions import negative_binomial_loss, normal_loss, poisson_loss

from envs.errors import ScenarioError
from envs.problems.classical import Geometric, Normal, Poisson
from pipeline.studies.solvers.laws import (
    daily_probabilities,
    expected_cost,
    expected_leftover,
    total_demand,
)


@pytest.mark.parametrize("days", [1, 2, 5])
@pytest.mark.parametrize("level", [0, 1, 7, 25, 60])
def test_leftover_is_stockpyls_complementary_loss(days: int, level: int) -> None:
    poisson, geometric, normal = Poisson(5.0), Geometric(5.0), Normal(5.0, 1.6)
    cases = {
        poisson: poisson_loss(level, days * 5.0),
        geometric: negative_binomial_loss(level, r=days, p=1 / 6),
        normal: normal_loss(level, days * 5.0, 1.6 * days**0.5),
    }
    for law, (shortage, leftover) in cases.items():
        assert expected_leftover(law, days, level) == pytest.approx(leftover, abs=1e-9)
        cost = expected_cost(law, days, level, 9.0, 2.0)
        assert cost == pytest.approx(9 * shortage + 2 * leftover, abs=1e-8)


@pytest.mark.parametrize("law", [Poisson(5.0), Geometric(5.0), Poisson(0.3)], ids=str)
def test_probabilities_are_those_of_a_day(law: Poisson | Geometric) -> None:
    p = daily_probabilities(law)
    units = np.arange(len(p))
    assert p.sum() == pytest.approx(1.0, abs=1e-15)
    assert p @ units == pytest.approx(law.mean, rel=1e-12)
    variance = law.mean if isinstance(law, Poisson) else law.mean * (1 + law.mean)
    assert p @ units**2 - law.mean**2 == pytest.approx(variance, rel=1e-9)
    two_days = np.convolve(p, p)
    np.testing.assert_allclose(
        two_days, total_demand(law, 2).pmf(np.arange(len(two_days))), atol=1e-14
    )


def test_leftover_between_whole_levels_is_on_the_line() -> None:
    low, high = (expected_leftover(Poisson(5.0), 2, level) for level in (11, 12))
    assert expected_leftover(Poisson(5.0), 2, 11.25) == pytest.approx(0.75 * low + 0.25 * high)


def test_continuous_demand_has_no_table() -> None:
    with pytest.raises(ScenarioError, match="search_by_simulation") as raised:
        daily_probabilities(Normal(5.0, 1.6))
    assert raised.value.value == "Normal"
