"""Policies that the solvers return, playable by :func:`envs.rollout.rollout`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from envs.rollout import Decision, Policy
from envs.state import Observation
from pipeline.policies.order_up_to import order_up_to


@dataclass(frozen=True)
class BaseStock:
    """Order up to one constant level: q = max(S - tot(I), 0)."""

    level: float
    """S, units."""

    def __call__(self, observation: Observation) -> Decision:
        """A :data:`~envs.rollout.Policy`."""
        return order_up_to(torch.full_like(observation.scale, self.level), observation)


@dataclass(frozen=True)
class CappedBaseStock:
    """A base stock that never orders much at once: q = min(max(S - tot(I), 0), r).

    Source: Xin (2021), Understanding the performance of capped base-stock policies in
    lost-sales inventory models, Operations Research 69(1).
    """

    level: float
    """S, units."""
    cap: float
    """r, the largest order, units."""

    def __call__(self, observation: Observation) -> Decision:
        """A :data:`~envs.rollout.Policy`."""
        order = BaseStock(self.level)(observation).order
        return Decision(order.clamp(max=self.cap))


class TablePolicy:
    """The order for every state, for problems with whole units and an order every day.

    Args:
        orders: [x_1, ..., x_{L-1}, x_0] units: the order when x_0 is on hand and x_k arrives in
            k days. A state beyond the table's ends is read at the end.
    """

    def __init__(self, orders: NDArray[np.integer]) -> None:
        self.orders = orders
        self._flat = torch.as_tensor(orders.ravel().astype(np.float32))
        # Place values of x_0, x_1, ..., x_{L-1} in the flat table, and their largest indices.
        strides = [1, *(int(np.prod(orders.shape[axis + 1 :])) for axis in range(orders.ndim - 1))]
        self._strides = torch.tensor(strides)
        self._last = torch.tensor([orders.shape[-1], *orders.shape[:-1]]) - 1

    def __call__(self, observation: Observation) -> Decision:
        """A :data:`~envs.rollout.Policy`."""
        state = observation.stock[:, : len(self._last)].round().long()
        index = (state.clamp(min=0).minimum(self._last) * self._strides).sum(-1)
        return Decision(self._flat[index].to(observation.stock.dtype))


@dataclass(frozen=True)
class Solution:
    """A policy and what it costs in expectation."""

    policy: Policy
    """Plays the problem's scenarios."""
    cost: float
    """Expected cost per day."""
    error: float = 0.0
    """The true value lies within ``cost`` ± ``error`` (floating point aside)."""
    parameters: Mapping[str, float] = field(default_factory=dict)
    """What the policy is made of (level, cap), units."""
