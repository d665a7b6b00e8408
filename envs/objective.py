"""What a day, an order and a horizon cost (design 2).

    cost            mean over counted days of  b * unmet + h * leftover
    stockout rate   share of counted days that end with no stock, in %
    turnover time   mean end-of-day inventory / mean daily sales, in days
    fill rate       share of demand that is served from stock on its day, in %

Under backlog ``unmet`` is what is owed at the end of the day and the stock that
is held is the positive part of the end inventory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from envs.dynamics import DayOutcome


def day_cost(outcome: DayOutcome, shortage_cost: Tensor, holding_cost: Tensor) -> Tensor:
    """b * unmet + h * leftover of a day (or of [T, N] days), money per inventory."""
    return shortage_cost * outcome.unmet + holding_cost * outcome.end.clamp(min=0.0)


BLOCK_SUMS = ("days", "demand", "sales", "stock", "unmet", "stockout_days")
"""What is added up over the counted days of a block: days and units, per inventory."""


@dataclass(frozen=True)
class HorizonMetrics:
    """Metrics of each inventory over its counted days, [N] each."""

    cost: Tensor
    """Money per day."""
    stockout_rate: Tensor
    """Percent of the counted days."""
    turnover_time: Tensor
    """Days; NaN where nothing was sold."""
    mean_inventory: Tensor
    """Units held at the end of a day (0 where demand is owed)."""
    mean_sales: Tensor
    """Units per day."""
    mean_demand: Tensor
    """Units per day."""
    counted_days: Tensor
    """Days that entered the metrics; all else is NaN where this is 0."""
    fill_rate: Tensor
    """Percent of demand served from stock on its day; NaN where nothing was asked for."""
    blocks: Tensor | None = None
    """[B, len(BLOCK_SUMS), N] sums over each block of days, where they were asked for."""

    @staticmethod
    def concatenate(tiles: Sequence[HorizonMetrics]) -> HorizonMetrics:
        """Metrics of the inventories of all tiles, one tile after the other."""
        if len(tiles) == 1:
            return tiles[0]
        joined: dict[str, Any] = {}
        for name in (field.name for field in fields(HorizonMetrics)):
            parts = [getattr(tile, name) for tile in tiles]
            joined[name] = None if parts[0] is None else torch.cat(parts, dim=-1)
        return HorizonMetrics(**joined)


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
        """[len(BLOCK_SUMS), N] the sums themselves."""
        unmet, held, stocked, sales, demand = self._sums
        return torch.stack((self._days, demand, sales, held, unmet, self._days - stocked))

    def metrics(self, shortage_cost: Tensor, holding_cost: Tensor) -> HorizonMetrics:
        """Metrics of the days added so far; b and h are [N]."""
        days = torch.where(self._days > 0, self._days, float("nan"))
        unmet, held, stocked, sold, demand = (total / days for total in self._sums)
        return HorizonMetrics(
            cost=shortage_cost * unmet + holding_cost * held,
            stockout_rate=100.0 * (1.0 - stocked),
            turnover_time=held / torch.where(sold > 0, sold, float("nan")),
            mean_inventory=held,
            mean_sales=sold,
            mean_demand=demand,
            counted_days=self._days,
            fill_rate=100.0 * sold / torch.where(demand > 0, demand, float("nan")),
        )


def smooth_stockout_rate(end: Tensor, temperature: Tensor | float) -> Tensor:
    """Differentiable surrogate of the stockout rate (share in [0, 1]).

    A sigmoid of the end inventory replaces the indicator ``end <= 0``.

    Args:
        end: [T, N] end-of-day inventory, units.
        temperature: Units over which "no stock" becomes "stock" (a fraction of the
            inventory's scale, [N] or a number).
    """
    return torch.sigmoid(-end / temperature).mean(0)


def decision_rewards(
    cost: Tensor, lead_time: Tensor, review_period: Tensor
) -> tuple[Tensor, Tensor]:
    """Reward of an order placed on each day: minus the cost of the days it governs.

    An order placed on day t with lead time L governs [t+L, t+L+P): until the next
    order can arrive. The rewards of all orders of an inventory therefore add up to minus
    its cost over the days that any order governs (design 2).

    Args:
        cost: [T, N] money per day.
        lead_time: [N] int64 nominal L.
        review_period: [N] int64 P.

    Returns:
        Rewards [T, N], and [T, N] bool: the governed days lie inside the horizon
        (elsewhere the reward is cut at the horizon's end).
    """
    days, n = cost.shape
    running = torch.cat((cost.new_zeros(1, n), cost.cumsum(0)))
    shared = bool((lead_time == lead_time[0]).all() & (review_period == review_period[0]).all())
    if shared:
        # Whole days are picked then, instead of numbers.
        lead_time, review_period = lead_time[:1], review_period[:1]
    first = torch.arange(days, device=cost.device).unsqueeze(1) + lead_time
    last = first + review_period
    ends = [
        running.index_select(0, day.squeeze(1)) if shared else running.gather(0, day)
        for day in (first.clamp(max=days), last.clamp(max=days))
    ]
    return ends[0] - ends[1], (last <= days).expand(days, n)


def after_warm_up(review: Tensor, lead_time: Tensor) -> Tensor:
    """[T, N] bool: the first order could have arrived by that day.

    Days before that are the warm-up, which no metric counts.

    Args:
        review: [T, N] bool.
        lead_time: [N] int64 nominal L.
    """
    days = review.shape[0]
    day = torch.arange(days, dtype=torch.int32, device=review.device).unsqueeze(1)
    first = torch.where(review, day, days).amin(0)
    return day >= first + lead_time.to(torch.int32)


def governed_days(
    review: Tensor, lead_time: Tensor, review_period: Tensor
) -> tuple[Tensor, Tensor]:
    """Which days an order of the horizon decides.

    Args:
        review: [T, N] bool.
        lead_time: [N] int64 nominal L.
        review_period: [N] int64 P.

    Returns:
        Two [T, N] masks: :func:`after_warm_up`; and the day is governed by an order all of
        whose governed days lie inside the horizon (the last orders' are cut).
    """
    days = review.shape[0]
    day = torch.arange(days, device=review.device).unsqueeze(1)
    latest = torch.where(review, day, -1).cummax(0).values
    ordered = day - lead_time
    deciding = torch.where(ordered >= 0, latest.gather(0, ordered.clamp(min=0)), -1)
    governed = deciding >= 0
    return governed, governed & (deciding + lead_time + review_period <= days)
