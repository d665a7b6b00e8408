"""Which days count, and which of them an order answers for (design 2).

When an order is charged with them is its objective's :class:`Credit`: as soon as they are over
(:class:`GovernedDays`), or at the end of the horizon (:mod:`envs.terminal`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

from envs.dynamics import DayOutcome
from envs.state import Scenario


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
