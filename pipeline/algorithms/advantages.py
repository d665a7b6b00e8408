"""What PPO learns from a fragment: values, and gains over the policy's mean action."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from envs.rollout import Trajectory
from envs.state import Observation, Scenario
from pipeline.algorithms.alternatives import alternative_orders, play_alternatives
from pipeline.algorithms.decisions import Decisions, decision_costs, generalized_advantages

VALUE_ROWS = 4096
"""Rows of one pass of the value network: hidden layers stay in the cache."""


def gains(
    module: Any,
    scenario: Scenario,
    played: Trajectory,
    decisions: Decisions,
    observation: Observation,
    tried: Tensor,
) -> Tensor:
    """[R] by how much actions were better than the policy's mean action on the same demand.

    The value of the stock that each leaves is included; in decision sizes.

    Args:
        module: A :class:`~pipeline.algorithms.modules.PPOModule`.
        scenario: The fragment.
        played: How it went.
        decisions: R of it.
        observation: Of these decisions.
        tried: [R, A] actions.
    """
    policy = module.policy
    actions = torch.stack((tried, policy.action(observation)))
    orders = alternative_orders(scenario, decisions, observation, actions, policy.action_model)
    found = play_alternatives(
        scenario, observation.stock, decisions, orders, played, module.objective
    )
    day, inventory = decisions.next_day, decisions.inventory
    ahead = [_to_come(module, scenario, day, inventory, stock) for stock in found.next_stock]
    cost = found.cost + decisions.discount.unsqueeze(-1) * torch.stack(ahead)
    return (cost[1] - cost[0]).sum(-1)


def value_targets(
    module: Any, scenario: Scenario, played: Trajectory, decisions: Decisions, lambda_: float
) -> Tensor:
    """[R, P] what is to come, in the objective's parts: the lambda-return of each decision."""
    assert played.stock is not None
    values = scenario.demand.new_zeros((*scenario.demand.shape, len(module.objective.parts)))
    day, inventory = scenario.review.nonzero(as_tuple=True)
    stock = played.stock[day, inventory]
    values[day, inventory] = _to_come(module, scenario, day, inventory, stock)
    cost = decision_costs(scenario, played, decisions, module.objective)
    here = values[decisions.day, decisions.inventory]
    return generalized_advantages(decisions, cost, values, lambda_) + here


def _to_come(
    module: Any, scenario: Scenario, day: Tensor, inventory: Tensor, stock: Tensor
) -> Tensor:
    """[R, P] what the value network says on chosen days with the stock [R, K+1]."""
    parts = [
        module.value(scenario.look_up(day[rows], inventory[rows], stock[rows]))
        for rows in torch.arange(len(day)).split(VALUE_ROWS)
    ]
    return torch.cat(parts)
