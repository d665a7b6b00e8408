"""One policy for inventories of all sizes, blind to the future."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from envs.rollout import Trajectory, rollout
from envs.state import InventoryState, Observation, ObservationLayout, Scenario
from pipeline.data.draws import Draws
from pipeline.features.build import BASIS, FEATURES, scenario_of
from pipeline.features.coming import DatasetDemand
from pipeline.policies.action_models import ACTION_MODELS, ActionModel, make_action_model
from pipeline.policies.networks import (
    STOCK_CLIP,
    Critic,
    PolicyNetwork,
    ValueNetwork,
    network_inputs,
)
from pipeline.scenarios.start import evaluation_start

KINDS = list(ACTION_MODELS)
K = 9
LAYOUT = ObservationLayout(K, len(BASIS), len(FEATURES))


def scenario_from(history: Any, start: int = 60) -> Scenario:
    return scenario_of(
        history.build(), history.static, start, history.days, first_day=date(2024, 1, 3),
        max_lead_time=K, backlog=False, draws=Draws(1, []),
    )  # fmt: skip


def action_model(kind: str) -> ActionModel:
    return make_action_model(kind, len(BASIS), coming=DatasetDemand())


def make_policy(kind: str, seed: int = 3) -> PolicyNetwork:
    """A policy whose orders vary with all of its inputs."""
    torch.manual_seed(seed)
    policy = PolicyNetwork(LAYOUT, action_model(kind), (16,))
    with torch.no_grad():
        policy.net[-1].weight.mul_(10.0)  # type: ignore[operator, union-attr]
    return policy


@torch.no_grad()
def play(policy: PolicyNetwork, scenario: Scenario, start: InventoryState) -> Trajectory:
    return rollout(scenario, policy.decide, start)


@pytest.mark.parametrize("factor", [0.1, 7.0, 300.0])
@pytest.mark.parametrize("kind", KINDS)
def test_an_inventory_k_times_as_large_gets_orders_k_times_as_large(
    history: Any, kind: str, factor: float
) -> None:
    large = history.but(demand=history.dynamic["demand"] * np.float32(factor))
    policy = make_policy(kind)
    small_scenario, large_scenario = scenario_from(history), scenario_from(large)
    start = evaluation_start(small_scenario)
    large_start = InventoryState(
        start.on_hand * factor, tuple(column * factor for column in start.pipeline)
    )
    orders = play(policy, small_scenario, start).order
    torch.testing.assert_close(
        play(policy, large_scenario, large_start).order,
        orders * factor,
        rtol=1e-3,
        atol=1e-3 * factor * float(small_scenario.scale.mean()),
    )
    assert (orders > 0).any()
    # The standard start is one scale: it grows with the inventory by itself.
    torch.testing.assert_close(
        evaluation_start(large_scenario).on_hand, large_start.on_hand, rtol=1e-3, atol=0
    )


@pytest.mark.parametrize("kind", KINDS)
def test_orders_do_not_depend_on_the_future(history: Any, kind: str) -> None:
    day = 100
    demand = history.dynamic["demand"].copy()
    demand[:, day:] = demand[:, day:] * 3 + 11 * history.dynamic["on_sale"][:, day:]
    policy = make_policy(kind)
    first = 60
    scenario, other = (
        scenario_from(history, first),
        scenario_from(history.but(demand=demand), first),
    )
    start = evaluation_start(scenario)
    orders, other_orders = (play(policy, s, start).order for s in (scenario, other))
    until = day - first + 1  # the order of the day itself is placed before its demand is seen
    assert torch.equal(orders[:until], other_orders[:until])
    assert not torch.equal(orders[until:], other_orders[until:])


@pytest.mark.parametrize("kind", KINDS)
def test_the_untrained_policy_outputs_its_initial_action(history: Any, kind: str) -> None:
    scenario = scenario_from(history)
    observation = scenario.observe(0, evaluation_start(scenario))
    for share in (0.2, 0.7):
        torch.manual_seed(0)
        policy = PolicyNetwork(
            LAYOUT,
            action_model(kind),
            (16,),
            initial_action=share,
        )
        action = policy.action(observation)
        assert action.shape == (12, policy.action_model.outputs)
        torch.testing.assert_close(action, torch.full_like(action, share), rtol=0, atol=0.06)


def test_a_decision_is_the_order_of_its_action(history: Any) -> None:
    scenario = scenario_from(history)
    observation = scenario.observe(5, evaluation_start(scenario))
    policy = make_policy("both")
    decision = policy.decide(observation)
    torch.testing.assert_close(decision.columns["action"], policy.action(observation))
    expected = policy.action_model(decision.columns["action"], observation)
    torch.testing.assert_close(decision.order, expected)
    # Serving goes through flat observations.
    torch.testing.assert_close(policy(observation.flatten()), expected)


def observation_of(stock: list[list[float]], scale: list[float]) -> Observation:
    n = len(scale)
    return Observation(
        torch.tensor(stock), torch.tensor(scale), torch.ones(n, len(BASIS)),
        torch.full((n, len(FEATURES)), 0.5),
    )  # fmt: skip


def test_the_network_sees_stock_and_position_in_scales() -> None:
    inputs = network_inputs(observation_of([[2.0, 4.0], [900.0, 0.0]], [2.0, 3.0]))
    assert inputs.shape == (2, 3 + len(FEATURES))
    assert inputs[0, :3].tolist() == [1.0, 2.0, 3.0]
    assert inputs[1, :3].tolist() == [STOCK_CLIP, 0.0, STOCK_CLIP]
    assert (inputs[:, 3:] == 0.5).all()


def test_the_critic_depends_on_the_order_that_an_action_means() -> None:
    torch.manual_seed(1)
    layout = ObservationLayout(1, len(BASIS), len(FEATURES))
    model = make_action_model("base", len(BASIS))
    critic = Critic(layout, model, (8,), 2)
    observation = observation_of([[2.0, 4.0]], [2.0])
    action = torch.tensor([[0.9]], requires_grad=True)
    value = critic(observation, action, model)
    assert value.shape == (1, 2)
    (gradient,) = torch.autograd.grad(value.sum(), action)
    assert gradient.abs() > 0
    # With all weights but those of the order at zero, the critic is a function of the order.
    linear = Critic(layout, model, (), 2)
    head = linear.net[0]
    assert isinstance(head, torch.nn.Linear)
    with torch.no_grad():
        head.weight.zero_()
        head.bias.zero_()
        head.weight[:, -1] = torch.tensor([1.0, -3.0])
    order: Tensor = model(action, observation)
    expected = functional.softplus(order / 2.0 * torch.tensor([1.0, -3.0])).unsqueeze(0)
    torch.testing.assert_close(linear(observation, action, model), expected)


def test_costs_are_never_negative_nor_alike_where_they_are_rare() -> None:
    """Holding and shortage; a chance of a thousandth is told from one of a ten-thousandth."""
    layout = ObservationLayout(1, len(BASIS), len(FEATURES))
    model = make_action_model("base", len(BASIS))
    critic = Critic(layout, model, (), 2)
    head = critic.net[0]
    assert isinstance(head, torch.nn.Linear)
    observation = observation_of([[2.0, 4.0]], [2.0])
    action = torch.tensor([[0.5]], requires_grad=True)
    with torch.no_grad():
        head.weight.zero_()
        head.bias[:] = torch.tensor([1e-3, 1e-4]).expm1().log()
    cost = critic(observation, action, model)
    torch.testing.assert_close(cost, torch.tensor([[1e-3, 1e-4]]))
    with torch.no_grad():
        head.bias[:] = torch.tensor([-90.0, -15.0])
    assert (critic(observation, action, model) >= 0).all()


def test_values_are_two_costs_per_inventory() -> None:
    value = ValueNetwork(ObservationLayout(1, len(BASIS), len(FEATURES)), (8, 8), 2)
    observation = observation_of([[2.0, 4.0], [1.0, 0.0], [0.0, 0.0]], [2.0, 3.0, 1.0])
    to_come = value(observation)
    assert to_come.shape == (3, 2)
    with torch.no_grad():
        value.net[-1].bias[:] = torch.tensor([-90.0, -15.0])
    assert (value(observation) >= 0).all()


@pytest.mark.parametrize("hidden", [(), (8,), (8, 16, 4)])
@pytest.mark.parametrize("kind", KINDS)
def test_the_policy_is_its_network_on_the_network_inputs(
    history: Any, kind: str, hidden: tuple[int, ...]
) -> None:
    """The layers are worked out piece by piece; values and gradients are those of the whole."""
    scenario = scenario_from(history)
    torch.manual_seed(2)
    policy = PolicyNetwork(LAYOUT, action_model(kind), hidden).double()
    seen = scenario.observe(7, evaluation_start(scenario))
    results = []
    for whole in (False, True):
        stock = (1 + seen.stock).double().requires_grad_()
        parts = (stock, *(part.double() for part in seen[1:]))
        observation = Observation(*parts)
        logits = policy.net(network_inputs(observation)) if whole else policy.logits(observation)
        wanted = [stock, *policy.parameters()]
        results.append((logits, *torch.autograd.grad(logits.square().sum(), wanted)))
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other)
        assert one.abs().sum() > 0
