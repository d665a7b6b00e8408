"""Uniform replay, held where the shard is.

A row keeps what the policy caused: inventory, day, stock, action, reward, next stock.
Exogenous features never depend on orders, so they are looked up again in the shard's
tiles when a minibatch is drawn.
"""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable
from pathlib import Path

import torch
from ray.rllib.core.columns import Columns
from torch import Tensor

from envs.rollout import Trajectory
from envs.state import Scenario
from pipeline.algorithms.decisions import Decisions


class ReplayShard:
    """A ring of at most ``capacity`` decisions.

    Args:
        capacity: Rows kept; the oldest are overwritten. 0: to be set before the first are added.
    """

    def __init__(self, capacity: int = 0) -> None:
        self.capacity = capacity
        self.size = 0
        self._next = 0
        self._columns: dict[str, Tensor] = {}

    def add(self, tile: int, first_day: int, played: Trajectory, decisions: Decisions) -> None:
        """Keeps the decisions of a fragment that started on ``first_day`` of ``tile``.

        No more than ``capacity`` of them, see ``limit`` of
        :func:`~pipeline.algorithms.decisions.extract_decisions`.
        """
        assert played.stock is not None
        day, inventory, next_day = decisions.day, decisions.inventory, decisions.next_day
        assert len(day) <= self.capacity
        n = played.stock.shape[1]
        here, there = day * n + inventory, next_day * n + inventory
        stock, action = played.stock.flatten(0, 1), played.columns[Columns.ACTIONS].flatten(0, 1)
        rows = {
            "tile": torch.full_like(day, tile),
            "day": day + first_day,
            "next_day": next_day + first_day,
            "inventory": inventory,
            "reward": decisions.reward,
            "discount": decisions.discount,
            "weight": decisions.weight,
        }
        looked_up = {"stock": (stock, here), "next_stock": (stock, there), "action": (action, here)}
        if not self._columns:
            examples = rows | {name: source for name, (source, _) in looked_up.items()}
            self._columns = {
                name: column.new_zeros((self.capacity, *column.shape[1:]))
                for name, column in examples.items()
            }
        count = len(day)
        # The ring's end, then its beginning: contiguous copies.
        fits = min(count, self.capacity - self._next)
        for part, start in ((slice(0, fits), self._next), (slice(fits, count), 0)):
            ring = slice(start, start + part.stop - part.start)
            for name, column in rows.items():
                self._columns[name][ring] = column[part]
            for name, (source, where) in looked_up.items():
                torch.index_select(source, 0, where[part], out=self._columns[name][ring])
        self._next = (self._next + count) % self.capacity
        self.size = min(self.capacity, self.size + count)

    def save(self, path: Path) -> None:
        """Writes the rows, compressed; nothing if there are none."""
        if not self.size:
            return
        rows = {name: column[: self.size] for name, column in self._columns.items()}
        # The fastest level: most of a row is stock that is 0 or repeats.
        buffer = io.BytesIO()
        torch.save({"capacity": self.capacity, "next": self._next, "rows": rows}, buffer)
        with gzip.open(path, "wb", compresslevel=1) as file:
            file.write(buffer.getbuffer())

    def restore(self, path: Path) -> None:
        """Takes over what :meth:`save` wrote; nothing if it wrote nothing."""
        if not path.exists():
            return
        with gzip.open(path, "rb") as file:
            saved = torch.load(io.BytesIO(file.read()), weights_only=True)
        rows = saved["rows"]
        self.capacity = saved["capacity"]
        self._next, self.size = saved["next"], len(rows["reward"])
        self._columns = {
            name: column.new_zeros((self.capacity, *column.shape[1:]))
            for name, column in rows.items()
        }
        for name, column in rows.items():
            self._columns[name][: self.size] = column

    def draw(self, rows: int, load: Callable[[int], Scenario]) -> dict[str, Tensor]:
        """``rows`` uniform draws as training columns, in random order.

        Args:
            rows: Number of rows (with replacement).
            load: Gives the scenario of a tile; called once per tile drawn.
        """
        index = torch.randint(0, self.size, (rows,))
        picked = {name: column.index_select(0, index) for name, column in self._columns.items()}
        found: tuple[Tensor, Tensor] | None = None
        tiles = picked["tile"].unique().tolist()
        for tile in tiles:
            scenario = load(tile)
            # With one tile every row is of it.
            where = None if len(tiles) == 1 else (picked["tile"] == tile).nonzero().squeeze(1)
            mine = (
                picked
                if where is None
                else {
                    name: picked[name].index_select(0, where)
                    for name in ("inventory", "day", "stock", "next_day", "next_stock")
                }
            )
            here, there = (
                scenario.look_up(mine[day], mine["inventory"], mine[stock]).flatten()
                for day, stock in (("day", "stock"), ("next_day", "next_stock"))
            )
            if where is None:
                found = here, there
                break
            if found is None:
                found = here.new_empty((rows, here.shape[1])), here.new_empty((rows, here.shape[1]))
            for all_rows, some in zip(found, (here, there), strict=True):
                all_rows.index_copy_(0, where, some)
        assert found is not None
        observations, next_observations = found
        return {
            Columns.OBS: observations,
            Columns.NEXT_OBS: next_observations,
            Columns.ACTIONS: picked["action"],
            Columns.REWARDS: picked["reward"],
            "discount": picked["discount"],
            "weight": picked["weight"],
        }
