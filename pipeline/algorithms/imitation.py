"""A start for a policy: it first learns to order what a planner's rule would.

A network that begins with one level for everybody spends most of a short training on what every
planner knows: that dear shortages, long lead times and uneven demand ask for more. Supervised
learning on the rule's own decisions takes seconds (behaviour cloning, Pomerleau 1988); from
there on the policy learns as it would have. The loss is on orders, so it is one for all action
models, and censored where they are (Tobin 1958): of two orders of nothing neither is wrong.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from envs.rollout import Policy, rollout
from envs.state import Observation
from pipeline.algorithms.runner import ShardRunner
from pipeline.policies.networks import PolicyNetwork
from pipeline.tools.seeding import derive_seed

FRAGMENTS, DECISIONS = 4, 40_000
"""Fragments that are played, and decisions of each that are learned from at most."""
BATCH = 2048
"""Decisions of a minibatch."""
RATES = 3e-3, 1e-4
"""Learning rate of the first update and of the last."""
BEND = 0.5
"""Scales, beyond which an error counts linearly."""


class Orders(NamedTuple):
    """What a rule orders."""

    observation: Observation
    """Of R decisions."""
    order: Tensor
    """[R] units."""
    weight: Tensor
    """[R], mean 1: as decisions weigh in training."""


@torch.no_grad()
def orders_of(rule: Policy, runner: ShardRunner) -> Orders:
    """What a rule orders in a runner's first fragments, on the stock that it leads to itself."""
    observations, weights = [], []
    for number in range(FRAGMENTS):
        fragment = runner.fragment(number)
        scenario = fragment.scenario
        stock = rollout(scenario, rule, fragment.state, record=True).stock
        assert stock is not None
        day, inventory = scenario.review.nonzero(as_tuple=True)
        some = torch.randperm(len(day))[:DECISIONS]
        day, inventory = day[some], inventory[some]
        observations.append(scenario.look_up(day, inventory, stock[day, inventory]))
        weights.append(runner.objective.decision_size(scenario)[day, inventory])
    seen = Observation(*(torch.cat(parts) for parts in zip(*observations, strict=True)))
    weight = torch.cat(weights) ** runner.config.weight_power
    return Orders(seen, rule(seen).order, weight / weight.mean())


def order_loss(policy: PolicyNetwork, orders: Orders) -> Tensor:
    """How far a policy's orders are from the given ones, in scales; each is >= 0."""
    seen, model = orders.observation, policy.action_model
    own = model.order(policy.action(seen), model.shown(seen)) / seen.scale
    given = orders.order / seen.scale
    # Less than nothing cannot be ordered.
    own = torch.where(given > 0, own, own.clamp(min=0.0))
    return (orders.weight * functional.huber_loss(own, given, reduction="none", delta=BEND)).mean()


def learn_orders(policy: PolicyNetwork, orders: Orders, updates: int) -> None:
    """Fits a policy's orders to given ones."""
    first, last = RATES
    optimizer = torch.optim.Adam(policy.parameters(), lr=first)
    for update in range(updates):
        optimizer.param_groups[0]["lr"] = first + (last - first) * update / updates
        rows = torch.randint(len(orders.order), (BATCH,))
        seen = Observation(*(part[rows] for part in orders.observation))
        loss = order_loss(policy, Orders(seen, orders.order[rows], orders.weight[rows]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def imitate(runner: ShardRunner, rule: Policy, updates: int) -> dict[str, Tensor]:
    """Weights with which a policy orders about what a rule does.

    Args:
        runner: Its fragments are played; its policy is the one that learns.
        rule: Decides on observations alone.
        updates: Minibatches.
    """
    policy: PolicyNetwork = runner.module.policy
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed("imitate", runner.config.seed or 0))
        orders = orders_of(rule, runner)
        with torch.enable_grad():
            learn_orders(policy, orders, updates)
    return {name: value.detach().clone() for name, value in policy.state_dict().items()}
