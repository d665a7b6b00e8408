"""DDPG on a page of plain torch: the learner's losses and weights are these, update by update."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from ray.rllib.core import DEFAULT_MODULE_ID
from torch import Tensor, nn
from torch.nn.functional import softplus

from tests.learners import make_learner

TAU, CLIP, WARM_UP, RATES, SMOOTHING = 0.8, 0.7, 2, (3e-3, 5e-3), 0.02
K, HIGH = 1, 3.0
"""Longest lead time of setting 1; a level's range in scales."""


class Page:
    """Actor and critic of BASE; rows are flat observations [on hand, due, scale, feat, x]."""

    def __init__(self, actor: nn.Module, critic: nn.Module) -> None:
        self.nets = [copy.deepcopy(actor), copy.deepcopy(critic)]
        self.targets, self.averaged = copy.deepcopy(self.nets), copy.deepcopy(actor)
        self.adams = [
            torch.optim.Adam(net.parameters(), lr=rate)
            for net, rate in zip(self.nets, RATES, strict=True)
        ]
        self.size: Tensor | None = None
        self.updates = 0

    @staticmethod
    def act(net: nn.Module, seen: Tensor) -> tuple[Tensor, Tensor]:
        stock = seen[:, : K + 1] / seen[:, K + 1 : K + 2]
        inputs = torch.cat((stock, stock.sum(1, keepdim=True), seen[:, K + 3 :]), 1)
        inputs[:, : K + 2] = inputs[:, : K + 2].clamp(-20, 20)
        logits = net(inputs)
        action = 1.01 * torch.sigmoid(logits) - 0.005
        return action + (action.clamp(0, 1) - action).detach(), logits

    @staticmethod
    def costs(net: nn.Module, seen: Tensor, action: Tensor) -> Tensor:
        stock = seen[:, : K + 1] / seen[:, K + 1 : K + 2]
        position = stock.sum(1, keepdim=True)
        level = HIGH * action.clamp(0, 1)
        order = (level - position).clamp(min=0)
        own = torch.cat((stock, position), 1).clamp(-20, 20)
        cost: Tensor = net(torch.cat((own, seen[:, K + 3 :], action, level, order), 1))
        return softplus(cost)

    def update(self, rows: dict[str, Tensor]) -> tuple[float, float]:
        """Losses of critic and actor before the update."""
        (actor, critic), (later_actor, later_critic) = self.nets, self.targets
        seen, actions, after = rows["obs"], rows["actions"], rows["new_obs"]
        weight = rows["weight"] / rows["weight"].mean()
        with torch.no_grad():
            ahead = [
                self.costs(later_critic, s, self.act(later_actor, s)[0]) for s in after.unbind(1)
            ]
            target = rows["cost"] + rows["discount"][:, None, None] * torch.stack(ahead, 1)
        said = torch.stack([self.costs(critic, seen, a) for a in actions.unbind(1)], 1)
        with torch.no_grad():
            stake = said.mean(1, keepdim=True)
            variance = 3 + stake / stake.mean(0)
            unit = (variance * (1 / variance).mean(0)) ** 0.5
            target = target / unit
            spread = ((target - target.mean(1, keepdim=True)) ** 2).mean(1)
            size = (weight[:, None] * spread).mean(0)
            self.size = size if self.size is None else 0.98 * self.size + 0.02 * size
        error = said / unit - target
        shared = error.mean(1)
        own = ((error - shared[:, None]) ** 2).mean(1)
        critic_loss = (weight * ((own + 0.02 * shared**2) / self.size).sum(1)).mean()

        action, logits = self.act(actor, seen)
        tried = (action + SMOOTHING * torch.randn_like(action)).clamp(0, 1)
        excess = (logits.abs() - 6).clamp(min=0)
        actor_loss = (weight * self.costs(later_critic, seen, tried).sum(1)).mean() + (
            excess**2
        ).mean()

        of_actor = torch.autograd.grad(actor_loss, list(actor.parameters()), retain_graph=True)
        of_critic = torch.autograd.grad(critic_loss, list(critic.parameters()))
        self.step([of_actor, of_critic])
        return float(critic_loss.detach()), float(actor_loss.detach())

    @torch.no_grad()
    def step(self, gradients: list[tuple[Tensor, ...]]) -> None:
        for net, adam, found in zip(self.nets, self.adams, gradients, strict=True):
            norm = torch.cat([g.flatten() for g in found]).norm()
            for parameter, gradient in zip(net.parameters(), found, strict=True):
                parameter.grad = gradient * min(1.0, CLIP / (float(norm) + 1e-6))
            if net is not self.nets[0] or self.updates >= WARM_UP:
                adam.step()
        for target, net in zip(self.targets, self.nets, strict=True):
            for kept, new in zip(target.parameters(), net.parameters(), strict=True):
                kept += max(TAU, 16 / (17 + self.updates)) * (new - kept)
        share = 16 / (16 + self.updates)
        for kept, new in zip(self.averaged.parameters(), self.nets[0].parameters(), strict=True):
            kept += share * (new - kept)
        self.updates += 1


def test_the_learner_is_the_page() -> None:
    learner, batch = make_learner(
        "ddpg", tau=TAU, grad_clip=CLIP, critic_warm_up=WARM_UP, lr=RATES[0], critic_lr=RATES[1],
        actor_smoothing=SMOOTHING,
    )  # fmt: skip
    module: Any = learner.module[DEFAULT_MODULE_ID].unwrapped()
    page = Page(module.policy.net, module.critic.net)
    before = copy.deepcopy(page.nets)
    rows = {name: torch.as_tensor(column) for name, column in batch[DEFAULT_MODULE_ID].items()}
    cost, losses = rows["cost"], []
    for update in range(8):
        # Other targets each time: the size of errors is a running one.
        rows["cost"] = batch[DEFAULT_MODULE_ID]["cost"] = cost * (1 + update)
        torch.manual_seed(update)
        expected = page.update(rows)
        torch.manual_seed(update)
        result = learner.update(batch=batch, num_epochs=1, minibatch_size=64)
        found = result[DEFAULT_MODULE_ID]
        losses.append([float(found[name].peek()) for name in ("critic_loss", "actor_loss")])
        assert losses[-1] == pytest.approx(expected, rel=1e-4)
    pairs = zip(
        (*page.nets, *page.targets, page.averaged),
        (module.policy.net, module.critic.net, module.target_policy.net,
         module.target_critic.net, module.averaged.net),
        strict=True,
    )  # fmt: skip
    for mine, theirs in pairs:
        for one, other in zip(mine.parameters(), theirs.parameters(), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)
    for first, net in zip(before, page.nets, strict=True):
        assert all(
            not torch.allclose(one, other, rtol=1e-3, atol=1e-5)
            for one, other in zip(first.parameters(), net.parameters(), strict=True)
        )
