"""Which days count, and which of them an order answers for (design 2).

When an order is charged with them is its objective's :class:`Credit`: as soon as they are over
(:class:`GovernedDays`), or in parts at checkpoints and the end of the horizon
(:class:`EndOfHorizon`).

A horizon is a stretch of days that is played at once. Its whole decisions are those whose
governed days, and next decision, lie inside it; its cost is that of the days that these govern,
the same days that :class:`GovernedDays` charges them with one by one. :class:`EndOfHorizon`
charges them together: at each checkpoint and at the end the days since the last one, times P / T.
What an inventory is charged with in all is therefore its governed days' cost, divided by the
horizon's days and multiplied by the review period: the horizon's figure, as large as a decision's
cost.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor

from envs.dynamics import DayOutcome
from envs.state import Scenario

MOST_SCALES = 20.0
"""Amounts of the past are cut at so many scales a day, as networks cut stock."""


class Credit(ABC):
    """What decisions are charged with, of what the days of a horizon cost."""

    of_governed_days: ClassVar[bool] = False
    """Whether that is what the governed days cost and nothing else, so that what another order
    would have been charged with is known from its governed days alone."""
    discount: ClassVar[float | None] = None
    """From a decision to the inventory's next one, where training names none; None: whatever the
    algorithm has."""
    least_discount: ClassVar[float] = 0.0
    """Below it nothing can be learned."""
    largest_discount: ClassVar[float] = 1.0
    """A value is handed back through a change of decision size at most this much enlarged."""
    history_columns: ClassVar[int] = 0
    """H of :meth:`history`."""

    @abstractmethod
    def rewards(self, cost: Tensor, scenario: Scenario) -> tuple[Tensor, Tensor]:
        """Minus what a decision of each day is charged with.

        Args:
            cost: [T, N] of the days; 0 where they do not count.
            scenario: What was played.

        Returns:
            Rewards [T, N], and [T, N] bool: the reward is whole, the horizon does not cut it.
        """

    def followed(self, scenario: Scenario) -> Tensor:
        """[T, N] bool: a decision of that day goes on with what the one before it began."""
        return scenario.review

    def history(self, outcome: DayOutcome, scenario: Scenario) -> Tensor | None:
        """[T, N, H] what of the horizon a value depends on, on the morning of each day, beside
        stock and features; None: nothing."""
        return None


class GovernedDays(Credit):
    """A decision is charged with the days that it governs, of which it knows the end."""

    of_governed_days = True

    def rewards(self, cost: Tensor, scenario: Scenario) -> tuple[Tensor, Tensor]:
        """See :func:`decision_rewards`."""
        return decision_rewards(cost, scenario.lead_time, scenario.review_period)


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


def whole_decisions(scenario: Scenario) -> Tensor:
    """[T, N] bool: orders whose governed days and next decision lie inside the horizon."""
    days = scenario.num_days
    following = torch.arange(days).unsqueeze(1) + scenario.review_period
    return scenario.review & (following + scenario.lead_time <= days) & (following < days)


def governed_by(decisions: Tensor, scenario: Scenario) -> Tensor:
    """[T, N] bool: the days that one of the decisions [T, N] governs."""
    day = torch.arange(scenario.num_days).unsqueeze(1)
    ordered = day - scenario.lead_time
    deciding = _latest(decisions).gather(0, ordered.clamp(min=0))
    known = (ordered >= 0) & (deciding >= 0)
    return known & (ordered < deciding + scenario.review_period)


def _latest(decisions: Tensor) -> Tensor:
    """[T, N] int64: the last day of a decision so far; -1: none."""
    day = torch.arange(len(decisions)).unsqueeze(1)
    return torch.where(decisions, day, -1).cummax(0).values


@dataclass(frozen=True)
class EndOfHorizon(Credit):
    """Charges the last decision before each checkpoint, and before the end, with the days since
    the checkpoint before."""

    checkpoints: int
    """>= 0, evenly spaced."""

    discount = 1.0
    least_discount = 0.9
    """Over the 14 decisions between two checkpoints of 56 days nothing is left of 0.7, a fifth
    of 0.9."""
    largest_discount = 2.0
    """Undiscounted values must pass growth on; a new item's first sale multiplies its size."""
    history_columns = 5

    def charge_days(self, days: int) -> list[int]:
        """0, then after how many days of a horizon of so many is charged; ascending, the last
        is ``days``."""
        parts = self.checkpoints + 1
        # Of a horizon with fewer days than parts, every day is one.
        return sorted({-(-days * part // parts) for part in range(parts + 1)})

    def rewards(self, cost: Tensor, scenario: Scenario) -> tuple[Tensor, Tensor]:
        """Minus what is charged, 0 elsewhere; and which decisions are whole."""
        decisions = whole_decisions(scenario)
        due = cost * governed_by(decisions, scenario) * (scenario.review_period / len(cost))
        latest = _latest(decisions).clamp(min=0)  # before the first one nothing is due
        reward = torch.zeros_like(due)
        for first, end in pairwise(self.charge_days(len(cost))):
            reward.scatter_add_(0, latest[end - 1 : end], -due[first:end].sum(0, keepdim=True))
        return reward, decisions

    def followed(self, scenario: Scenario) -> Tensor:
        """Where the last whole decision has been made, all is charged."""
        return whole_decisions(scenario)

    def history(self, outcome: DayOutcome, scenario: Scenario) -> Tensor:
        """[T, N, 5] on the morning of each day: days to the end, share of the horizon's; days to
        the next charge; and of what will be charged then, is past, and stands in no stock: days
        without stock, stock and sales in today's scales. The last four are shares of the days
        between two charges.

        What was charged before is left out: it changes nothing any more.
        """
        days = scenario.num_days
        charged = torch.tensor(self.charge_days(days))
        day = torch.arange(days)
        part = torch.searchsorted(charged, day, right=True)
        span = days / (self.checkpoints + 1)
        to_go, to_charge = (days - day) / days, (charged[part] - day) / span
        counts = governed_by(whole_decisions(scenario), scenario)
        if scenario.counted is not None:
            counts = counts & scenario.counted
        columns = [(outcome.end <= 0).to(outcome.end), outcome.end.clamp(min=0.0), outcome.sales]
        # [T + 1, 3, N] sums of the days before each morning.
        running = torch.stack([column * counts for column in columns], 1).cumsum(0)
        running = torch.cat((torch.zeros_like(running[:1]), running))
        past = (running[:-1] - running[charged[part - 1]]) / span
        past[:, 1:] = (past[:, 1:] / scenario.scale.unsqueeze(1)).clamp(max=MOST_SCALES)
        clocks = torch.stack((to_go, to_charge), 1).to(past).unsqueeze(-1)
        clocks = clocks.expand(-1, -1, past.shape[-1])
        return torch.cat((clocks, past), 1).transpose(1, 2)
