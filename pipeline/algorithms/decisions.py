"""From a played fragment to decisions: one row per order whose reward is known.

A decision is made on a review day t and governs [t+L, t+L+P); the next one of that
inventory is made on t+P. What it is charged with (the objective's ``crediting`` says) is divided
by the decision's own size (its ``decision_size``), so that values of cheap and expensive, slow and
fast inventories are alike.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from envs.objective import Objective
from envs.rollout import Trajectory
from envs.state import Observation, Scenario

HISTORY, NEXT_HISTORY = "history", "next_history"
"""Columns of :func:`histories`."""


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
    """[R] minus what each is charged with, in decision sizes."""
    discount: Tensor
    """[R] gamma, times the change of size until the next decision; 0 if none follows."""
    weight: Tensor
    """[R] decision size ** power: what an error of this decision costs, relative to others."""
    shortage_factor: Tensor
    """[R] what shortages were weighed by."""

    def rows(self, keep: Tensor) -> Decisions:
        """Some of them, in the order of ``keep``."""
        return Decisions(**{f.name: getattr(self, f.name)[keep] for f in fields(self)})


def extract_decisions(
    scenario: Scenario,
    played: Trajectory,
    *,
    objective: Objective,
    gamma: float,
    weight_power: float,
    limit: int | None = None,
) -> Decisions:
    """Every decision whose governed days and next decision lie inside the fragment.

    Args:
        scenario: What was played.
        played: How it went.
        objective: What decisions are credited with.
        gamma: Discount from a decision to the inventory's next one.
        weight_power: See :attr:`Decisions.weight`.
        limit: Of more decisions than this, so many are drawn at random (see :func:`_some_of`).
    """
    days = scenario.num_days
    cost = _counted(objective.day(played.outcome, scenario), scenario)
    credit = objective.crediting
    reward, complete = credit.rewards(cost, scenario)
    period = scenario.review_period
    one_period = bool((period == period[0]).all())
    follows = torch.arange(days).unsqueeze(1) + (period[:1] if one_period else period)
    chosen = scenario.review & complete & (follows < days)
    n = scenario.num_inventories
    shape = [days * n]
    if one_period and _all_or_nobody(chosen):
        of_day = chosen[:, 0].nonzero().squeeze(1)
        some = _some_of(len(of_day) * n, limit)
        if some is None:
            # Whole days are picked then, instead of numbers.
            day, inventory = of_day.repeat_interleave(n), torch.arange(n).repeat(len(of_day))
            here, there, shape = of_day, of_day + period[0], [days, n]
        else:
            day, inventory = of_day[some // n], some % n
            here = day * n + inventory
            there = here + period[0] * n
        next_day = day + period[0]
    else:
        here = chosen.flatten().nonzero().squeeze(1)
        some = _some_of(len(here), limit)
        here = here if some is None else here[some]
        day, inventory = here // n, here % n
        next_day = day + period[inventory]
        there = next_day * n + inventory

    def pick(values: Tensor, where: Tensor) -> Tensor:
        return values.reshape(shape).index_select(0, where).flatten()

    unit, factor = objective.decision_size(scenario), scenario.shortage_factor
    unit_here = pick(unit, here)
    return Decisions(
        day=day,
        inventory=inventory,
        next_day=next_day,
        reward=pick(reward, here) / unit_here,
        # Where the schedule of reviews ends before the horizon does, so do the decisions.
        discount=(gamma * pick(unit, there) / unit_here).clamp(max=credit.largest_discount)
        * pick(credit.followed(scenario), there),
        weight=unit_here**weight_power,
        shortage_factor=torch.ones_like(unit_here) if factor is None else factor[inventory],
    )


def _some_of(count: int, limit: int | None) -> Tensor | None:
    """``limit`` of the numbers below ``count``, in order; None: all of them fit.

    One is drawn from each of ``limit`` equal parts of the range, so all are equally likely.
    Where a part's end cuts a number in two, both sides may draw it.
    """
    if limit is None or count <= limit:
        return None
    part = torch.arange(limit, dtype=torch.float64)
    return ((part + torch.rand_like(part)) * (count / limit)).long().clamp_(max=count - 1)


def _all_or_nobody(chosen: Tensor) -> bool:
    """Of [T, N]: on every day either all inventories are chosen or none is."""
    # As bytes: torch has no fast reduction of booleans.
    chosen = chosen.view(torch.uint8)
    return torch.equal(chosen.amin(1), chosen.amax(1))


def seen_at(scenario: Scenario, played: Trajectory, decisions: Decisions) -> Observation:
    """[R, ...] what the policy saw when it made decisions of a recorded fragment."""
    assert played.stock is not None
    where = decisions.day, decisions.inventory
    return scenario.look_up(*where, played.stock[where])


def histories(
    scenario: Scenario, played: Trajectory, decisions: Decisions, objective: Objective
) -> dict[str, Tensor]:
    """[R, H] each: what values depend on beside observations (:meth:`~envs.credit.Credit.history`),
    at each decision and at the next. No columns where they depend on nothing else."""
    history = objective.crediting.history(played.outcome, scenario)
    if history is None:
        return {}
    return {
        HISTORY: history[decisions.day, decisions.inventory],
        NEXT_HISTORY: history[decisions.next_day, decisions.inventory],
    }


def decision_costs(
    scenario: Scenario, played: Trajectory, decisions: Decisions, objective: Objective
) -> Tensor:
    """[R, P] what each decision is charged with, in decision sizes: minus its reward, in the
    objective's parts."""
    where = decisions.day, decisions.inventory
    parts = [
        -objective.crediting.rewards(_counted(part, scenario), scenario)[0][where]
        for part in objective.day_parts(played.outcome, scenario)
    ]
    return torch.stack(parts, -1) / objective.decision_size(scenario)[where].unsqueeze(-1)


def _counted(cost: Tensor, scenario: Scenario) -> Tensor:
    return cost if scenario.counted is None else cost * scenario.counted


def generalized_advantages(
    decisions: Decisions, reward: Tensor, values: Tensor, lambda_: float
) -> Tensor:
    """GAE (Schulman et al. 2016) over decisions of unequal spacing, in decision sizes.

    Args:
        decisions: R of one fragment.
        reward: [R, ...] of each (or its cost, if the values are costs: GAE is linear).
        values: [T, N, ...] V of the observation on every day an inventory is reviewed.
        lambda_: GAE's lambda.

    Returns:
        [R, ...] advantages; add ``values[day, inventory]`` for the value targets.
    """
    here = values[decisions.day, decisions.inventory]
    ahead = values[decisions.next_day, decisions.inventory]
    discount = decisions.discount.view(-1, *[1] * (reward.ndim - 1))
    delta = reward + discount * ahead - here
    advantage = torch.zeros_like(values)
    counts = torch.bincount(decisions.day, minlength=values.shape[0]).tolist()
    stop = len(decisions.day)
    for count in reversed(counts):
        rows = slice(stop - count, stop)
        stop -= count
        if count:
            later = advantage[decisions.next_day[rows], decisions.inventory[rows]]
            advantage[decisions.day[rows], decisions.inventory[rows]] = (
                delta[rows] + discount[rows] * lambda_ * later
            )
    return advantage[decisions.day, decisions.inventory]
