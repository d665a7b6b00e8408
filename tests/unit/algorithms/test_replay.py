"""The replay gives back what was put in, with features looked up again."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from ray.rllib.core.columns import Columns
from torch import Tensor

from envs.objective import DEFAULT_OBJECTIVE as COST
from envs.rollout import Decision, Trajectory, rollout
from envs.state import InventoryState, Observation, Scenario
from pipeline.algorithms.alternatives import Alternatives, play_alternatives
from pipeline.algorithms.decisions import Decisions, extract_decisions
from pipeline.algorithms.replay import ReplayShard

Problem = Callable[..., tuple[Scenario, InventoryState]]
FIRST_DAYS = (0, 5)


def explore(observation: Observation) -> Decision:
    action = torch.stack((observation.basis[..., 0] / 20, observation.scale / 7), -1)
    flat = observation.flatten()
    return Decision(observation.basis[..., 0], {Columns.ACTIONS: action, "seen": flat})


class Fragment(NamedTuple):
    """Of a tile; each starts on another day of its tile."""

    tile: Scenario
    first_day: int
    window: Scenario
    played: Trajectory
    decisions: Decisions
    stock: Tensor
    actions: Tensor
    found: Alternatives


@pytest.fixture
def fragments(random_problem: Problem) -> list[Fragment]:
    """Of two tiles; two alternatives beside what was played."""
    result = []
    for number, first_day in enumerate(FIRST_DAYS):
        tile, start = random_problem(number, n=6, days=25)
        window = tile.days(first_day, first_day + 20)
        played = rollout(window, explore, start, record=True)
        decisions = extract_decisions(window, played, objective=COST, gamma=0.9, weight_power=0.5)
        where = decisions.day, decisions.inventory
        assert played.stock is not None
        placed, stock = played.order[where], played.stock[where]
        orders = torch.stack((placed, placed + 3.0, placed / 2.0))
        tried = played.columns[Columns.ACTIONS][where]
        actions = torch.stack((tried, tried + 0.3, tried / 2.0))
        found = play_alternatives(window, stock, decisions, orders, played, COST)
        result.append(Fragment(tile, first_day, window, played, decisions, stock, actions, found))
    return result


def keep(replay: ReplayShard, number: int, fragment: Fragment) -> None:
    replay.add(number, *fragment[1:2], *fragment[4:])


def rows_of(fragment: Fragment) -> dict[str, Tensor]:
    """What a training row of each decision must hold, straight from the trajectory."""
    seen, found, decisions = fragment.played.columns["seen"], fragment.found, fragment.decisions
    later = [
        fragment.window.look_up(decisions.next_day, decisions.inventory, stock).flatten()
        for stock in found.next_stock
    ]
    assert torch.equal(later[0], seen[decisions.next_day, decisions.inventory])
    return {
        Columns.OBS: seen[decisions.day, decisions.inventory],
        Columns.NEXT_OBS: torch.stack(later, 1),
        Columns.ACTIONS: fragment.actions.transpose(0, 1),
        "cost": found.cost.transpose(0, 1),
        "discount": decisions.discount,
        "weight": decisions.weight,
    }


def as_set(rows: dict[str, Tensor]) -> set[tuple[float, ...]]:
    flat = torch.cat([rows[name].reshape(len(rows["weight"]), -1) for name in sorted(rows)], 1)
    return {tuple(row) for row in flat.tolist()}


def test_drawn_rows_are_the_rows_that_were_played(fragments: list[Fragment]) -> None:
    replay = ReplayShard(1000)
    expected: set[tuple[float, ...]] = set()
    for number, fragment in enumerate(fragments):
        keep(replay, number, fragment)
        expected |= as_set(rows_of(fragment))
    assert replay.size == len(expected)
    loaded: list[int] = []

    def load(tile: int) -> Scenario:
        loaded.append(tile)
        return fragments[tile].tile

    torch.manual_seed(0)
    drawn = replay.draw(4000, load)
    assert loaded == [0, 1]  # every tile once per draw
    assert all(len(column) == 4000 for column in drawn.values())
    assert drawn["cost"].shape == (4000, 3, 2)
    # Every row, and nothing else: 4000 draws of about 120 rows miss none.
    assert as_set(drawn) == expected


def test_a_draw_is_uniform_and_in_random_order(fragments: list[Fragment]) -> None:
    replay = ReplayShard(1000)
    for number, fragment in enumerate(fragments):
        keep(replay, number, fragment)
    torch.manual_seed(1)
    drawn = replay.draw(40_000, lambda tile: fragments[tile].tile)
    counts = torch.unique(drawn["weight"], return_counts=True)[1].double()
    ratio = counts / 40_000 * replay.size
    assert ratio.min() > 0.7
    assert ratio.max() < 1.3
    first = set(fragments[0].decisions.weight.tolist())
    from_first_tile = [w in first for w in drawn["weight"][:2000].tolist()]
    changes = sum(a != b for a, b in itertools.pairwise(from_first_tile))
    assert changes > 500  # tiles are mixed, not one after the other


def test_the_oldest_rows_are_overwritten(fragments: list[Fragment]) -> None:
    first, second = fragments
    capacity = len(second.decisions.day) + 3
    replay = ReplayShard(capacity)
    keep(replay, 0, first)
    keep(replay, 1, second)
    assert replay.size == capacity
    torch.manual_seed(2)
    drawn = as_set(replay.draw(4000, lambda tile: fragments[tile].tile))
    newest = as_set(rows_of(second))
    assert newest < drawn
    assert drawn - newest < as_set(rows_of(first))
    assert len(drawn) == capacity


def test_a_replay_that_is_as_large_as_the_fragment_is_filled(fragments: list[Fragment]) -> None:
    fragment = fragments[0]
    replay = ReplayShard(len(fragment.decisions.day))
    keep(replay, 0, fragment)
    assert replay.size == len(fragment.decisions.day)
    torch.manual_seed(3)
    drawn = as_set(replay.draw(1000, lambda tile: fragments[tile].tile))
    assert drawn == as_set(rows_of(fragment))


def test_a_replay_that_was_saved_goes_on_as_it_would_have(
    fragments: list[Fragment], tmp_path: Path
) -> None:
    first, second = fragments
    whole = ReplayShard(len(second.decisions.day) + 3)
    keep(whole, 0, first)
    whole.save(tmp_path / "replay")
    restored = ReplayShard()
    restored.restore(tmp_path / "replay")
    drawn = []
    for replay in (whole, restored):
        keep(replay, 1, second)
        torch.manual_seed(4)
        drawn.append(replay.draw(500, lambda tile: fragments[tile].tile))
    assert set(drawn[0]) == set(drawn[1])
    assert all(torch.equal(column, drawn[1][name]) for name, column in drawn[0].items())
