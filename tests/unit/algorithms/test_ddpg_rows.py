"""What DDPG learns from: alternatives, kept in a replay."""

from __future__ import annotations

import itertools

import pytest
import torch
from ray.rllib.core.columns import Columns

from envs.errors import ConfigError
from pipeline.algorithms.build import build_config
from pipeline.algorithms.ddpg import WIDE
from pipeline.algorithms.runner import ShardRunner
from pipeline.runs.config import RunConfig
from pipeline.scenarios.dataset import DatasetSource
from tests.runners import FIRST_ACTION, SMALL, make_runner, sample


def test_a_replay_smaller_than_a_fragment_takes_a_part_of_it(source: DatasetSource) -> None:
    run = RunConfig(
        algorithm="ddpg",
        action_model="both",
        training=SMALL["ddpg"] | {"replay_capacity": 60},
    )
    runner = ShardRunner(config=build_config(run, source), worker_index=0, num_workers=0)
    rows = sample(runner)
    assert len(rows["weight"]) == 3 * 50
    assert runner.rows.replay.size == 60
    # A part of each fragment's days, not its first or last decisions.
    assert len(runner.rows.replay._columns["day"].unique()) > 10


def test_a_replay_holds_as_many_fragments_as_it_is_told(source: DatasetSource) -> None:
    run = RunConfig(
        algorithm="ddpg", action_model="both", training=SMALL["ddpg"] | {"replay_fragments": 3}
    )
    runner = ShardRunner(config=build_config(run, source), worker_index=0, num_workers=0)
    smallest = min(range(source.num_tiles("train")), key=lambda t: runner.tile(t).num_inventories)
    first = next(n for n in range(99) if runner.fragment(n)[0] == smallest)
    sizes, capacities = [], set()
    for number in range(first, first + 7):  # begins with the tile that is a part of one
        sample(runner, iteration=number)
        sizes.append(runner.rows.replay.size)
        capacities.add(runner.rows.replay.capacity)
    added = [b - a for a, b in itertools.pairwise([0, *sizes])][:3]
    assert 3 * max(added) <= sizes[-1] == capacities.pop() < 5 * max(added)
    assert not capacities


def test_so_many_decisions_of_a_fragment_are_kept(source: DatasetSource) -> None:
    """The others are played, and their alternatives are not."""
    training = SMALL["ddpg"] | {"replay_fragments": 3, "decisions_per_fragment": 100}
    run = RunConfig(algorithm="ddpg", action_model="both", training=training)
    runner = ShardRunner(config=build_config(run, source), worker_index=0, num_workers=0)
    for size in (100, 200, 300, 300):
        sample(runner)
        assert (runner.rows.replay.size, runner.rows.replay.capacity) == (size, 300)
    assert len(runner.rows.replay._columns["day"].unique()) > 10


def test_ddpg_explores_around_the_policy_within_the_range(source: DatasetSource) -> None:
    """What was tried, the policy's own action and one farther from it."""
    runner = make_runner(source, "ddpg")
    rows = sample(runner, 0)
    assert {len(column) for column in rows.values()} == {150}
    actions, deviation = rows[Columns.ACTIONS], 0.1 * FIRST_ACTION
    assert actions.shape == (150, 3, 5)
    with torch.no_grad():
        own = runner.module.policy.action(source.layout.unflatten(rows[Columns.OBS]))
    assert (actions >= 0).all()
    assert (actions <= 1).all()
    torch.testing.assert_close(actions[:, 1], own)
    assert (actions[:, 0] - own).std().item() == pytest.approx(deviation, rel=0.15)
    assert (actions[:, 2] - own).std().item() == pytest.approx(WIDE * deviation, rel=0.15)
    assert rows["cost"].shape == (150, 3, 2)
    assert (rows["cost"] >= 0).all()
    assert rows[Columns.NEXT_OBS].shape == (150, 3, source.layout.size)


@pytest.mark.parametrize("count", [1, 4])
def test_as_many_alternatives_as_asked_for_are_kept(source: DatasetSource, count: int) -> None:
    run = RunConfig(
        algorithm="ddpg", action_model="base", training={**SMALL["ddpg"], "alternatives": count}
    )
    runner = ShardRunner(config=build_config(run, source), worker_index=0, num_workers=0)
    rows = sample(runner)
    assert rows[Columns.ACTIONS].shape == (150, 1 + count, 1)
    assert rows["cost"].shape == (150, 1 + count, 2)


def test_fragments_too_short_for_any_decision_are_refused(source: DatasetSource) -> None:
    run = RunConfig(
        algorithm="ddpg", action_model="both", training={**SMALL["ddpg"], "fragment_days": 1}
    )
    runner = ShardRunner(config=build_config(run, source), worker_index=0, num_workers=0)
    with pytest.raises(ConfigError, match="fragment_days"):
        sample(runner, 0)


def test_ddpg_plays_as_many_fragments_as_asked(source: DatasetSource) -> None:
    run = RunConfig(
        algorithm="ddpg", action_model="both",
        training={**SMALL["ddpg"], "fragments_per_iteration": 3},
    )  # fmt: skip
    runner = ShardRunner(config=build_config(run, source), worker_index=0, num_workers=0)
    sample(runner, 0)
    assert len(runner.rows.replay._columns["tile"][: runner.rows.replay.size].unique()) == 3
