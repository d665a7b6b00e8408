"""The terminal credit: the horizon's figure is charged at its end, and in parts before (design 2).

A horizon is a stretch of days that is played at once. Its whole decisions are those whose
governed days, and next decision, lie inside it; its cost is that of the days that these govern,
the same days that :class:`~envs.credit.GovernedDays` charges them with one by one. Here they are
charged together: at each checkpoint and at the end the days since the last one, times P / T. What
an inventory is charged with in all is therefore its governed days' cost, divided by the horizon's
days and multiplied by the review period: the horizon's figure, as large as a decision's cost.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from envs.credit import Credit
from envs.dynamics import DayOutcome
from envs.state import Scenario

MOST_SCALES = 20.0
"""Amounts of the past are cut at so many scales a day, as networks cut stock."""


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
