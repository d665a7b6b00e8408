"""Rows and defaults of a credit that is paid at checkpoints and at the horizon's end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from ray.rllib.core.columns import Columns
from ray.rllib.evaluation.postprocessing import Postprocessing
from torch import Tensor

from envs.credit import EndOfHorizon, whole_decisions
from envs.errors import ConfigError
from envs.objective import objective_of
from envs.rollout import Trajectory
from pipeline.algorithms.build import build_config
from pipeline.algorithms.ddpg import critic_loss_of
from pipeline.algorithms.decisions import Decisions, decision_costs
from pipeline.algorithms.gradients import target_size
from pipeline.algorithms.runner import Fragment, ShardRunner
from pipeline.runs.config import RunConfig
from pipeline.scenarios.dataset import DatasetSource
from pipeline.tools.seeding import derive_seed
from tests.runners import SMALL, sample

TERMINAL = {"name": "service", "credit": "terminal", "checkpoints": 2}
COLUMNS = EndOfHorizon.history_columns


def config_of(source: DatasetSource, algorithm: str, objective: Any, **training: Any) -> Any:
    run = RunConfig(
        algorithm=algorithm, action_model="both", objective=objective, seed=1,
        training=SMALL[algorithm] | training,
    )  # fmt: skip
    return build_config(run, source)


def runner_of(source: DatasetSource, algorithm: str, **training: Any) -> ShardRunner:
    torch.manual_seed(0)
    config = config_of(source, algorithm, TERMINAL, **training)
    return ShardRunner(config=config, worker_index=0, num_workers=0)


@torch.no_grad()
def played_by(runner: ShardRunner, number: int = 0) -> tuple[Fragment, Trajectory, Decisions]:
    """The number-th fragment as :meth:`ShardRunner.sample` plays it."""
    fragment = runner.fragment(number)
    torch.manual_seed(derive_seed(runner.config.seed, 0, number))
    played = runner.play(fragment)
    return fragment, played, runner.decisions(fragment.scenario, played)


def test_decisions_are_charged_at_checkpoints_and_the_end_alone(source: DatasetSource) -> None:
    runner = runner_of(source, "ddpg")
    fragment, played, decisions = played_by(runner)
    scenario, objective = fragment.scenario, runner.objective
    charged = decisions.reward != 0
    assert 0 < int(charged.sum()) <= 3 * scenario.num_inventories < len(charged) / 2
    # Charged is whoever decides last before day 14, 27 or 40.
    whole = whole_decisions(scenario)
    for row in charged.nonzero().flatten().tolist():
        day, later = int(decisions.day[row]), whole[:, decisions.inventory[row]].nonzero()
        after = [d for d in later.flatten().tolist() if d > day]
        assert not after or any(day < end <= after[0] for end in (14, 27, 40))
    cost = decision_costs(scenario, played, decisions, objective)
    torch.testing.assert_close(-cost.sum(-1), decisions.reward)
    size = objective.decision_size(scenario)
    units = size[decisions.day, decisions.inventory].unsqueeze(-1)
    totals = torch.zeros(scenario.num_inventories, 2).index_add(
        0, decisions.inventory, cost * units
    )
    one_by_one = decision_costs(scenario, played, decisions, objective_of("service")) * units
    expected = torch.zeros_like(totals).index_add(0, decisions.inventory, one_by_one)
    expected = expected * (scenario.review_period / 40).unsqueeze(-1)
    torch.testing.assert_close(totals, expected, rtol=1e-4, atol=1e-3)


def test_nothing_follows_the_last_whole_decision(source: DatasetSource) -> None:
    runner = runner_of(source, "ddpg")
    fragment, _, decisions = played_by(runner)
    whole = whole_decisions(fragment.scenario)
    last = ~whole[decisions.next_day, decisions.inventory]
    assert torch.equal(decisions.discount == 0, last)
    assert int(last.sum()) == int(whole.any(0).sum())
    # Undiscounted: a decision is worth what comes, in its own size.
    size = runner.objective.decision_size(fragment.scenario)
    here, there = (size[day, decisions.inventory] for day in (decisions.day, decisions.next_day))
    torch.testing.assert_close(decisions.discount[~last], (there / here).clamp(max=2.0)[~last])
    assert float(decisions.discount.max()) > 1.0


def test_ddpgs_rows_hold_what_was_played_and_the_history(source: DatasetSource) -> None:
    runner = runner_of(source, "ddpg", train_batch_size_per_learner=2000)
    rows = sample(runner, 0)
    assert rows[Columns.ACTIONS].shape == (6000, 1, 5)
    assert rows["cost"].shape == (6000, 1, 2)
    assert rows["history"].shape == rows["next_history"].shape == (6000, COLUMNS)
    fragment, played, decisions = played_by(runner)
    assert played.stock is not None
    where, ahead = ((day, decisions.inventory) for day in (decisions.day, decisions.next_day))
    history = runner.objective.crediting.history(played.outcome, fragment.scenario)
    assert history is not None
    expected = {
        Columns.OBS: fragment.scenario.look_up(*where, played.stock[where]).flatten(),
        Columns.NEXT_OBS: fragment.scenario.look_up(*ahead, played.stock[ahead]).flatten(),
        Columns.ACTIONS: played.columns[Columns.ACTIONS][where],
        "cost": decision_costs(fragment.scenario, played, decisions, runner.objective),
        "discount": decisions.discount,
        "history": history[where],
        "next_history": history[ahead],
    }
    known = as_set(expected)
    assert as_set({name: rows[name] for name in expected}) <= known
    assert (rows["history"][:, 0] > rows["next_history"][:, 0]).all()  # time goes on


def as_set(rows: dict[str, Tensor]) -> set[tuple[float, ...]]:
    count = len(rows["discount"])
    flat = torch.cat([rows[name].reshape(count, -1) for name in sorted(rows)], 1)
    return {tuple(row) for row in flat.tolist()}


def test_a_replay_that_was_saved_keeps_the_history(source: DatasetSource, tmp_path: Path) -> None:
    runner, other = (runner_of(source, "ddpg") for _ in range(2))
    sample(runner, 0)
    runner.rows.save(tmp_path / "rows")
    other.rows.restore(tmp_path / "rows")
    one, two = (sample(each, 1) for each in (runner, other))
    assert one["history"].any()
    assert all(torch.equal(column, two[name]) for name, column in one.items())


@torch.no_grad()
def test_ppos_advantages_are_gaes(source: DatasetSource) -> None:
    """With lambda = 1 what came, beyond what the value network said."""
    runner = runner_of(source, "ppo", lambda_=1.0, train_batch_size_per_learner=1000)
    fragment, played, decisions = played_by(runner)
    cost = decision_costs(fragment.scenario, played, decisions, runner.objective)
    to_come = torch.zeros(*fragment.scenario.demand.shape, 2)
    for row in range(len(cost) - 1, -1, -1):
        ahead = to_come[decisions.next_day[row], decisions.inventory[row]]
        here = cost[row] + decisions.discount[row] * ahead
        to_come[decisions.day[row], decisions.inventory[row]] = here
    history = runner.objective.crediting.history(played.outcome, fragment.scenario)
    assert history is not None
    assert played.stock is not None
    where = decisions.day, decisions.inventory
    seen = fragment.scenario.look_up(*where, played.stock[where])
    said = runner.module.value(seen, history[where])
    rows = sample(runner, 0)
    expected = {
        tuple(key): (target, advantage)
        for key, target, advantage in zip(
            torch.cat((seen.flatten(), history[where]), -1).tolist(),
            to_come[where].tolist(), (said - to_come[where]).sum(-1).tolist(), strict=True,
        )
    }  # fmt: skip
    keys = torch.cat((rows[Columns.OBS], rows["history"]), -1).tolist()
    found = [expected[tuple(key)] for key in keys]
    torch.testing.assert_close(
        rows[Postprocessing.VALUE_TARGETS], torch.tensor([target for target, _ in found]),
        rtol=1e-3, atol=1e-3,
    )  # fmt: skip
    torch.testing.assert_close(
        rows[Postprocessing.ADVANTAGES], torch.tensor([advantage for _, advantage in found]),
        rtol=1e-3, atol=1e-2,
    )  # fmt: skip
    assert "next_history" not in rows


@pytest.mark.parametrize("algorithm", ["ddpg", "ppo"])
def test_values_see_the_history_and_the_policy_does_not(
    source: DatasetSource, algorithm: str
) -> None:
    terminal = runner_of(source, algorithm).module
    governed = ShardRunner(
        config=config_of(source, algorithm, "service"), worker_index=0, num_workers=0
    ).module
    networks = [
        (each.policy.net[0].in_features, (each.critic if algorithm == "ddpg" else each.value))
        for each in (terminal, governed)
    ]
    assert networks[0][0] == networks[1][0]
    wide, narrow = (network.net[0].in_features for _, network in networks)
    assert wide == narrow + COLUMNS


@pytest.mark.parametrize("algorithm", ["ddpg", "ppo", "ds"])
def test_the_credit_sets_the_discount(source: DatasetSource, algorithm: str) -> None:
    assert config_of(source, algorithm, TERMINAL).gamma == 1.0
    assert config_of(source, algorithm, TERMINAL, gamma=0.97).gamma == 0.97
    governed = config_of(source, algorithm, "service")
    assert governed.gamma == config_of(source, algorithm, "cost").gamma < 1.0


def test_what_cannot_learn_from_the_credit_is_refused(source: DatasetSource) -> None:
    with pytest.raises(ConfigError, match=r"gamma = 0\.7 .*0\.9 to 1"):
        config_of(source, "ppo", TERMINAL, gamma=0.7)
    assert config_of(source, "ddpg", TERMINAL).alternatives == 0
    with pytest.raises(ConfigError, match=r"alternatives = 2 .*Leave it out"):
        config_of(source, "ddpg", TERMINAL, alternatives=2)


def test_of_a_single_alternative_the_critics_loss_is_the_plain_error() -> None:
    target = torch.tensor([[[1.0, 10.0]], [[3.0, 30.0]]])
    weight = torch.tensor([0.5, 1.5])
    size = target_size(target, weight)
    assert size.tolist() == [1.0, 100.0]  # around the batch's mean: 2 and 20
    cost = target + torch.tensor([[[1.0, 0.0]], [[0.0, 20.0]]])
    assert float(critic_loss_of(cost, target, weight, size)) == pytest.approx(
        (0.5 * 1 / 1 + 1.5 * 400 / 100) / 2
    )
