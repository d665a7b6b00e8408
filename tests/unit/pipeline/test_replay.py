"""The replay gives back what was put in, with features looked up again."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
import torch
from ray.rllib.core.columns import Columns
from torch import Tensor

from envs.rollout import Decision, Trajectory, rollout
from envs.state import InventoryState, Observation, Scenario
from pipeline.algorithms.decisions import Decisions, extract_decisions
from pipeline.algorithms.replay import ReplayShard

Problem = Callable[..., tuple[Scenario, InventoryState]]
FIRST_DAYS = (0, 5)


def explore(observation: Observation) -> Decision:
    action = torch.stack((observation.basis[..., 0] / 20, observation.scale / 7), -1)
    flat = observation.flatten()
    return Decision(observation.basis[..., 0], {Columns.ACTIONS: action, "seen": flat})


@pytest.fixture
def played(
    random_problem: Problem,
) -> list[tuple[Scenario, int, Trajectory, Decisions]]:
    """Fragments of two tiles; each starts on another day of its tile."""
    result = []
    for tile, first_day in enumerate(FIRST_DAYS):
        scenario, start = random_problem(tile, n=6, days=25)
        window = scenario.days(first_day, first_day + 20)
        trajectory = rollout(window, explore, start, record=True)
        found = extract_decisions(window, trajectory, gamma=0.9, weight_power=0.5)
        result.append((scenario, first_day, trajectory, found))
    return result


def rows_of(trajectory: Trajectory, found: Decisions) -> dict[str, Tensor]:
    """What a training row of each decision must hold, straight from the trajectory."""
    seen = trajectory.columns["seen"]
    return {
        Columns.OBS: seen[found.day, found.inventory],
        Columns.NEXT_OBS: seen[found.next_day, found.inventory],
        Columns.ACTIONS: trajectory.columns[Columns.ACTIONS][found.day, found.inventory],
        Columns.REWARDS: found.reward,
        "discount": found.discount,
        "weight": found.weight,
    }


def as_set(rows: dict[str, Tensor]) -> set[tuple[float, ...]]:
    flat = torch.cat([rows[name].reshape(len(rows["weight"]), -1) for name in sorted(rows)], 1)
    return {tuple(row) for row in flat.tolist()}


def test_drawn_rows_are_the_rows_that_were_played(
    played: list[tuple[Scenario, int, Trajectory, Decisions]],
) -> None:
    replay = ReplayShard(1000)
    expected: set[tuple[float, ...]] = set()
    for tile, (_, first_day, trajectory, found) in enumerate(played):
        replay.add(tile, first_day, trajectory, found)
        expected |= as_set(rows_of(trajectory, found))
    assert replay.size == len(expected)
    loaded: list[int] = []

    def load(tile: int) -> Scenario:
        loaded.append(tile)
        return played[tile][0]

    torch.manual_seed(0)
    drawn = replay.draw(4000, load)
    assert loaded == [0, 1]  # every tile once per draw
    assert all(len(column) == 4000 for column in drawn.values())
    # Every row, and nothing else: 4000 draws of about 120 rows miss none.
    assert as_set(drawn) == expected


def test_a_draw_is_uniform_and_in_random_order(
    played: list[tuple[Scenario, int, Trajectory, Decisions]],
) -> None:
    replay = ReplayShard(1000)
    for tile, (_, first_day, trajectory, found) in enumerate(played):
        replay.add(tile, first_day, trajectory, found)
    torch.manual_seed(1)
    drawn = replay.draw(40_000, lambda tile: played[tile][0])
    counts = torch.unique(drawn[Columns.REWARDS], return_counts=True)[1].double()
    ratio = counts / 40_000 * replay.size
    assert ratio.min() > 0.7
    assert ratio.max() < 1.3
    first = set(played[0][3].reward.tolist())
    from_first_tile = [r in first for r in drawn[Columns.REWARDS][:2000].tolist()]
    changes = sum(a != b for a, b in itertools.pairwise(from_first_tile))
    assert changes > 500  # tiles are mixed, not one after the other


def test_the_oldest_rows_are_overwritten(
    played: list[tuple[Scenario, int, Trajectory, Decisions]],
) -> None:
    (_, first_day, trajectory, found), (_, second_day, second, second_found) = played
    capacity = len(second_found.day) + 3
    replay = ReplayShard(capacity)
    replay.add(0, first_day, trajectory, found)
    replay.add(1, second_day, second, second_found)
    assert replay.size == capacity
    torch.manual_seed(2)
    drawn = as_set(replay.draw(4000, lambda tile: played[tile][0]))
    newest = as_set(rows_of(second, second_found))
    assert newest < drawn
    assert drawn - newest < as_set(rows_of(trajectory, found))
    assert len(drawn) == capacity


def test_a_replay_that_is_as_large_as_the_fragment_is_filled(
    played: list[tuple[Scenario, int, Trajectory, Decisions]],
) -> None:
    _, first_day, trajectory, found = played[0]
    replay = ReplayShard(len(found.day))
    replay.add(0, first_day, trajectory, found)
    assert replay.size == len(found.day)
    torch.manual_seed(3)
    drawn = as_set(replay.draw(1000, lambda tile: played[tile][0]))
    assert drawn == as_set(rows_of(trajectory, found))
