"""A policy that first learns what a planner's rule orders."""

from __future__ import annotations

import copy

import pytest
import torch

from envs.errors import ConfigError
from envs.problems.settings import study_setting1
from envs.rollout import Decision
from envs.state import Observation
from pipeline.algorithms.build import build_config
from pipeline.algorithms.imitation import Orders, imitate, order_loss, orders_of
from pipeline.algorithms.runner import ShardRunner
from pipeline.policies.action_models import ACTION_MODELS
from pipeline.policies.order_up_to import FORECAST, forecast_error, order_up_to
from pipeline.runs.config import RunConfig
from pipeline.scenarios.dataset import DatasetSource
from pipeline.scenarios.given import GivenScenarios
from tests.runners import make_runner


def planner(observation: Observation) -> Decision:
    """Order-up-to forecast + 1.5 * error."""
    forecast = observation.basis[..., FORECAST]
    return order_up_to(forecast + 1.5 * forecast_error(observation), observation)


def runner_of(source: DatasetSource, action_model: str) -> ShardRunner:
    run = RunConfig(
        algorithm="ds", action_model=action_model,
        training={"fragment_days": 40, "hidden": [32, 32], "action_high": 6.0},
    )  # fmt: skip
    torch.manual_seed(0)
    return ShardRunner(config=build_config(run, source), worker_index=0, num_workers=0)


@pytest.mark.parametrize("action_model", list(ACTION_MODELS))
def test_it_orders_about_what_the_rule_does(source: DatasetSource, action_model: str) -> None:
    runner = runner_of(source, action_model)
    orders = orders_of(planner, runner)
    policy = runner.module.policy

    def off() -> float:
        """Mean absolute difference of orders, share of the mean order."""
        with torch.no_grad():
            own = policy.decide(orders.observation).order
        return float((own - orders.order).abs().mean() / orders.order.mean())

    before = off()
    imitate(runner, planner, 300)
    assert before > 0.4
    assert off() < 0.25


def test_decisions_are_those_of_the_rule_on_its_own_stock(source: DatasetSource) -> None:
    """On review days only, and weighed as in training."""
    runner = runner_of(source, "both")
    torch.manual_seed(3)
    orders = orders_of(planner, runner)
    torch.testing.assert_close(orders.order, planner(orders.observation).order)
    assert float(orders.weight.mean()) == pytest.approx(1.0)
    assert orders.weight.std() > 0
    # The rule has been at work: positions lie near its levels, not where the training start drew.
    level = orders.order + orders.observation.stock.sum(-1)
    forecast = orders.observation.basis[..., FORECAST]
    wanted = forecast + 1.5 * forecast_error(orders.observation)
    assert float((level >= wanted - 1e-4).float().mean()) == 1.0
    assert float((orders.order > 0).float().mean()) > 0.3


def test_two_orders_of_nothing_do_not_differ(source: DatasetSource) -> None:
    """By hand, with a policy whose order before max(., 0) is what its level lacks."""
    runner = runner_of(source, "base")
    orders = orders_of(planner, runner)
    rows = slice(0, 3)
    seen = Observation(*(part[rows] for part in orders.observation))
    scale = seen.scale
    with torch.no_grad():
        level = runner.module.policy.action_model.target(runner.module.policy.action(seen), seen)
    # Positions: far above the level, one scale below, and above it.
    stock = torch.zeros_like(seen.stock)
    stock[:, 0] = level + scale * torch.tensor([2.0, -1.0, 1.0])
    seen = seen._replace(stock=stock)
    with torch.no_grad():
        lacks = runner.module.policy.action_model.target(runner.module.policy.action(seen), seen)
        lacks = (lacks - stock.sum(-1)) / scale
    given = torch.tensor([0.0, 0.2, 0.4]) * scale
    loss = order_loss(runner.module.policy, Orders(seen, given, torch.tensor([1.0, 2.0, 0.5])))

    def huber(error: float) -> float:
        error = abs(error)
        return 0.5 * error**2 if error < 0.5 else 0.5 * (error - 0.25)

    by_hand = [0.0, 2 * huber(float(lacks[1]) - 0.2), 0.5 * huber(float(lacks[2]) - 0.4)]
    assert lacks[0] < 0 < lacks[1]
    assert lacks[2] < 0
    assert float(loss.detach()) == pytest.approx(sum(by_hand) / 3, rel=1e-4)


def test_it_follows_from_the_seed_alone(source: DatasetSource) -> None:
    found = []
    for noise in (1, 2):
        runner = make_runner(source, "ddpg")
        torch.manual_seed(noise)
        before = torch.get_rng_state()
        found.append(imitate(runner, planner, 5))
        assert torch.equal(torch.get_rng_state(), before)
    for name, value in found[0].items():
        assert torch.equal(value, found[1][name])
        assert not value.requires_grad


@pytest.mark.parametrize("algorithm", ["ddpg", "ppo", "ds"])
def test_every_copy_starts_with_the_weights(source: DatasetSource, algorithm: str) -> None:
    runner = make_runner(source, algorithm)
    module = copy.deepcopy(runner.module)
    if algorithm == "ddpg":
        module.make_target_networks()
    weights = imitate(runner, planner, 2)
    module.start_with(weights)
    copies = module.policies()
    assert len(copies) == 2 + (algorithm == "ddpg")
    for each in copies:
        for name, value in each.state_dict().items():
            assert torch.equal(value, weights[name])


def test_it_needs_a_data_set() -> None:
    run = RunConfig(algorithm="ppo", action_model="base", imitation_updates=10)
    source = GivenScenarios({"train": [study_setting1(16, 0)]})
    with pytest.raises(ConfigError, match=r"imitation_updates = 10 .* Leave it out"):
        build_config(run, source)
