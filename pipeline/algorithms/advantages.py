"""What PPO learns from a fragment: values, and gains over the policy's mean action."""

from __future__ import annotations

from typing import Any

import torch
from ray.rllib.core.columns import Columns
from torch import Tensor

from envs.rollout import Trajectory
from envs.state import Observation, Scenario
from pipeline.algorithms.alternatives import alternative_orders, play_alternatives
from pipeline.algorithms.decisions import Decisions

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

    The value of the stock that each leaves is included; in cost scales.

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
    found = play_alternatives(scenario, observation.stock, decisions, orders, played)
    day, inventory = decisions.next_day, decisions.inventory
    ahead = [_values(module, scenario, day, inventory, stock) for stock in found.next_stock]
    value = decisions.discount * torch.stack(ahead) - found.cost.sum(-1)
    return value[0] - value[1]


def observed_values(module: Any, scenario: Scenario, played: Trajectory) -> Tensor:
    """[T, N] V of every observation that a decision was made on; zeros elsewhere."""
    assert played.stock is not None
    values = torch.zeros_like(scenario.demand)
    day, inventory = scenario.review.nonzero(as_tuple=True)
    stock = played.stock[day, inventory]
    values[day, inventory] = _values(module, scenario, day, inventory, stock)
    return values


def _values(
    module: Any, scenario: Scenario, day: Tensor, inventory: Tensor, stock: Tensor
) -> Tensor:
    """[R] V of chosen days and inventories with the stock [R, K+1]."""
    parts = []
    for rows in torch.arange(len(day)).split(VALUE_ROWS):
        flat = scenario.look_up(day[rows], inventory[rows], stock[rows]).flatten()
        parts.append(module.compute_values({Columns.OBS: flat}))
    return torch.cat(parts) if parts else stock.new_zeros(0)
