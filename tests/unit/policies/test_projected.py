"""PROJ and PROJBOTH: a level that the projected stock counts against."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from envs.errors import ConfigError
from envs.rollout import rollout
from envs.state import InventoryState, Observation
from pipeline.features.build import FEATURES
from pipeline.features.coming import DatasetDemand
from pipeline.policies.action_models import make_action_model
from pipeline.policies.networks import PolicyNetwork
from pipeline.policies.store import load_model, save_model
from pipeline.scenarios.dataset import DatasetSource
from pipeline.scenarios.trajectories import StudyData
from pipeline.studies.speed import problems
from tests.own_coming import AnyDemand

KINDS = ["proj", "projboth"]
MEAN_ONLY = "pipeline.policies.projected:MeanProjectedLevel"
# K = 1; lead times 1 and 0 (half a feature of 1), demand 0.3 a scale.
OBSERVATION = Observation(
    stock=torch.tensor([[3.0, 2.0], [10.0, 1.0]]),
    scale=torch.tensor([4.0, 8.0]),
    basis=torch.tensor([[1.0, 2.0, 4.0], [3.0, 5.0, 8.0]]),
    features=torch.tensor([[1.0, 0.6], [1.0, 0.0]]),
)


@pytest.mark.parametrize("kind", [*KINDS, MEAN_ONLY])
def test_the_order_is_what_the_projected_stock_lacks(kind: str) -> None:
    model = make_action_model(kind, 3, coming=AnyDemand())
    action = torch.full((2, model.outputs), 0.8)
    projected = AnyDemand().projected_stock(OBSERVATION, mean_only=model.name == "projmean")
    # 3 less 1.2 and 2 more, a little more for what is not sold; 10 and 1 of which nothing is sold.
    assert 3.8 < projected[0] < 4.1
    assert projected[1] == 11.0
    expected = (model.target(action, OBSERVATION) - projected).clamp(min=0.0)
    torch.testing.assert_close(model(action, OBSERVATION), expected)
    assert expected[0] > 0
    filled = model.position_level(action, OBSERVATION) - OBSERVATION.stock.sum(1)
    torch.testing.assert_close(filled.clamp(min=0.0), expected)


def test_with_backlog_proj_is_base_with_a_higher_level() -> None:
    given = problems.scenario(5, 12)
    coming = problems.KnownDemand(problems.LEAD, backlog=True)
    one, other = make_action_model("proj", 5, coming=coming), make_action_model("base", 5)
    seen = given.observe(3, InventoryState.empty(5, given.max_lead_time, like=given.demand))
    action = torch.full((5, 1), 0.4)
    demand = 5.0 * problems.LEAD  # until arrival
    assert (other(action, seen) > 0).all()
    torch.testing.assert_close(one(action, seen), other(action, seen) + demand)


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_refused_where_observations_do_not_tell_the_demand(kind: str) -> None:
    layout = StudyData(study="setting1").source().layout
    with pytest.raises(ConfigError, match=f"{kind}.*do not tell.*scenarios"):
        make_action_model(kind, layout.basis, coming=layout.coming)


@pytest.mark.parametrize("kind", [*KINDS, MEAN_ONLY])
def test_a_saved_model_knows_how_to_read_the_demand(tmp_path: Path, kind: str) -> None:
    given = problems.scenario(6, 8)
    policy = PolicyNetwork(given.layout, make_action_model(kind, 5, coming=given.coming), (4,))
    save_model(tmp_path, policy, None)
    again = load_model(tmp_path).policy
    assert again.action_model.settings == policy.action_model.settings
    with torch.no_grad():
        one, other = (rollout(given, p.decide).order for p in (policy, again))
    assert torch.equal(one, other)
    assert (one > 0).any()


def test_a_data_sets_demand_until_arrival_is_its_forecast(source: DatasetSource) -> None:
    scenario = source.load("validation", 0)
    assert scenario.coming == source.layout.coming == DatasetDemand(backlog=False)
    day = 20
    stock = InventoryState.empty(
        scenario.num_inventories, scenario.max_lead_time, like=scenario.demand
    )
    seen = scenario.observe(day, stock)
    lead_time, demand = DatasetDemand().read(seen)
    assert lead_time.tolist() == scenario.lead_time.tolist()
    assert scenario.demand_until_arrival is not None
    near = seen.features[:, FEATURES.index("lead_time_forecast")] < 10  # not cut
    expected = scenario.demand_until_arrival[day]
    torch.testing.assert_close((demand.mean * lead_time)[near], expected[near])
    error = seen.features[:, FEATURES.index("forecast_error")] * seen.scale
    days = scenario.lead_time + scenario.review_period
    torch.testing.assert_close(demand.std.square() * days, error.square())
