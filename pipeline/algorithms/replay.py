"""Uniform replay, held where the shard is.

A row keeps what the policy caused: inventory, day, stock, the action, cost and next stock of
each alternative, and the horizon's history where values depend on it.
Exogenous features never depend on orders, so they are looked up again in the shard's
tiles when a minibatch is drawn.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from pathlib import Path

import pyarrow as pa
import torch
from ray.rllib.core.columns import Columns
from torch import Tensor

from envs.objective import DEFAULT_OBJECTIVE, Objective
from envs.state import Scenario
from pipeline.algorithms.alternatives import Alternatives
from pipeline.algorithms.decisions import HISTORY, NEXT_HISTORY, Decisions
from pipeline.features.trade_off import seen_features

LEARNED = "cost", "discount", "weight", HISTORY, NEXT_HISTORY
"""Columns that are learned from as they are kept."""


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

    def add(
        self,
        tile: int,
        first_day: int,
        decisions: Decisions,
        stock: Tensor,
        actions: Tensor,
        found: Alternatives,
        histories: Mapping[str, Tensor] | None = None,
    ) -> None:
        """Keeps the decisions of a fragment that started on ``first_day`` of ``tile``.

        Args:
            tile, first_day: Where the fragment lies.
            decisions: R of it, no more than ``capacity``.
            stock: [R, K+1] units before each decision.
            actions: [C, R, A] alternatives, the one that was tried first.
            found: What they led to.
            histories: Columns of :func:`~pipeline.algorithms.decisions.histories`, the same at
                every call.
        """
        count = len(decisions.day)
        assert count <= self.capacity
        rows = {
            "tile": torch.full_like(decisions.day, tile),
            "day": decisions.day + first_day,
            "next_day": decisions.next_day + first_day,
            "inventory": decisions.inventory,
            "discount": decisions.discount,
            "weight": decisions.weight,
            "stock": stock,
            "action": actions.transpose(0, 1),
            "cost": found.cost.transpose(0, 1),
            "factor": decisions.shortage_factor,
            "next_stock": found.next_stock.transpose(0, 1),
            **(histories or {}),
        }
        if not self._columns:
            self._columns = {
                name: column.new_zeros((self.capacity, *column.shape[1:]))
                for name, column in rows.items()
            }
        # The ring's end, then its beginning: contiguous copies.
        fits = min(count, self.capacity - self._next)
        for part, start in ((slice(0, fits), self._next), (slice(fits, count), 0)):
            ring = slice(start, start + part.stop - part.start)
            for name, column in rows.items():
                self._columns[name][ring] = column[part]
        self._next = (self._next + count) % self.capacity
        self.size = min(self.capacity, self.size + count)

    def save(self, path: Path) -> None:
        """Writes the rows, compressed; nothing if there are none."""
        if not self.size:
            return
        rows = {name: column[: self.size] for name, column in self._columns.items()}
        # Most of a row is stock that is 0 or repeats.
        buffer = io.BytesIO()
        torch.save({"capacity": self.capacity, "next": self._next, "rows": rows}, buffer)
        with pa.CompressedOutputStream(str(path), "zstd") as file:
            file.write(buffer.getbuffer())

    def restore(self, path: Path) -> None:
        """Takes over what :meth:`save` wrote; nothing if it wrote nothing."""
        if not path.exists():
            return
        with pa.CompressedInputStream(str(path), "zstd") as file:
            saved = torch.load(io.BytesIO(file.read()), weights_only=True)
        rows = saved["rows"]
        self.capacity = saved["capacity"]
        self._next, self.size = saved["next"], len(rows["tile"])
        self._columns = {
            name: column.new_zeros((self.capacity, *column.shape[1:]))
            for name, column in rows.items()
        }
        for name, column in rows.items():
            self._columns[name][: self.size] = column

    def draw(
        self,
        rows: int,
        load: Callable[[int], Scenario],
        objective: Objective = DEFAULT_OBJECTIVE,
    ) -> dict[str, Tensor]:
        """``rows`` uniform draws as training columns, in random order.

        Args:
            rows: Number of rows (with replacement).
            load: Gives the scenario of a tile; called once per tile drawn.
            objective: As which policies see it.

        Returns:
            Observations [rows, D]; of each alternative action [rows, C, A], cost [rows, C, 2] and
            the next observation [rows, C, D]; discount and weight [rows]; histories [rows, H], if
            they were added.
        """
        index = torch.randint(0, self.size, (rows,))
        picked = {name: column.index_select(0, index) for name, column in self._columns.items()}
        kept: dict[str, Tensor] = {}
        tiles = picked["tile"].unique().tolist()
        for tile in tiles:
            where = (picked["tile"] == tile).nonzero().squeeze(1)
            mine = {name: column.index_select(0, where) for name, column in picked.items()}
            seen = _observations(load(tile), mine, objective)
            for name, values in seen.items():
                if name not in kept:
                    kept[name] = values.new_empty((rows, *values.shape[1:]))
                kept[name].index_copy_(0, where, values)
        return kept | {
            Columns.ACTIONS: picked["action"],
            **{name: picked[name] for name in LEARNED if name in picked},
        }


def _observations(
    scenario: Scenario, rows: dict[str, Tensor], objective: Objective
) -> dict[str, Tensor]:
    """What was seen at each decision of a tile, and what at the next after each alternative."""
    inventory, next_stock = rows["inventory"], rows["next_stock"]
    factor: Tensor | float = rows["factor"]
    if bool((rows["factor"] == 1.0).all()):
        factor = 1.0

    def look_up(day: Tensor, stock: Tensor) -> Tensor:
        found = scenario.look_up(day, inventory, stock)
        return found._replace(features=seen_features(found.features, objective, factor)).flatten()

    # Alternatives differ in the stock that they leave only.
    ahead = look_up(rows["next_day"], next_stock[:, 0])
    ahead = ahead.unsqueeze(1).repeat(1, next_stock.shape[1], 1)
    ahead[..., : next_stock.shape[-1]] = next_stock
    return {Columns.OBS: look_up(rows["day"], rows["stock"]), Columns.NEXT_OBS: ahead}
