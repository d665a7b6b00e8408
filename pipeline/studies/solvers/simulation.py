"""Long-run average cost of a policy by simulation, with its standard error."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from envs.objective import day_cost
from envs.problems.classical import ClassicalProblem, scenario
from envs.rollout import Policy, rollout
from envs.state import Scenario
from pipeline.scenarios.start import evaluation_start

TILE_SIZE = 1_000_000
"""Counted inventory-days played at once."""
COUNTED_DAYS = 504
"""Days of each inventory that count; a multiple of the usual review periods."""
WARM_UP_DAYS = 210
"""Days before these, until the start is forgotten."""


class Estimate(NamedTuple):
    """Mean cost over independent inventories."""

    cost: float
    """Money per day."""
    standard_error: float
    """Of ``cost``, from the spread between inventories."""
    periods: int
    """Counted inventory-days."""


@torch.no_grad()
def simulate(
    problem: ClassicalProblem,
    policy: Policy,
    *,
    periods: int,
    seed: int,
    warm_up_days: int = WARM_UP_DAYS,
    round_orders: bool = False,
    max_lead_time: int | None = None,
    control: tuple[Policy, float] | None = None,
) -> Estimate:
    """Plays a policy on independent inventories, tile by tile.

    Every inventory starts as every evaluated policy does
    (:func:`~pipeline.scenarios.start.evaluation_start`); its first ``warm_up_days`` do not count.
    Problems with a horizon are played over exactly that, all days count.

    Args:
        problem: Any.
        policy: Plays its scenarios.
        periods: Inventory-days that count, at least; rounded up.
        seed: Policies simulated with the same seed see the same demand.
        warm_up_days: Rounded up to whole review periods.
        round_orders, max_lead_time: As in :func:`envs.problems.classical.scenario`.
        control: Another policy and its exact expected cost: it plays the same demand, and
            what the sample makes it cost too much is taken off the estimate.
    """
    if problem.horizon is None:
        warm_up_days += -warm_up_days % problem.review_period
        counted = max(1, COUNTED_DAYS // problem.review_period) * problem.review_period
    else:
        warm_up_days, counted = 0, problem.horizon
    rows = max(2, min(TILE_SIZE, periods + counted) // counted)
    tiles = -(-periods // (rows * counted))
    costs = []
    for tile in range(tiles):
        played = scenario(
            problem, rows, warm_up_days + counted, seed * 1_000_003 + tile,
            round_orders=round_orders, max_lead_time=max_lead_time,
        )  # fmt: skip
        cost = _cost_per_inventory(played, policy, warm_up_days)
        if control is not None:
            cost = cost - (_cost_per_inventory(played, control[0], warm_up_days) - control[1])
        costs.append(cost)
    mean = torch.cat(costs)
    return Estimate(
        float(mean.mean()), float(mean.std() / len(mean) ** 0.5), rows * counted * tiles
    )


def _cost_per_inventory(played: Scenario, policy: Policy, warm_up_days: int) -> Tensor:
    """[N] money per counted day."""
    outcome = rollout(played, policy, evaluation_start(played)).outcome
    cost = day_cost(outcome, played.shortage_cost, played.holding_cost)
    return cost[warm_up_days:].double().mean(0)
