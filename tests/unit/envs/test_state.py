"""Shapes, views and the errors of a scenario that is out of its domain."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from envs.errors import ScenarioError
from envs.rollout import Decision, rollout
from envs.state import InventoryState, Observation, ObservationLayout, Scenario

Problem = Callable[..., tuple[Scenario, InventoryState]]


@pytest.fixture
def scenario(random_problem: Problem) -> Scenario:
    return random_problem(1, random_lead_time=True, random_fill=True, random_counted=True)[0]


def broken(name: str, value: Any) -> Callable[[Scenario], Scenario]:
    def change(scenario: Scenario) -> Scenario:
        return replace(scenario, **{name: value(getattr(scenario, name))})

    return change


def nan_first(values: torch.Tensor) -> torch.Tensor:
    values = values.clone()
    values.view(-1)[0] = float("nan")
    return values


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("lead_time", broken("lead_time", lambda v: v[:2])),
        ("review", broken("review", lambda v: v[:3])),
        ("scale", broken("scale", lambda v: v[0])),
        ("counted", broken("counted", lambda v: v[:, :1])),
        ("fill", broken("fill", lambda v: v[1:])),
        ("basis", broken("basis", lambda v: v[1:])),
        ("features", broken("features", lambda v: v[:, :1])),
        ("demand", broken("demand", lambda v: v - 100)),
        ("demand", broken("demand", nan_first)),
        ("shortage_cost", broken("shortage_cost", lambda v: -v)),
        ("holding_cost", broken("holding_cost", lambda v: v * float("inf"))),
        ("lead_time", broken("order_lead_time", lambda v: v + 1)),
        ("lead_time", broken("order_lead_time", lambda v: v - 9)),
        ("review_period", broken("review_period", lambda v: v * 0)),
        ("fill", broken("fill", lambda v: v + 1)),
        ("fill", broken("fill", nan_first)),
        ("scale", broken("scale", lambda v: v * 0)),
        ("scale", broken("scale", nan_first)),
    ],
)
def test_validate_names_the_field(
    scenario: Scenario, field: str, change: Callable[[Scenario], Scenario]
) -> None:
    assert scenario.validate() is scenario
    with pytest.raises(ScenarioError) as raised:
        change(scenario).validate()
    assert raised.value.field == field
    assert raised.value.remedy


def test_lead_times_must_fit_the_pipeline(random_problem: Problem) -> None:
    scenario, _ = random_problem(1)
    with pytest.raises(ScenarioError, match="max_lead_time = 4"):
        replace(scenario, lead_time=scenario.lead_time + 5).validate()


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"order_max": 5.0, "order_min": 6.0}, "order_max = 5.0 is below .* given, 6"),
        ({"order_max": 10.0, "order_min": 7.0, "order_multiple": 6.0}, "given, 12"),
        ({"order_max": 5.0, "order_multiple": 6.0}, "given, 6"),
        ({"order_max": torch.tensor([9.0, 1.0, 9.0, 9.0]), "order_min": 2.0}, "order_max = 1.0"),
        ({"order_min": -1.0}, "order_min = -1.0 is out of range"),
        ({"order_max": float("nan")}, "order_max = nan is out of range"),
    ],
)
def test_the_largest_order_holds_the_smallest(
    random_problem: Problem, sizes: dict[str, Any], message: str
) -> None:
    scenario, _ = random_problem(1)
    with pytest.raises(ScenarioError, match=message):
        replace(scenario, **sizes).validate()
    replace(scenario, order_max=12.0, order_min=7.0, order_multiple=6.0).validate()


def test_errors_survive_pickling() -> None:
    error = ScenarioError("demand", -1.0, "Use 0.", "is negative")
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is ScenarioError
    assert str(again) == str(error) == "demand = -1.0 is negative. Use 0."


def test_days_are_views_of_every_dynamic_field(scenario: Scenario) -> None:
    window = scenario.days(3, 7).validate()
    assert window.num_days == 4
    for name in ("demand", "review", "scale", "basis", "features", "counted", "fill"):
        part, whole = getattr(window, name), getattr(scenario, name)
        assert torch.equal(part, whole[3:7])
        assert part.untyped_storage().data_ptr() == whole.untyped_storage().data_ptr()
    assert window.order_lead_time is not None
    assert scenario.order_lead_time is not None
    assert torch.equal(window.order_lead_time, scenario.order_lead_time[3:7])


@pytest.mark.parametrize("days", [(-1, 3), (3, 3), (5, 13)])
def test_days_outside_the_horizon_are_refused(scenario: Scenario, days: tuple[int, int]) -> None:
    with pytest.raises(ScenarioError, match=r"window inside 0\.\.12"):
        scenario.days(*days)


def test_a_choice_of_inventories_behaves_as_they_did(random_problem: Problem) -> None:
    scenario, start = random_problem(
        5, n=6, random_lead_time=True, random_fill=True, random_counted=True
    )
    index = torch.tensor([4, 1, 1])
    chosen = scenario.inventories(index).validate()
    stock = InventoryState.unstack(start.stack()[index])
    whole = rollout(scenario, lambda o: Decision(o.basis[..., 0]), start)
    part = rollout(chosen, lambda o: Decision(o.basis[..., 0]), stock)
    torch.testing.assert_close(part.outcome.end, whole.outcome.end[:, index])
    assert chosen.counted is not None
    assert scenario.counted is not None
    assert torch.equal(chosen.counted, scenario.counted[:, index])


def test_the_flat_observation_has_the_documented_order() -> None:
    observation = Observation(
        stock=torch.tensor([[1.0, 2.0, 3.0]]),
        scale=torch.tensor([4.0]),
        basis=torch.tensor([[5.0, 6.0]]),
        features=torch.tensor([[7.0, 8.0, 9.0]]),
    )
    layout = ObservationLayout(max_lead_time=2, basis=2, features=3)
    flat = observation.flatten()
    assert flat.tolist() == [[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]]
    assert layout.size == flat.shape[1]
    for part, same in zip(layout.unflatten(flat), observation, strict=True):
        assert torch.equal(part, same)


def test_stock_stacks_and_unstacks() -> None:
    state = InventoryState(torch.tensor([1.0, 2.0]), (torch.tensor([3.0, 4.0]),))
    assert state.stack().tolist() == [[1.0, 3.0], [2.0, 4.0]]
    assert state.position().tolist() == [4.0, 6.0]
    again = InventoryState.unstack(state.stack())
    assert torch.equal(again.stack(), state.stack())
    assert len(again.pipeline) == 1


def test_look_up_finds_the_observations_of_single_days(scenario: Scenario) -> None:
    state = InventoryState.empty(4, 4, like=scenario.demand)
    seen = scenario.observe(5, state)
    inventory = torch.tensor([3, 0])
    found = scenario.look_up(torch.tensor([5, 5]), inventory, seen.stock[inventory])
    assert torch.equal(found.flatten(), seen.flatten()[inventory])
