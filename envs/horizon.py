"""Adds a played horizon up: each inventory's sums over its counted days, and its metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from envs.dynamics import DayOutcome
from envs.metrics import METRICS, Days


@dataclass(frozen=True)
class HorizonMetrics:
    """Metrics of each inventory over its counted days, [N] each."""

    values: Mapping[str, Tensor]
    """Every metric of :data:`~envs.metrics.METRICS` by name; NaN where it is a share of nothing."""
    mean_inventory: Tensor
    """Units held at the end of a day (0 where demand is owed)."""
    mean_sales: Tensor
    """Units per day."""
    mean_demand: Tensor
    """Units per day."""
    mean_unmet: Tensor
    """Units per day, lost or owed."""
    counted_days: Tensor
    """Days that entered the metrics; all else is NaN where this is 0."""
    blocks: Tensor | None = None
    """[B, len(SUMS), N] sums over each block of days, where they were asked for."""

    @property
    def cost(self) -> Tensor:
        """Money per day."""
        return self.values["cost"]

    @property
    def stockout_rate(self) -> Tensor:
        """Percent of the counted days."""
        return self.values["stockout_rate_pct"]

    @property
    def turnover_time(self) -> Tensor:
        """Days; NaN where nothing was sold."""
        return self.values["turnover_days"]

    @property
    def fill_rate(self) -> Tensor:
        """Percent of demand served from stock on its day; NaN where nothing was asked for."""
        return self.values["fill_rate_pct"]

    @staticmethod
    def concatenate(tiles: Sequence[HorizonMetrics]) -> HorizonMetrics:
        """Metrics of the inventories of all tiles, one tile after the other."""
        if len(tiles) == 1:
            return tiles[0]

        def joined(parts: Sequence[Tensor | None]) -> Tensor | None:
            known = [part for part in parts if part is not None]
            return torch.cat(known, dim=-1) if known else None

        others = [field.name for field in fields(HorizonMetrics) if field.name != "values"]
        return HorizonMetrics(
            {name: torch.cat([tile.values[name] for tile in tiles]) for name in tiles[0].values},
            **{name: joined([getattr(tile, name) for tile in tiles]) for name in others},  # type: ignore[arg-type]
        )


def horizon_metrics(
    outcome: DayOutcome,
    demand: Tensor,
    shortage_cost: Tensor,
    holding_cost: Tensor,
    counted: Tensor | None = None,
) -> HorizonMetrics:
    """Metrics of a played horizon.

    Args:
        outcome: Sales, unmet demand and end inventory, [T, N] each.
        demand: [T, N].
        shortage_cost: [N] b.
        holding_cost: [N] h.
        counted: [T, N] bool; None counts every day.
    """
    sums = HorizonSums(like=shortage_cost)
    sums.add(outcome, counted, demand)
    return sums.metrics(shortage_cost, holding_cost)


class HorizonSums:
    """Adds up a horizon, a block of days at a time, for :class:`HorizonMetrics`.

    Args:
        like: [N], gives number, dtype and device.
    """

    def __init__(self, *, like: Tensor) -> None:
        self._days = torch.zeros_like(like)
        self._stocked = like.new_empty(0)
        # Unmet demand, inventory held, days with stock, sales, demand.
        self._sums = [torch.zeros_like(like) for _ in range(5)]

    def add(
        self, outcome: DayOutcome, counted: Tensor | None = None, demand: Tensor | None = None
    ) -> None:
        """Adds a block of days.

        Args:
            outcome: [days, N] each.
            counted: [days, N] bool; None counts every day.
            demand: [days, N] units; None where demand is lost: it is sales + unmet.
        """
        sales, unmet, end = outcome
        # Unmet demand that is lost leaves no negative stock behind.
        held = end if demand is None else end.clamp(min=0.0)
        # The sign, not a comparison: booleans are slow to add up.
        if self._stocked.shape != end.shape:
            self._stocked = torch.empty_like(end)
        parts = [unmet, held, torch.sign(held.detach(), out=self._stocked), sales]
        if demand is not None:
            parts.append(demand)
        if counted is None:
            self._days = self._days + end.shape[0]
        else:
            weight = counted.to(end.dtype)
            parts = [part * weight for part in parts]
            self._days = self._days + weight.sum(0)
        added = [part.sum(0) for part in parts]
        if demand is None:
            added.append(added[0] + added[3])
        self._sums = [total + part for total, part in zip(self._sums, added, strict=True)]

    @staticmethod
    def total(blocks: Sequence[HorizonSums]) -> HorizonSums:
        """All days of several blocks."""
        result = HorizonSums(like=blocks[0]._days)
        result._days = torch.stack([block._days for block in blocks]).sum(0)
        columns = zip(*(block._sums for block in blocks), strict=True)
        result._sums = [torch.stack(column).sum(0) for column in columns]
        return result

    def stacked(self) -> Tensor:
        """[len(SUMS), N] the sums of :data:`~envs.metrics.SUMS`."""
        unmet, held, stocked, sales, demand = self._sums
        return torch.stack((self._days, demand, sales, held, unmet, self._days - stocked))

    def metrics(self, shortage_cost: Tensor, holding_cost: Tensor) -> HorizonMetrics:
        """Metrics of the days added so far; b and h are [N]."""
        days = torch.where(self._days > 0, self._days, float("nan"))
        unmet, held, stocked, sold, demand = (total / days for total in self._sums)
        mean_day = Days(
            days=torch.ones_like(self._days),
            demand=demand,
            sales=sold,
            stock=held,
            unmet=unmet,
            stockout_days=1.0 - stocked,
            shortage_cost=shortage_cost,
            holding_cost=holding_cost,
        )
        return HorizonMetrics(
            values={metric.name: metric.of(mean_day) for metric in METRICS},
            mean_inventory=held,
            mean_sales=sold,
            mean_demand=demand,
            mean_unmet=unmet,
            counted_days=self._days,
        )
