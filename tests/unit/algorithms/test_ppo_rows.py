"""What PPO learns from. An advantage is the gain of an action over the policy's mean action, on the
same demand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from ray.rllib.core.columns import Columns
from ray.rllib.evaluation.postprocessing import Postprocessing
from torch import Tensor

from envs.objective import DEFAULT_OBJECTIVE as COST
from envs.rollout import Decision, rollout
from envs.state import InventoryState, Observation, Scenario
from pipeline.algorithms.build import build_config
from pipeline.algorithms.decisions import extract_decisions
from pipeline.algorithms.ppo import gains, value_targets
from pipeline.algorithms.runner import ShardRunner
from pipeline.runs.config import RunConfig
from pipeline.scenarios.dataset import DatasetSource
from pipeline.scenarios.given import GivenScenarios
from pipeline.tools.seeding import derive_seed
from tests.runners import FIRST_ACTION, make_runner, sample


def runner_on(source: Any, **training: Any) -> ShardRunner:
    run = RunConfig(
        algorithm="ppo", action_model="base",
        training={"hidden": [8], "value_hidden": [8], "fragment_days": 40, **training},
    )  # fmt: skip
    torch.manual_seed(0)
    return ShardRunner(config=build_config(run, source), worker_index=0, num_workers=0)


def test_ppo_rows_hold_what_was_done_and_how_likely_it_was(source: DatasetSource) -> None:
    runner = make_runner(source, "ppo")
    rows = sample(runner, 0)
    assert {len(column) for column in rows.values()} == {400}
    assert rows[Columns.OBS].shape[1] == source.layout.size
    module = runner.module
    deviation = 0.1 * FIRST_ACTION
    with torch.no_grad():
        observation = source.layout.unflatten(rows[Columns.OBS])
        mean = module.policy.action(observation)
        torch.testing.assert_close(rows[Columns.ACTION_DIST_INPUTS][:, :5], mean)
        density = torch.distributions.Normal(mean, deviation)
        logp = density.log_prob(rows[Columns.ACTIONS]).sum(-1)
        torch.testing.assert_close(rows[Columns.ACTION_LOGP], logp, rtol=1e-4, atol=1e-4)
    spread = rows[Columns.ACTIONS] - mean
    assert spread.std().item() == pytest.approx(deviation, rel=0.1)


def constant_demand(n: int, demand: float, *, days: int = 12, shortage: float = 20.0) -> Scenario:
    """Lead time 1, review every 2 days, scale 10."""
    return Scenario(
        demand=torch.full((days, n), demand),
        lead_time=torch.ones(n, dtype=torch.int64),
        review_period=torch.full((n,), 2),
        review=(torch.arange(days).unsqueeze(1) % 2 == 0).expand(days, n).contiguous(),
        shortage_cost=torch.full((n,), shortage),
        holding_cost=torch.ones(n),
        scale=torch.full((days, n), 10.0),
        basis=torch.full((days, n, 1), 10.0),
        features=torch.zeros(days, n, 1),
        max_lead_time=1,
    ).validate()


def start(n: int, on_hand: float) -> InventoryState:
    return InventoryState(torch.full((n,), on_hand), (torch.zeros(n),))


@torch.no_grad()
def gain(runner: ShardRunner, scenario: Scenario, state: InventoryState, tried: Tensor) -> Tensor:
    """Of the first day's decisions, for actions [N, 1]."""
    policy = runner.module.policy

    def act(seen: Observation) -> Decision:
        return Decision(policy.action_model(tried, seen), {Columns.ACTIONS: tried})

    played = rollout(scenario, act, state, record=True)
    decisions = extract_decisions(scenario, played, objective=COST, gamma=0.5, weight_power=0.0)
    decisions = decisions.rows((decisions.day == 0).nonzero().squeeze(1))
    assert played.stock is not None
    seen = scenario.look_up(decisions.day, decisions.inventory, played.stock[0])
    return gains(runner.module, scenario, played, decisions, seen, tried)


def test_the_mean_action_gains_nothing(source: DatasetSource) -> None:
    runner = runner_on(source, initial_std=1e-6)
    rows = runner.sample(iteration=0)[0]
    assert torch.as_tensor(rows[Postprocessing.ADVANTAGES]).abs().max() < 1e-3
    given = source.load("train", 0).days(0, 40)
    seen = given.observe(0, source.training_start(given, torch.Generator().manual_seed(0)))
    policy = runner.module.policy
    with torch.no_grad():
        played = rollout(given, policy.decide, record=True)
    decisions = extract_decisions(given, played, objective=COST, gamma=0.7, weight_power=0.5)
    assert played.stock is not None
    where = decisions.day, decisions.inventory
    seen = given.look_up(*where, played.stock[where])
    with torch.no_grad():
        found = gains(runner.module, given, played, decisions, seen, policy.action(seen))
    assert len(found) > 100
    assert not found.any()


@pytest.mark.parametrize("value_of_stock", [0.0, -0.3])
def test_the_gain_of_more_and_of_less_by_hand(value_of_stock: float) -> None:
    """Demand 4 a day, 8 on hand: the order serves days 1 and 2 with what is left of it."""
    scenario = constant_demand(3, 4.0)
    runner = runner_on(GivenScenarios({"train": [scenario]}), initial_action=0.4)
    policy, value = runner.module.policy, runner.module.value
    with torch.no_grad():
        for parameter in (*policy.net.parameters(), *value.parameters()):
            parameter.zero_()
        policy.net[-1].bias.fill_(-0.4)
        value.net[0].weight[0, 2] = 1.0  # the inventory position, in scales
        value.net[-1].weight[0, 0] = -value_of_stock
        value.net[-1].bias[0] = 20.0  # where a softplus is its argument
        mean = float(policy.action(scenario.observe(0, start(3, 8.0)))[0])
    level = 30 * mean  # the action's range ends at 3 scales
    assert 8 < level < 16
    tried = torch.tensor([[mean], [mean + 0.05], [0.0]])
    found = gain(runner, scenario, start(3, 8.0), tried)

    def by_hand(action: float) -> float:
        order = max(30 * action - 8.0, 0.0)
        one = 8.0 - 4.0 + order - 4.0  # in the evening of day 1
        two = max(one, 0.0) - 4.0
        cost = max(one, 0.0) + max(two, 0.0) + 20 * (max(-one, 0.0) + max(-two, 0.0))
        position = 4.0 + order - 4.0  # on the morning of day 2
        return -cost / 20 + 0.5 * value_of_stock * position / 10

    for n, action in enumerate(tried[:, 0].tolist()):
        assert float(found[n]) == pytest.approx(by_hand(action) - by_hand(mean), abs=2e-5)
    assert found[0] == 0
    assert found[2] < -1  # nothing ordered, days without stock


def test_where_cost_is_linear_gains_are_unbiased_and_free_of_the_demands_noise() -> None:
    """Much stock, random demand: a unit more costs its holding, whatever is asked for."""
    n = 20_000
    scenario = constant_demand(n, 0.0)
    generator = torch.Generator().manual_seed(1)
    scenario = replace(scenario, demand=2 * torch.rand((12, n), generator=generator))
    runner = runner_on(GivenScenarios({"train": [scenario]}), initial_action=0.6)
    with torch.no_grad():
        for parameter in runner.module.value.parameters():
            parameter.zero_()
        mean = runner.module.policy.action(scenario.observe(0, start(n, 8.0)))
    noise = 0.05 * torch.randn((n, 1), generator=generator)
    found = gain(runner, scenario, start(n, 8.0), mean + noise)
    # A level of 30 units more per unit of action, held for two days; a cost scale is 20.
    torch.testing.assert_close(found, -30 * 2 / 20 * noise.squeeze(1), rtol=1e-3, atol=1e-4)
    assert float(found.mean()) == pytest.approx(0.0, abs=4 * float(found.std()) / n**0.5)
    # Any function of what the action does not change may be subtracted: the policy gradient
    # is that of plain returns, with a fraction of their variance.
    played = rollout(scenario, lambda seen: runner.module.policy.decide(seen), start(n, 8.0))
    assert played.outcome.unmet.sum() == 0
    held = played.outcome.end[1:3].sum(0) / COST.decision_size(scenario)[0]
    returns = found - held.detach()
    score = noise.squeeze(1) / 0.05**2
    estimates = [score * part for part in (found, returns)]
    error = float((estimates[1] - estimates[0]).std()) / n**0.5
    assert float(estimates[0].mean()) == pytest.approx(float(estimates[1].mean()), abs=4 * error)
    assert float(estimates[0].mean()) == pytest.approx(-3.0, rel=0.05)
    assert estimates[0].var() < estimates[1].var() / 5


@torch.no_grad()
def test_value_targets_are_those_of_the_whole_fragment(source: DatasetSource) -> None:
    runner = runner_on(source, train_batch_size_per_learner=400, minibatch_size=100)
    rows = {name: torch.as_tensor(column) for name, column in runner.sample(iteration=0)[0].items()}
    fragment = runner.fragment(0)
    scenario = fragment.scenario
    torch.manual_seed(derive_seed(runner.config.seed, 0, 0))
    played = runner.play(fragment)
    decisions = runner.decisions(scenario, played)
    target = value_targets(runner.module, scenario, played, decisions, runner.config.lambda_)
    assert played.stock is not None
    where = decisions.day, decisions.inventory
    seen = scenario.look_up(*where, played.stock[where]).flatten()
    known = {
        tuple(observation): value
        for observation, value in zip(seen.tolist(), target.tolist(), strict=True)
    }
    expected = [known[tuple(observation)] for observation in rows[Columns.OBS].tolist()]
    torch.testing.assert_close(rows[Postprocessing.VALUE_TARGETS], torch.tensor(expected))


@torch.no_grad()
def test_without_a_future_the_value_target_is_the_cost_itself(source: DatasetSource) -> None:
    """Whatever the value network says."""
    runner = runner_on(source, gamma=0.0, train_batch_size_per_learner=400, minibatch_size=100)
    fragment = runner.fragment(0)
    scenario = fragment.scenario
    played = runner.play(fragment)
    decisions = runner.decisions(scenario, played)
    target = value_targets(runner.module, scenario, played, decisions, lambda_=0.8)
    torch.testing.assert_close(-target.sum(-1), decisions.reward, rtol=1e-3, atol=1e-3)
    assert (target > 0).any(0).all()
