"""From a played fragment to decisions: one row per order whose reward is known.

A decision is made on a review day t and governs [t+L, t+L+P); the next one of that
inventory is made on t+P. Money is divided by the decision's cost scale P * h * scale(t),
so that values of cheap and expensive, slow and fast inventories are of one size.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from envs.objective import day_cost, decision_rewards
from envs.rollout import Trajectory
from envs.state import Scenario

MAX_DISCOUNT = 1.0
"""A value is handed back through a change of scale at most this much enlarged."""


@dataclass(frozen=True)
class Decisions:
    """R decisions of a fragment, ordered by day."""

    day: Tensor
    """[R] int64, day of the fragment."""
    inventory: Tensor
    """[R] int64, column of the scenario."""
    next_day: Tensor
    """[R] int64, day of the inventory's next decision."""
    reward: Tensor
    """[R] minus the cost of the governed days, in cost scales."""
    discount: Tensor
    """[R] gamma, times the change of the cost scale until the next decision; 0 if there is none."""
    weight: Tensor
    """[R] cost scale ** power: what an error of this decision costs, relative to others."""


def cost_scale(scenario: Scenario) -> Tensor:
    """[T, N] money: P * h * scale, the size of what a decision can cost."""
    return scenario.review_period * scenario.holding_cost * scenario.scale


def extract_decisions(
    scenario: Scenario, played: Trajectory, *, gamma: float, weight_power: float
) -> Decisions:
    """Every decision whose governed days and next decision lie inside the fragment."""
    days = scenario.num_days
    cost = day_cost(played.outcome, scenario.shortage_cost, scenario.holding_cost)
    if scenario.counted is not None:
        cost = cost * scenario.counted
    reward, complete = decision_rewards(cost, scenario.lead_time, scenario.review_period)
    follows = torch.arange(days).unsqueeze(1) + scenario.review_period
    day, inventory = (scenario.review & complete & (follows < days)).nonzero(as_tuple=True)
    next_day = follows[day, inventory]
    unit = cost_scale(scenario)
    here, there = unit[day, inventory], unit[next_day, inventory]
    return Decisions(
        day=day,
        inventory=inventory,
        next_day=next_day,
        reward=reward[day, inventory] / here,
        # Where the schedule of reviews ends before the horizon does, so do the decisions.
        discount=(gamma * there / here).clamp(max=MAX_DISCOUNT)
        * scenario.review[next_day, inventory],
        weight=here**weight_power,
    )


def generalized_advantages(decisions: Decisions, values: Tensor, lambda_: float) -> Tensor:
    """GAE (Schulman et al. 2016) over decisions of unequal spacing, in cost scales.

    Args:
        decisions: Of one fragment.
        values: [T, N] V of the observation on every day an inventory is reviewed.
        lambda_: GAE's lambda.

    Returns:
        [R] advantages; add ``values[day, inventory]`` for the value targets.
    """
    here = values[decisions.day, decisions.inventory]
    ahead = values[decisions.next_day, decisions.inventory]
    delta = decisions.reward + decisions.discount * ahead - here
    advantage = torch.zeros_like(values)
    counts = torch.bincount(decisions.day, minlength=values.shape[0]).tolist()
    stop = len(decisions.day)
    for count in reversed(counts):
        rows = slice(stop - count, stop)
        stop -= count
        if count:
            later = advantage[decisions.next_day[rows], decisions.inventory[rows]]
            advantage[decisions.day[rows], decisions.inventory[rows]] = (
                delta[rows] + decisions.discount[rows] * lambda_ * later
            )
    return advantage[decisions.day, decisions.inventory]
