"""Derivatives carried backwards by hand are those of torch through every day."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from unittest.mock import patch

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from envs.objective import day_cost
from envs.rollout import rollout
from envs.state import InventoryState, Scenario
from pipeline.algorithms import adjoint
from pipeline.algorithms.adjoint import TrainingRollout
from pipeline.policies.action_models import ACTION_MODELS, make_action_model
from pipeline.policies.networks import PolicyNetwork
from tests.choices import problem_choices

Problem = Callable[..., tuple[Scenario, InventoryState]]
OWN = [
    f"tests.own_action_models:{name}"
    for name in ("NearStock", "FeatureWeighted", "Undeclared", "Silent")
]


def network_for(scenario: Scenario, kind: str, hidden: tuple[int, ...]) -> PolicyNetwork:
    """Weights large enough that its orders differ from day to day."""
    torch.manual_seed(1)
    model = make_action_model(
        kind, scenario.basis.shape[-1], coming=scenario.coming, coefficient_high=2.0
    )
    network = PolicyNetwork(scenario.layout, model, hidden)
    with torch.no_grad():
        for parameter in network.net.parameters():
            parameter.mul_(3.0)
    return network.to(scenario.demand.dtype)


def value_and_gradients(
    scenario: Scenario, start: InventoryState, network: PolicyNetwork, *, by_hand: bool
) -> list[Tensor]:
    if by_hand:
        outcome = TrainingRollout(network)(scenario, start)
    else:
        outcome = rollout(scenario, network.decide, start).outcome
    cost = day_cost(outcome, scenario.shortage_cost, scenario.holding_cost)
    if scenario.counted is not None:
        cost = cost * scenario.counted
    weight = torch.linspace(0.5, 2.0, scenario.num_days, dtype=cost.dtype).unsqueeze(1)
    # Sales as well: a term that no cost has.
    total = (weight * (cost + 0.3 * outcome.sales.square())).sum()
    network.zero_grad()
    if total.requires_grad:  # nobody may have been asked
        total.backward()
    gradients = [
        torch.zeros_like(p) if p.grad is None else p.grad for p in network.net.parameters()
    ]
    return [total.detach(), *gradients]


def agree(one: list[Tensor], other: list[Tensor], tolerance: float) -> None:
    """Within a share of the largest derivative of the same tensor."""
    for a, b in zip(one, other, strict=True):
        size = float(b.abs().max())
        torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance * max(size, 1e-6))


@settings(max_examples=80, deadline=None)
@given(
    choices=problem_choices,
    kind=st.sampled_from([*ACTION_MODELS, *OWN]),
    hidden=st.sampled_from([(), (7,), (8, 6), (5, 5, 5)]),
    block_rows=st.integers(1, 40),
    product_rows=st.integers(1, 20),
)
def test_gradients_are_those_of_torch(
    random_problem: Problem,
    choices: dict[str, object],
    kind: str,
    hidden: tuple[int, ...],
    block_rows: int,
    product_rows: int,
) -> None:
    scenario, start = random_problem(**choices)
    network = network_for(scenario, kind, hidden)
    expected = value_and_gradients(scenario, start, network, by_hand=False)
    with (
        patch.object(adjoint, "BLOCK_ROWS", block_rows),
        patch.object(adjoint, "PRODUCT_ROWS", product_rows),
    ):
        found = value_and_gradients(scenario, start, network, by_hand=True)
    agree(found, expected, 1e-9)


@pytest.mark.parametrize("kind", [*ACTION_MODELS, *OWN])
@pytest.mark.parametrize("backlog", [False, True])
def test_single_precision_and_stock_beyond_the_cut(
    random_problem: Problem, kind: str, backlog: bool
) -> None:
    scenario, start = random_problem(11, n=300, days=40, longest_period=1, backlog=backlog)
    names = ("demand", "shortage_cost", "holding_cost", "scale", "basis", "features")
    scenario = replace(scenario, **{name: getattr(scenario, name).float() for name in names})
    # A tenth begins with more scales of stock than the network is shown.
    stock = start.stack().float().clone()
    stock[::10] += 200.0
    start = InventoryState.unstack(stock)
    network = network_for(scenario, kind, (16, 16))
    expected = value_and_gradients(scenario, start, network, by_hand=False)
    found = value_and_gradients(scenario, start, network, by_hand=True)
    assert float(expected[1].abs().max()) > 0
    agree(found, expected, 1e-5)


@pytest.mark.parametrize("kind", list(ACTION_MODELS))
@pytest.mark.parametrize("end", [-6.5, 6.5])
def test_actions_at_an_end_of_their_range_have_their_gradient(
    random_problem: Problem, kind: str, end: float
) -> None:
    scenario, start = random_problem(8, n=30, days=20)
    network = network_for(scenario, kind, (8,))
    with torch.no_grad():
        network.net[-1].bias.fill_(end)  # type: ignore[operator, union-attr]
        network.net[-1].weight.mul_(0.3)  # type: ignore[operator, union-attr]
        actions = rollout(scenario, network.decide, start, record=True).columns["action"]
    reviewed = actions[scenario.review]
    at_end = (reviewed == (end > 0)).float().mean()
    assert at_end > 0.5
    expected = value_and_gradients(scenario, start, network, by_hand=False)
    agree(value_and_gradients(scenario, start, network, by_hand=True), expected, 1e-9)
    assert float(expected[1].abs().max()) > 0


@pytest.mark.parametrize("backlog", [False, True])
def test_where_stock_meets_demand_exactly_half_is_sold(
    random_problem: Problem, backlog: bool
) -> None:
    scenario, _ = random_problem(
        5, n=4, days=6, longest=1, shared_lead_time=True, longest_period=1, backlog=backlog
    )
    # Whole packs of whole demands: ties on most days.
    scenario = replace(
        scenario, demand=torch.full_like(scenario.demand, 3.0), order_multiple=3.0, order_max=3.0
    )
    start = InventoryState.unstack(torch.full((4, 2), 3.0, dtype=torch.float64))
    network = network_for(scenario, "none", (6,))
    expected = value_and_gradients(scenario, start, network, by_hand=False)
    played = rollout(scenario, network.decide, start).outcome
    assert bool((played.end == 0).any())
    assert float(expected[1].abs().max()) > 0
    agree(value_and_gradients(scenario, start, network, by_hand=True), expected, 1e-9)


def test_memory_is_used_again_but_never_by_two_horizons_at_once(random_problem: Problem) -> None:
    scenario, start = random_problem(3, n=6, days=12)
    other, other_start = random_problem(4, n=6, days=12)
    network = network_for(scenario, "base", (7, 7))
    expected = value_and_gradients(scenario, start, network, by_hand=False)
    play = TrainingRollout(network)
    parameters = list(network.net.parameters())

    def total(given: Scenario, state: InventoryState) -> Tensor:
        outcome = play(given, state)
        weight = torch.linspace(0.5, 2.0, given.num_days, dtype=torch.float64).unsqueeze(1)
        cost = day_cost(outcome, given.shortage_cost, given.holding_cost)
        return (weight * (cost + 0.3 * outcome.sales.square())).sum()

    first, second = total(scenario, start), total(other, other_start)
    agree(list(torch.autograd.grad(first, parameters)), expected[1:], 1e-9)
    torch.autograd.grad(second, parameters)
    spare = list(play.spare)
    assert len(spare) == 2
    third = total(scenario, start)
    assert len(play.spare) == 1
    agree(list(torch.autograd.grad(third, parameters)), expected[1:], 1e-9)
    assert set(play.spare) == set(spare)


def test_without_gradients_it_is_the_plain_rollout(random_problem: Problem) -> None:
    scenario, start = random_problem(6)
    network = network_for(scenario, "both", (7,))
    with torch.no_grad():
        one = TrainingRollout(network)(scenario, start)
        other = rollout(scenario, network.decide, start).outcome
    assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("kind", [*ACTION_MODELS, *OWN])
def test_every_action_model_without_parameters_is_played_by_hand(
    random_problem: Problem, kind: str
) -> None:
    scenario, start = random_problem(7, n=40, days=25, longest=4)
    network = network_for(scenario, kind, (7,))
    play = TrainingRollout(network)
    outcome = play(scenario, start)
    expected = rollout(scenario, network.decide, start).outcome
    for one, other in zip(outcome, expected, strict=True):
        torch.testing.assert_close(one, other)
    outcome.end.sum().backward()
    # Whoever was played by hand has left its memory behind.
    assert play.spare


def test_an_action_model_with_parameters_of_its_own_gets_their_gradients(
    random_problem: Problem,
) -> None:
    scenario, start = random_problem(7, n=40, days=25)
    network = network_for(scenario, "base", (7,))
    model = network.action_model
    model.high = torch.nn.Parameter(model.high.clone())
    TrainingRollout(network)(scenario, start).end.sum().backward()
    assert float(model.high.grad.abs()) > 0
