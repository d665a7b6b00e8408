"""Uniform replay, held where the shard is.

A row keeps what the policy caused: inventory, day, stock, action, reward, next stock.
Exogenous features never depend on orders, so they are looked up again in the shard's
tiles when a minibatch is drawn.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from ray.rllib.core.columns import Columns
from torch import Tensor

from envs.rollout import Trajectory
from envs.state import Scenario
from pipeline.algorithms.decisions import Decisions


class ReplayShard:
    """A ring of at most ``capacity`` decisions.

    Args:
        capacity: Rows kept; the oldest are overwritten.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.size = 0
        self._next = 0
        self._columns: dict[str, Tensor] = {}

    def add(self, tile: int, first_day: int, played: Trajectory, decisions: Decisions) -> None:
        """Keeps the decisions of a fragment that started on ``first_day`` of ``tile``."""
        assert played.stock is not None
        keep = slice(None) if len(decisions.day) <= self.capacity else self._some(decisions)
        day, inventory = decisions.day[keep], decisions.inventory[keep]
        next_day = decisions.next_day[keep]
        n = played.stock.shape[1]
        here, there = day * n + inventory, next_day * n + inventory
        stock, action = played.stock.flatten(0, 1), played.columns[Columns.ACTIONS].flatten(0, 1)
        rows = {
            "tile": torch.full_like(day, tile),
            "day": day + first_day,
            "next_day": next_day + first_day,
            "inventory": inventory,
            "stock": stock.index_select(0, here),
            "next_stock": stock.index_select(0, there),
            "action": action.index_select(0, here),
            "reward": decisions.reward[keep],
            "discount": decisions.discount[keep],
            "weight": decisions.weight[keep],
        }
        if not self._columns:
            self._columns = {
                name: column.new_zeros((self.capacity, *column.shape[1:]))
                for name, column in rows.items()
            }
        count = len(day)
        # The ring's end, then its beginning: contiguous copies.
        fits = min(count, self.capacity - self._next)
        for name, column in rows.items():
            self._columns[name][self._next : self._next + fits] = column[:fits]
            self._columns[name][: count - fits] = column[fits:]
        self._next = (self._next + count) % self.capacity
        self.size = min(self.capacity, self.size + count)

    def _some(self, decisions: Decisions) -> Tensor:
        """As many of the decisions as fit, drawn at random; in order, which is read faster."""
        count = len(decisions.day)
        keep = torch.ones(count, dtype=torch.bool)
        keep[torch.randperm(count)[self.capacity :]] = False
        return keep.nonzero().squeeze(1)  # sorting takes ten times longer

    def draw(self, rows: int, load: Callable[[int], Scenario]) -> dict[str, Tensor]:
        """``rows`` uniform draws as training columns, in random order.

        Args:
            rows: Number of rows (with replacement).
            load: Gives the scenario of a tile; called once per tile drawn.
        """
        index = torch.randint(0, self.size, (rows,))
        picked = {name: column[index] for name, column in self._columns.items()}
        observations = next_observations = None
        for tile in picked["tile"].unique().tolist():
            scenario = load(tile)
            where = (picked["tile"] == tile).nonzero().squeeze(1)
            inventory = picked["inventory"][where]
            here, there = (
                scenario.look_up(picked[day][where], inventory, picked[stock][where]).flatten()
                for day, stock in (("day", "stock"), ("next_day", "next_stock"))
            )
            if observations is None or next_observations is None:
                observations = here.new_empty((rows, here.shape[1]))
                next_observations = torch.empty_like(observations)
            observations[where] = here
            next_observations[where] = there
        assert observations is not None
        assert next_observations is not None
        return {
            Columns.OBS: observations,
            Columns.NEXT_OBS: next_observations,
            Columns.ACTIONS: picked["action"],
            Columns.REWARDS: picked["reward"],
            "discount": picked["discount"],
            "weight": picked["weight"],
        }
