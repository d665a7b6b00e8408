"""Goals: read as people write them, met with nothing to spare."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pytest

from envs.errors import ConfigError
from envs.objective import DEFAULT_OBJECTIVE
from envs.rollout import Decision
from envs.state import Observation
from pipeline.evaluation.goal import ALL, Goal, Player, Summary, find_factors
from pipeline.features.trade_off import LOG_RATIO
from pipeline.scenarios.dataset import DatasetSource


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("stockout<=3%", "stockout<=3%"),
        ("Stockout <= 2.5 %", "stockout<=2.5%"),
        ("fill>=98", "fill>=98%"),
        ("turnover<=20 days per class", "turnover<=20 days per class"),
    ],
)
def test_goals_are_read(text: str, written: str) -> None:
    assert str(Goal.parse(text)) == written
    assert str(Goal.parse(written)) == written


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("stockouts below 3", "Write one like"),
        ("stockout<=3 days", "Give stockout in %"),
        ("fill<=98%", "Write >="),
        ("speed<=3", "Write one like"),
    ],
)
def test_what_is_no_goal_is_refused(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Goal.parse(text)


def falling(factors: Mapping[str, float]) -> dict[str, Summary]:
    """Stockouts of 10 % / factor; turnover of 5 days x factor."""
    return {
        group: {
            "stockout_rate_pct": 10.0 / factor,
            "turnover_days": 5.0 * factor,
            "fill_rate_pct": 100.0 - 4.0 / factor,
        }
        for group, factor in factors.items()
    }


@pytest.mark.parametrize(
    ("text", "factor"),
    [("stockout<=4%", 2.5), ("fill>=99%", 4.0), ("turnover<=20 days", 4.0)],
)
def test_the_factor_meets_the_goal_and_spares_nothing(text: str, factor: float) -> None:
    goal = Goal.parse(text)
    found = find_factors(goal, falling, [ALL], (0.1, 100.0))[ALL]
    assert found.factor == pytest.approx(factor, rel=0.01)
    assert goal.met_by(found.figures)


def test_groups_have_factors_of_their_own() -> None:
    def play(factors: Mapping[str, float]) -> dict[str, Summary]:
        return falling({"A": factors["A"], "B": factors["B"] / 2})

    found = find_factors(Goal.parse("stockout<=5% per class"), play, ["A", "B"], (0.1, 100.0))
    assert found["A"].factor == pytest.approx(2.0, rel=0.01)
    assert found["B"].factor == pytest.approx(4.0, rel=0.01)


def test_a_goal_out_of_reach_says_what_can_be_reached() -> None:
    with pytest.raises(ConfigError, match=r"no better than 5\b"):
        find_factors(Goal.parse("stockout<=1%"), falling, [ALL], (0.1, 2.0))


def test_a_policy_is_played_at_the_factor_of_each_class(source: DatasetSource) -> None:
    """More weight on shortages, as the policy sees it: more stock and fewer stockouts."""

    def policy(observation: Observation) -> Decision:
        level = observation.scale * (1.0 + observation.features[:, LOG_RATIO])
        return Decision(level - observation.stock.sum(-1))

    player = Player(source, "validation", policy, DEFAULT_OBJECTIVE, per_class=True)
    assert len(player.groups) > 1
    plain = player(dict.fromkeys(player.groups, 1.0))
    first, *others = sorted(player.groups)
    turned = player({**dict.fromkeys(others, 1.0), first: 30.0})
    assert turned[first]["turnover_days"] > plain[first]["turnover_days"]
    assert turned[first]["stockout_rate_pct"] <= plain[first]["stockout_rate_pct"]
    for group in others:
        assert turned[group] == pytest.approx(plain[group], nan_ok=True)
    assert math.isfinite(plain[first]["turnover_days"])
