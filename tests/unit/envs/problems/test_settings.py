"""The settings are what design and docstrings say; setting 4's best level costs what it should."""

from __future__ import annotations

import pytest
import torch

from envs.credit import governed_days
from envs.errors import ScenarioError
from envs.horizon import horizon_metrics
from envs.problems.settings import (
    SETTING1_LOW,
    SETTING4_COST,
    SETTING4_QUANTILE,
    SETTINGS,
    SettingName,
    ar1_demand,
    feature_of,
    setting4_demand,
    study_scenario,
    study_setting,
    study_setting1,
)
from envs.rollout import Decision, rollout
from envs.state import Observation


def test_setting_1_is_the_studys() -> None:
    scenario = study_setting1(4000, seed=7)
    low = torch.tensor(SETTING1_LOW).float()
    extra = scenario.demand - low.unsqueeze(1)
    assert extra.unique().tolist() == [0.0, 1.0, 2.0, 3.0, 4.0]
    shares = torch.stack([(extra == k).float().mean(1) for k in range(5)])
    torch.testing.assert_close(shares, torch.full_like(shares, 0.2), rtol=0, atol=0.03)
    assert scenario.review[:, 0].nonzero().flatten().tolist() == list(range(2, 29, 2))
    feature = feature_of("setting1", scenario.features[:, 0, 0])
    assert feature.tolist() == [t // 2 for t in range(31)]
    assert scenario.backlog
    assert (scenario.order_max, scenario.max_lead_time) == (100.0, 1)
    assert torch.equal(scenario.lead_time, torch.ones(4000, dtype=torch.long))
    assert torch.equal(scenario.review_period, torch.full((4000,), 2))
    b, h = scenario.shortage_cost[0].item(), scenario.holding_cost[0].item()
    assert (b, h) == pytest.approx((0.9, 0.1))
    assert scenario.counted is not None
    assert scenario.counted[:, 0].nonzero().flatten().tolist() == list(range(3, 31))
    assert torch.equal(
        governed_days(scenario.review, scenario.lead_time, scenario.review_period)[1],
        scenario.counted,
    )


def test_other_settings_bring_their_own_feature() -> None:
    yesterday = torch.rand(31, 2)
    scenario = study_scenario(torch.rand(31, 2), yesterday)
    assert torch.equal(scenario.features[..., 0], yesterday)


def test_ar1_demand_follows_its_recursion_and_its_feature_is_yesterday() -> None:
    demand, yesterday = ar1_demand(5000, seed=2)
    assert torch.equal(yesterday[1:], demand[:-1])
    assert float(demand.min()) == 0.0
    # Stationary from the first day that is used: m = 7.5 on average, lifted by the cut at 0.
    by_day = demand.mean(1)
    assert 7.8 < float(by_day.mean()) < 9.5
    assert float(by_day[:10].mean()) == pytest.approx(float(by_day[-10:].mean()), abs=0.2)
    # Within a trajectory days hang together: phi is 0.6 on average.
    centred = demand - demand.mean(0)
    lag = (centred[1:] * centred[:-1]).sum() / (centred**2).sum()
    assert 0.45 < float(lag) < 0.7


def test_setting_4_sells_on_odd_days_around_100() -> None:
    demand, sigma = setting4_demand(4000, seed=3, counted_days=16)
    assert demand.shape == (19, 4000)
    assert float(demand[::2].max()) == 0.0
    z = (demand[1::2] - 100) / sigma[1::2]
    assert float(z.mean()) == pytest.approx(0.0, abs=0.03)
    assert float(z.std()) == pytest.approx(1.0, abs=0.03)
    assert 5.0 <= float(sigma.min()) < 5.1
    assert 19.9 < float(sigma.max()) <= 20.0


def test_the_best_level_of_setting_4_costs_its_newsvendor_cost() -> None:
    scenario = study_setting("setting4", 20_000, seed=4)

    def policy(seen: Observation) -> Decision:
        sigma = feature_of("setting4", seen.features[:, 0])
        return Decision(100 + SETTING4_QUANTILE * sigma - seen.stock.sum(-1))

    played = rollout(scenario, policy)
    cost = horizon_metrics(
        played.outcome, scenario.demand, scenario.shortage_cost, scenario.holding_cost,
        scenario.counted,
    ).cost  # fmt: skip
    in_sigmas = cost / feature_of("setting4", scenario.features[0, :, 0])
    error = float(in_sigmas.std()) / 20_000**0.5
    assert error < 5e-4
    assert float(in_sigmas.mean()) == pytest.approx(SETTING4_COST, abs=4 * error)


@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_is_seeded_and_its_inputs_are_centred(name: SettingName) -> None:
    scenario = study_setting(name, 500, seed=1)
    assert scenario.demand.shape == (31, 500)
    assert torch.equal(scenario.demand, study_setting(name, 500, seed=1).demand)
    assert not torch.equal(scenario.demand, study_setting(name, 500, seed=2).demand)
    assert abs(float(scenario.features.mean())) < 0.5
    assert 0.5 < float(scenario.features.std()) < 3.0
    assert torch.equal(
        governed_days(scenario.review, scenario.lead_time, scenario.review_period)[1],
        scenario.counted,
    )


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        (("setting1", 0, 1), "n"),
        (("setting2", 0, 1), "n"),
        (("setting4", 5, 1, 5), "counted_days"),
        (("setting4", 5, 1, 0), "counted_days"),
    ],
)
def test_numbers_out_of_range_are_named(arguments: tuple[object, ...], field: str) -> None:
    with pytest.raises(ScenarioError) as raised:
        study_setting(*arguments)  # type: ignore[arg-type]
    assert raised.value.field == field
