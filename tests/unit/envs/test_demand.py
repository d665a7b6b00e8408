"""The small synthetic problems are what their docstrings say."""

from __future__ import annotations

import pytest
import torch

from envs.demand import SETTING1_LOW, poisson_scenario, study_scenario, study_setting1
from envs.errors import ScenarioError
from envs.objective import governed_days


def test_poisson_demand_has_its_mean_and_variance() -> None:
    rates = torch.tensor([2.0, 9.0])
    scenario = poisson_scenario(
        2, 20_000, mean=rates, lead_time=torch.tensor([0, 3]), shortage_cost=9.0, seed=1
    )
    # Standard errors are 1 % and below.
    torch.testing.assert_close(scenario.demand.mean(0), rates, rtol=0.03, atol=0)
    torch.testing.assert_close(scenario.demand.var(0), rates, rtol=0.05, atol=0)


def test_the_scale_is_the_mean_demand_over_the_protection_period() -> None:
    scenario = poisson_scenario(
        3, 5, mean=4.0, lead_time=torch.tensor([0, 1, 5]), review_period=2,
        shortage_cost=9.0, seed=1,
    )  # fmt: skip
    assert scenario.scale[0].tolist() == [8.0, 12.0, 28.0]
    assert torch.equal(scenario.basis[..., 0], scenario.scale)
    rate, lead, ratio = scenario.features[0].unbind(-1)
    assert rate.exp().tolist() == pytest.approx([0.8] * 3)  # in units of 5 a day
    assert (lead * 1.5 + 2.5).tolist() == pytest.approx([0.0, 1.0, 5.0], abs=1e-5)
    assert (ratio + 2.5).exp().tolist() == pytest.approx([9.0] * 3)
    assert scenario.review[:, 0].tolist() == [True, False, True, False, True]
    assert scenario.max_lead_time == 5


def test_the_seed_decides_the_demand() -> None:
    def demand(seed: int) -> torch.Tensor:
        return poisson_scenario(4, 9, lead_time=1, shortage_cost=9.0, seed=seed).demand

    assert torch.equal(demand(1), demand(1))
    assert not torch.equal(demand(1), demand(2))


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"n": 0}, "n"),
        ({"days": 0}, "days"),
        ({"mean": 0.0}, "mean"),
        ({"lead_time": -1}, "lead_time"),
        ({"lead_time": 3, "max_lead_time": 2}, "lead_time"),
        ({"review_period": 0}, "review_period"),
        ({"shortage_cost": -1.0}, "shortage_cost"),
    ],
)
def test_numbers_out_of_range_are_named(change: dict[str, float], field: str) -> None:
    arguments = {"n": 2, "days": 3, "lead_time": 1, "shortage_cost": 9.0, "seed": 0, **change}
    with pytest.raises(ScenarioError) as raised:
        poisson_scenario(**arguments)  # type: ignore[arg-type]
    assert raised.value.field == field


def test_setting_1_is_the_studys() -> None:
    scenario = study_setting1(4000, seed=7)
    low = torch.tensor(SETTING1_LOW).float()
    extra = scenario.demand - low.unsqueeze(1)
    assert extra.unique().tolist() == [0.0, 1.0, 2.0, 3.0, 4.0]
    shares = torch.stack([(extra == k).float().mean(1) for k in range(5)])
    torch.testing.assert_close(shares, torch.full_like(shares, 0.2), rtol=0, atol=0.03)
    assert scenario.review[:, 0].nonzero().flatten().tolist() == list(range(2, 29, 2))
    assert scenario.features[:, 0, 0].tolist() == [float(t // 2) for t in range(31)]
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
