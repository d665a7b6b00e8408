"""DDPG (Lillicrap et al. 2016): deterministic actor, one critic, target networks, replay.

RLlib no longer ships it; this one is built on RLlib's Algorithm, Learner and RLModule.
Action = network output (level or coefficients), not the order (design 3).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import torch
from ray.rllib.algorithms.algorithm import Algorithm
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.rllib.core.columns import Columns
from ray.rllib.core.learner.learner import Learner
from ray.rllib.core.learner.utils import make_target_network
from ray.rllib.core.rl_module.apis import TargetNetworkAPI
from ray.rllib.core.rl_module.torch.torch_rl_module import TorchRLModule
from ray.rllib.utils.annotations import override
from torch import Tensor, nn

from envs.errors import ConfigError
from envs.rollout import Decision
from envs.state import Observation, Scenario
from pipeline.algorithms.alternatives import outcomes_of
from pipeline.algorithms.config import ShardSettings
from pipeline.algorithms.decisions import HISTORY, NEXT_HISTORY, histories, seen_at
from pipeline.algorithms.gradients import (
    ACTOR,
    CRITIC,
    JointGradients,
    SizedTargets,
    SlowCopies,
    target_size,
    value_loss_of,
)
from pipeline.algorithms.modules import PolicyModule
from pipeline.algorithms.replay import ReplayShard
from pipeline.algorithms.runner import Rows, ShardRunner
from pipeline.algorithms.settings import Count, Number, Rate, Share, Whole, Widths
from pipeline.algorithms.shard import ShardAlgorithm
from pipeline.policies.action_models import squash
from pipeline.policies.networks import Critic, PolicyNetwork

WALL = 6.0
"""Logits beyond which an actor is drawn back: the range's ends are reached before, and a policy
that an early critic led far beyond them would take long to return."""
COMMON = 0.02
"""Weight of the error that all alternatives of a decision share, beside their differences: it is
mostly the demand that came, which no action changes. Generalized least squares would weigh it
by the inverse of its variance."""
WIDE = 1.5
"""Alternatives beyond the policy's own action spread so many times as far as exploration."""


FLOOR = 3.0
"""Mean costs, added to what a decision is said to cost where its errors are weighed by that."""


class DDPGConfig(ShardSettings):
    """Configuration of :class:`DDPG`."""

    of_governed_days = ("alternatives",)

    gamma: Share = 0.7
    """Discount from a decision to the inventory's next one."""
    lr: Rate = 4e-3
    """Learning rate of the actor (a number or RLlib's schedule)."""
    critic_lr: Rate = 8e-3
    """Likewise of the critic."""
    tau: Share = 2e-2
    """Share of the new weights that a target network takes over per update."""
    train_batch_size_per_learner: Count = 256
    """Decisions of a minibatch."""
    updates_per_iteration: Count = 64
    """Minibatches per iteration: with ``fragments_per_iteration`` the update-to-data ratio."""
    fragments_per_iteration: Count = 1
    """Fragments played per iteration and runner."""
    decisions_per_fragment: Count = 16_384
    """Decisions of a fragment that are kept at most, drawn at random."""
    replay_fragments: Count = 8
    """Fragments whose decisions are kept per runner. A fragment is one tile over one stretch of
    days: with four or fewer the minibatches of many updates see few inventories and days."""
    replay_capacity: Annotated[int | None, Whole(1)] = None
    """Decisions kept per runner at most, whatever they are in fragments; None: no further limit."""
    exploration_noise: Annotated[float, Number(0.0, 10.0)] = 0.3
    """Standard deviation on the action, in units of the first action (``initial_action``)."""
    alternatives: Annotated[int, Whole(0)] = 2
    """Further actions per decision whose outcome on the same demand is learned from; see
    :mod:`pipeline.algorithms.alternatives`. 0 where that is not known (a terminal credit)."""
    actor_smoothing: Share = 0.02
    """Standard deviation of the noise over which the actor's objective is averaged, share of the
    range. Like PPO's Gaussian it keeps the actor from fitting kinks of the critic that a few
    trajectories made."""
    critic_warm_up: Annotated[int, Whole(0)] = 256
    """Updates before the actor starts to follow the critic."""
    critic_hidden: Widths = (64, 64)
    """Widths of the critic's hidden layers."""

    def __init__(self, algo_class: type[Algorithm] | None = None) -> None:
        super().__init__(algo_class=algo_class or DDPG)


class DDPGModule(PolicyModule, TargetNetworkAPI):
    """Deterministic actor, one critic, a target copy of each."""

    reads = "critic_hidden", "exploration_noise", "actor_smoothing"

    @override(PolicyModule)
    def setup(self) -> None:
        super().setup()
        if not self.inference_only:
            hidden = self.model_config["critic_hidden"]
            self.critic = Critic(self.layout, self.policy.action_model, hidden, **self.value_sizes)

    @override(PolicyModule)
    def explore(self, observation: Observation) -> Decision:
        action = self.policy.action(observation)
        noise = torch.randn_like(action)
        action = torch.add(action, noise, alpha=self._spread()).clamp_(0.0, 1.0)
        order = self.policy.action_model(action, observation)
        return Decision(order, {Columns.ACTIONS: action})

    def alternatives(self, observation: Observation, tried: Tensor, count: int) -> Tensor:
        """[1 + count, N, A] actions: the one that was tried, the policy's own, and others
        around it."""
        own = self.policy.action(observation)
        noise = torch.randn(max(count - 1, 0), *own.shape, dtype=own.dtype)
        around = (own + WIDE * self._spread() * noise).clamp_(0.0, 1.0)
        return torch.cat((tried.unsqueeze(0), own.unsqueeze(0)[:count], around))

    def _spread(self) -> float:
        """Standard deviation of exploration, share of the action's range."""
        return float(self.model_config["exploration_noise"]) * self.typical

    @override(TorchRLModule)
    def _forward_train(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Tensor]:
        observation = self.observed(batch)
        model = self.policy.action_model
        logits = self.policy.logits(observation)
        action = squash(logits)
        tried = action + self.model_config["actor_smoothing"] * torch.randn_like(action)
        actions = batch[Columns.ACTIONS]
        rows, count = actions.shape[:2]
        repeated = Observation(*(part.repeat_interleave(count, 0) for part in observation))
        past = batch.get(HISTORY)  # only where C = 1
        cost = self.critic(repeated, actions.flatten(0, 1), model, past)
        return {
            "cost": cost.view(rows, count, -1),
            # The actor climbs the slow copy: rare shortages throw the critic about from update to
            # update. Its weights enter as constants.
            "cost_of_policy": self.target_critic(
                observation, tried.clamp(0.0, 1.0), model, past, frozen=True
            ),
            "logits": logits,
            "policy_action": action,
            **self.forward_target(batch),
        }

    @override(TargetNetworkAPI)
    def make_target_networks(self) -> None:
        self.target_policy = make_target_network(self.policy)
        self.target_critic = make_target_network(self.critic)

    @override(PolicyModule)
    def policies(self) -> list[PolicyNetwork]:
        return [*super().policies(), self.target_policy]

    @override(TargetNetworkAPI)
    def get_target_network_pairs(self) -> list[tuple[nn.Module, nn.Module]]:
        return [(self.policy, self.target_policy), (self.critic, self.target_critic)]

    @override(TargetNetworkAPI)
    @torch.no_grad()
    def forward_target(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Tensor]:
        seen = batch[Columns.NEXT_OBS]  # [N, C, D]
        observation = self.layout.unflatten(seen.flatten(0, 1))
        action = self.target_policy.action(observation)
        model = self.policy.action_model
        cost = self.target_critic(observation, action, model, batch.get(NEXT_HISTORY))
        return {"next_cost": cost.view(*seen.shape[:2], -1)}


def error_units(said: Tensor) -> Tensor:
    """[B, 1, P] in what errors of a decision's cost are counted: they grow with the root of it.

    So does a rare shortage's standard deviation with its mean (quasi-likelihood, Wedderburn
    1974). In one unit for all, shortages of orders far too small are most of the loss, and a slope
    that is lost among them decides how much stock a policy near its best holds.

    Args:
        said: [B, C, P] what the critic says, >= 0.
    """
    mean = said.mean(1, keepdim=True)
    variance = FLOOR + mean / mean.mean(0).clamp(min=1e-12)
    return (variance * (1 / variance).mean(0)).sqrt()


def critic_loss_of(cost: Tensor, target: Tensor, weight: Tensor, size: Tensor) -> Tensor:
    """Squared error of the differences between alternatives, and a little of what they share.

    Of a single one it is the plain error. Each part is counted in the size of its own targets, so
    that the loss neither knows the ratio of shortage to holding cost nor cuts the rare shortages
    that a mean cost is made of.

    Args:
        cost, target: [B, C, P] what the critic says, and what came of it, in decision sizes.
        weight: [B] of the decisions, mean 1.
        size: [P] of :func:`target_size`.
    """
    if cost.shape[1] == 1:
        return value_loss_of(cost.squeeze(1), target.squeeze(1), weight, size)
    error = cost - target
    shared = error.mean(1)
    own = (error - shared.unsqueeze(1)).square().mean(1)
    losses = (own + COMMON * shared.square()) / size
    return (weight * losses.sum(-1)).mean()


def actor_loss_of(cost: Tensor, logits: Tensor, weight: Tensor) -> Tensor:
    """What the policy's actions cost, and how far their logits are behind the wall.

    Args:
        cost: [B, P] what the critic says of them.
        logits: [B, A].
        weight: [B] of the decisions, mean 1.
    """
    excess = (logits.abs() - WALL).clamp(min=0.0).square().mean()
    return (weight * cost.sum(-1)).mean() + excess


class DDPGLearner(SizedTargets, SlowCopies):
    """Losses of actor and critic."""

    @override(JointGradients)
    def trained(
        self, module: Any, config: AlgorithmConfig
    ) -> dict[str, tuple[list[nn.Parameter], Any]]:
        own = module.unwrapped()
        return {
            ACTOR: (list(own.policy.parameters()), config.lr),
            CRITIC: (list(own.critic.parameters()), config.critic_lr),
        }

    @override(Learner)
    def compute_loss_for_module(
        self,
        *,
        module_id: str,
        config: AlgorithmConfig,
        batch: dict[str, Any],
        fwd_out: dict[str, Tensor],
    ) -> Tensor:
        weight = batch["weight"] / batch["weight"].mean()
        target = batch["cost"] + batch["discount"].view(-1, 1, 1) * fwd_out["next_cost"]
        cost, unit = fwd_out["cost"], error_units(fwd_out["cost"].detach())
        size = self._running_size(target_size(target / unit, weight))
        critic_loss = critic_loss_of(cost / unit, target / unit, weight, size)
        actor_loss = actor_loss_of(fwd_out["cost_of_policy"], fwd_out["logits"], weight)
        warming_up = float(self.own_module.updates) < config.critic_warm_up
        self.held = {ACTOR} if warming_up else set()
        self.found = {
            "critic_loss": critic_loss,
            "actor_loss": actor_loss,
            "q_mean": -fwd_out["cost"].sum(-1),
            "action_mean": fwd_out["policy_action"],
        }
        loss: Tensor = critic_loss + actor_loss  # no parameter is shared between the two
        return loss


class ReplayedRows(Rows):
    """Decisions drawn from a replay, with what other actions would have led to.

    The replay is part of a checkpoint: a restored run goes on as if it had not been cut.
    """

    def __init__(self) -> None:
        self.replay = ReplayShard()

    @override(Rows)
    def sample(self, runner: ShardRunner, iteration: int) -> dict[str, Tensor]:
        """Plays ``fragments_per_iteration`` fragments, then draws from the replay."""
        config = runner.config
        for part in range(config.fragments_per_iteration):
            self._keep(runner, iteration * config.fragments_per_iteration + part)
        if self.replay.size == 0:
            raise ConfigError(
                "training: fragment_days", config.fragment_days,
                "Use more days than the longest lead time and two review periods.",
                "holds no whole decision of any inventory",
            )  # fmt: skip
        rows = runner.share(config.updates_per_iteration * config.total_train_batch_size)
        return self.replay.draw(rows, runner.tile, runner.objective)

    def _keep(self, runner: ShardRunner, number: int) -> None:
        fragment, module = runner.fragment(number), runner.module
        scenario = fragment.scenario
        played = runner.play(fragment)
        if not self.replay.capacity:
            self.replay.capacity = _capacity(runner, scenario)
        most = min(self.replay.capacity, runner.config.decisions_per_fragment)
        decisions = runner.decisions(scenario, played, most)
        seen = seen_at(scenario, played, decisions)
        tried = played.columns[Columns.ACTIONS][decisions.day, decisions.inventory]
        actions = module.alternatives(seen, tried, runner.config.alternatives)
        found = outcomes_of(module, scenario, played, decisions, seen, actions)
        past = histories(scenario, played, decisions, runner.objective)
        where = fragment.tile, fragment.first_day
        self.replay.add(*where, decisions, seen.stock, actions, found, past)

    @override(Rows)
    def save(self, path: Path) -> None:
        self.replay.save(path)

    @override(Rows)
    def restore(self, path: Path) -> None:
        self.replay.restore(path)


def _capacity(runner: ShardRunner, first: Scenario) -> int:
    """Rows of ``replay_fragments`` fragments like the first one, if that was a whole tile."""
    config = runner.config
    largest = runner.tile(runner.tiles()[0]).num_inventories  # the last may be a part of one
    rows = int(first.review.sum()) * largest // first.num_inventories
    rows = max(1, min(rows, int(config.decisions_per_fragment))) * int(config.replay_fragments)
    return rows if config.replay_capacity is None else min(rows, int(config.replay_capacity))


class DDPG(ShardAlgorithm):
    """Plays a fragment per shard, then learns from the shards' replays."""

    config_class, module_class = DDPGConfig, DDPGModule
    learner_class, rows_class = DDPGLearner, ReplayedRows
    figures = "critic_loss", "actor_loss", "q_mean", "action_mean"

    @override(ShardAlgorithm)
    def prepared(self, columns: dict[str, Tensor]) -> dict[str, Tensor]:
        # Every minibatch draws on every shard.
        return self.shuffled(columns) if self.config.num_env_runners > 1 else columns
