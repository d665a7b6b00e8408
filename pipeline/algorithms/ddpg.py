"""DDPG (Lillicrap et al. 2016): deterministic actor, one critic, target networks, replay.

RLlib no longer ships it; this one is built on RLlib's Algorithm, Learner and RLModule.
Action = network output (level or coefficients), not the order (design 3).
"""

from __future__ import annotations

from typing import Any

import torch
from ray.rllib.algorithms.algorithm import Algorithm
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig, NotProvided
from ray.rllib.core.learner.learner import Learner
from ray.rllib.core.learner.torch.torch_learner import TorchLearner
from ray.rllib.core.rl_module.apis import TargetNetworkAPI
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.rllib.utils.annotations import override
from ray.rllib.utils.metrics import LEARNER_RESULTS, LEARNER_UPDATE_TIMER, TIMERS
from torch import Tensor, nn

from pipeline.algorithms.gradients import ACTOR, CRITIC, JointGradients, SizedTargets
from pipeline.algorithms.modules import DDPGModule
from pipeline.algorithms.shard import ShardAlgorithm, ShardSettings, set_given

WALL = 6.0
"""Logits beyond which an actor is drawn back: the range's ends are reached before, and a policy
that an early critic led far beyond them would take long to return."""
COMMON = 0.02
"""Weight of the error that all alternatives of a decision share, beside their differences: it is
mostly the demand that came, which no action changes. Generalized least squares would weigh it
by the inverse of its variance."""


class DDPGConfig(ShardSettings, AlgorithmConfig):
    """Configuration of :class:`DDPG`; see :meth:`training`."""

    def __init__(self, algo_class: type[Algorithm] | None = None) -> None:
        super().__init__(algo_class=algo_class or DDPG)
        self._set_shard_defaults("replayed")
        self.gamma = 0.7
        self.lr = 4e-3
        self.critic_lr: Any = 8e-3
        self.tau = 2e-2
        self.train_batch_size_per_learner = 256
        self.replay_fragments = 8
        self.replay_capacity: int | None = None
        self.updates_per_iteration = 64
        self.exploration_noise = 0.3
        self.alternatives = 2
        self.decisions_per_fragment = 16_384
        self.actor_smoothing = 0.02
        self.critic_warm_up = 256
        self.critic_hidden = (64, 64)
        self.grad_clip = 5.0
        self.grad_clip_by = "global_norm"

    @override(AlgorithmConfig)
    def training(
        self,
        *,
        critic_lr: Any = NotProvided,
        tau: float = NotProvided,
        replay_fragments: int = NotProvided,
        replay_capacity: int | None = NotProvided,
        updates_per_iteration: int = NotProvided,
        fragments_per_iteration: int = NotProvided,
        exploration_noise: float = NotProvided,
        alternatives: int = NotProvided,
        decisions_per_fragment: int = NotProvided,
        actor_smoothing: float = NotProvided,
        critic_warm_up: int = NotProvided,
        critic_hidden: Any = NotProvided,
        **kwargs: Any,
    ) -> DDPGConfig:
        """Hyperparameters; ``lr`` (RLlib's) is the actor's.

        Args:
            critic_lr: Learning rate of the critic (a number or RLlib's schedule).
            tau: Share of the new weights that a target network takes over per update.
            replay_fragments: Fragments whose decisions are kept per runner. A fragment is one
                tile over one stretch of days: with four or fewer the minibatches of many
                updates see few inventories and days. A decision takes 16K + 140 bytes with two
                alternatives and five coefficients, K the longest lead time.
            replay_capacity: Decisions kept per runner at most, whatever they are in fragments;
                None: no further limit.
            updates_per_iteration: Minibatches per iteration: with
                ``fragments_per_iteration`` the update-to-data ratio.
            fragments_per_iteration: Fragments played per iteration and runner.
            exploration_noise: Standard deviation on the action, in units of the first action
                (``initial_action``).
            alternatives: Further actions per decision whose outcome on the same demand is
                learned from; see :mod:`pipeline.algorithms.alternatives`.
            decisions_per_fragment: Decisions of a fragment that are kept at most, drawn at
                random.
            actor_smoothing: Standard deviation of the noise over which the actor's objective
                is averaged, share of the range. Like PPO's Gaussian it keeps the actor from
                fitting kinks of the critic that a few trajectories made.
            critic_warm_up: Updates before the actor starts to follow the critic.
            critic_hidden: Widths of its hidden layers.
        """
        super().training(**kwargs)
        set_given(self, locals())
        return self

    @override(AlgorithmConfig)
    def get_default_rl_module_spec(self) -> RLModuleSpec:
        return RLModuleSpec(
            module_class=DDPGModule,
            model_config={
                **self._module_settings(),
                "critic_hidden": tuple(self.critic_hidden),
                "exploration_noise": self.exploration_noise,
                "actor_smoothing": self.actor_smoothing,
            },
        )

    @override(AlgorithmConfig)
    def get_default_learner_class(self) -> type[Learner]:
        return DDPGLearner


def target_size(target: Tensor, weight: Tensor) -> Tensor:
    """[P] mean square of the differences between a decision's alternatives, per part of the cost.

    Args:
        target: [B, C, P] costs in the objective's parts, in decision sizes.
        weight: [B] of the decisions, mean 1.
    """
    own = target - target.mean(1, keepdim=True)
    return (weight.unsqueeze(1) * own.square().mean(1)).mean(0).clamp(min=1e-12)


def critic_loss_of(cost: Tensor, target: Tensor, weight: Tensor, size: Tensor) -> Tensor:
    """Squared error of the differences between alternatives, and a little of what they share.

    Each part is counted in the size of its own targets, so that the loss neither knows the ratio
    of shortage to holding cost nor cuts the rare shortages that a mean cost is made of.

    Args:
        cost, target: [B, C, P] what the critic says, and what came of it, in decision sizes.
        weight: [B] of the decisions, mean 1.
        size: [P] of :func:`target_size`.
    """
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


class DDPGLearner(SizedTargets):
    """Losses of actor and critic, target networks."""

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
    def build(self) -> None:
        super().build()
        self._critic_updates = 0
        self.module.foreach_module(lambda _, module: module.unwrapped().make_target_networks())
        self._target_pairs = [
            (list(target.parameters()), list(main.parameters()))
            for module in self.module._rl_modules.values()
            for main, target in module.unwrapped().get_target_network_pairs()
        ]

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
        size = self._running_size(target_size(target, weight))
        critic_loss = critic_loss_of(fwd_out["cost"], target, weight, size)
        actor_loss = actor_loss_of(fwd_out["cost_of_policy"], fwd_out["logits"], weight)
        if self._critic_updates < config.critic_warm_up:
            actor_loss = 0.0 * actor_loss
        self.metrics.log_dict(
            {
                "critic_loss": critic_loss.detach(),
                "actor_loss": actor_loss.detach(),
                "q_mean": -fwd_out["cost"].detach().sum(-1).mean(),
                "action_mean": fwd_out["policy_action"].detach().mean(),
            },
            key=module_id,
            window=1,
        )
        loss: Tensor = critic_loss + actor_loss  # no parameter is shared between the two
        return loss

    @override(TorchLearner)
    def apply_gradients(self, gradients_dict: dict[Any, Tensor]) -> None:
        super().apply_gradients(gradients_dict)
        self._critic_updates += 1
        # Once per minibatch; RLlib's hook for target networks runs once per update() call
        # (and its helper copies whole state dicts).
        with torch.no_grad():
            for kept, new in self._target_pairs:
                torch._foreach_lerp_(kept, new, self.config.tau)

    @override(Learner)
    def get_state(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        state: dict[str, Any] = super().get_state(*args, **kwargs)
        return state | {"critic_updates": self._critic_updates}

    @override(Learner)
    def set_state(self, state: dict[str, Any]) -> None:
        super().set_state(state)
        self._critic_updates = state.get("critic_updates", self._critic_updates)

    @classmethod
    @override(Learner)
    def rl_module_required_apis(cls) -> list[type]:
        return [TargetNetworkAPI]


class DDPG(ShardAlgorithm):
    """Plays a fragment per shard, then learns from the shards' replays.

    The replay is part of a checkpoint: a restored run goes on as if it had not been cut.
    """

    @classmethod
    @override(Algorithm)
    def get_default_config(cls) -> DDPGConfig:
        return DDPGConfig()

    @override(Algorithm)
    def training_step(self) -> None:
        columns = self._collect()
        if self.config.num_env_runners > 1:
            # Every minibatch draws on every shard.
            columns = self._shuffled(columns)
        with self.metrics.log_time((TIMERS, LEARNER_UPDATE_TIMER)):
            results = self.learner_group.update(
                batch=self._batch(columns),
                timesteps=self._timesteps(),
                minibatch_size=self.config.train_batch_size_per_learner,
                num_epochs=1,
            )
        self.metrics.aggregate(results, key=LEARNER_RESULTS)
        self._sync_weights()
