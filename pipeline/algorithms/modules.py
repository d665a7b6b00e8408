"""RLModules: thin adapters from RLlib's interfaces to the policy network.

``Columns.ACTIONS`` is the network's output (level or coefficients, a share of its
range): what log-probabilities, critics and the replay see. ``Columns.ACTIONS_FOR_ENV``
is the order quantity that the environment plays. RLlib's stock runner honours both with
``normalize_actions=False, clip_actions=False``.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from ray.rllib.core.columns import Columns
from ray.rllib.core.learner.utils import make_target_network
from ray.rllib.core.rl_module.apis import TargetNetworkAPI, ValueFunctionAPI
from ray.rllib.core.rl_module.torch.torch_rl_module import TorchRLModule
from ray.rllib.utils.annotations import override
from torch import Tensor, nn

from envs.objective import DEFAULT_OBJECTIVE, Objective
from envs.orders import shared
from envs.rollout import Decision
from envs.state import (
    ORDER_SIZES,
    PER_DAY,
    PER_INVENTORY,
    InventoryState,
    Observation,
    ObservationLayout,
    Scenario,
)
from pipeline.algorithms.adjoint import TrainingRollout
from pipeline.policies.action_models import make_action_model, squash
from pipeline.policies.networks import Critic, PolicyNetwork, ValueNetwork

AVERAGING = 16
"""The averaged policy takes over 1 / (1 + n / 16) of the n-th update's weights: an average over
some last sixteenth of the training (polynomial decay, Shamir and Zhang 2013)."""
WIDE = 2.0
"""Alternatives beyond the policy's own action spread so many times as far as exploration."""


class PolicyModule(TorchRLModule):
    """Holds the policy network; deterministic when not exploring.

    ``model_config`` keys: ``layout`` (dict of :class:`ObservationLayout`), ``action_model``
    (arguments of :func:`make_action_model`), ``hidden``, ``initial_action``; further
    keys per algorithm. ``objective``: an :class:`Objective`; default: :data:`DEFAULT_OBJECTIVE`.
    """

    def train(self, mode: bool = True) -> PolicyModule:
        """Nothing to do when in that mode already; RLlib asks before every minibatch."""
        return self if self.training == mode else super().train(mode)

    @override(TorchRLModule)
    def setup(self) -> None:
        self.layout = ObservationLayout(**self.model_config["layout"])
        self.policy = PolicyNetwork(
            self.layout,
            make_action_model(basis=self.layout.basis, **self.model_config["action_model"]),
            hidden=self.model_config["hidden"],
            initial_action=self.model_config["initial_action"],
        )
        self.objective: Objective = self.model_config.get("objective", DEFAULT_OBJECTIVE)
        self.averaged = copy.deepcopy(self.policy).requires_grad_(False)
        """What is validated, kept and served: single updates move a policy by more than what
        separates two methods, and fit a few trajectories to the point."""
        self.register_buffer("updates", torch.zeros((), dtype=torch.float64))

    @torch.no_grad()
    def average(self) -> None:
        """Takes an update of the policy over into the averaged one."""
        share = 1.0 / (1.0 + float(self.updates) / AVERAGING)
        self.updates += 1
        torch._foreach_lerp_(
            list(self.averaged.parameters()), list(self.policy.parameters()), share
        )

    @property
    def _typical(self) -> float:
        """The unit of exploration, share of the action's range: the first action. An order
        (NONE) is a small part of the range in which a level (BASE) lies in the middle."""
        return float(self.model_config["initial_action"])

    def _observe(self, batch: dict[str, Any], column: str = Columns.OBS) -> Observation:
        return self.layout.unflatten(batch[column])

    def explore(self, observation: Observation) -> Decision:
        """The order to try, and the columns to learn from; what the shard runner plays.

        RLlib's ``forward_exploration`` does the same on flat observations.
        """
        action = self.policy.action(observation)
        order = self.policy.action_model(action, observation)
        return Decision(order, {Columns.ACTIONS: action})

    @override(TorchRLModule)
    def _forward(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Tensor]:
        return _as_rllib(PolicyModule.explore(self, self._observe(batch)))

    @override(TorchRLModule)
    def _forward_exploration(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Tensor]:
        return _as_rllib(self.explore(self._observe(batch)))


def _as_rllib(decision: Decision) -> dict[str, Tensor]:
    # gymnasium's action is a vector of one order quantity.
    return {**decision.columns, Columns.ACTIONS_FOR_ENV: decision.order.unsqueeze(-1)}


class DDPGModule(PolicyModule, TargetNetworkAPI):
    """Deterministic actor, one critic, a target copy of each (Lillicrap et al. 2016).

    Further ``model_config`` keys: ``critic_hidden``; ``exploration_noise`` (standard deviation
    of Gaussian noise on the action, in first actions) and ``actor_smoothing`` (likewise, as a
    share of the action's range).
    """

    @override(PolicyModule)
    def setup(self) -> None:
        super().setup()
        if not self.inference_only:
            self.critic = Critic(
                self.layout,
                self.policy.action_model,
                self.model_config["critic_hidden"],
                len(self.objective.parts),
            )

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
        return float(self.model_config["exploration_noise"]) * self._typical

    @override(TorchRLModule)
    def _forward_train(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Tensor]:
        observation = self._observe(batch)
        model = self.policy.action_model
        logits = self.policy.logits(observation)
        action = squash(logits)
        tried = action + self.model_config["actor_smoothing"] * torch.randn_like(action)
        actions = batch[Columns.ACTIONS]
        rows, count = actions.shape[:2]
        repeated = Observation(*(part.repeat_interleave(count, 0) for part in observation))
        return {
            "cost": self.critic(repeated, actions.flatten(0, 1), model).view(rows, count, -1),
            # The actor climbs the slow copy: rare shortages throw the critic about from update to
            # update. Its weights enter as constants.
            "cost_of_policy": self.target_critic(
                observation, tried.clamp(0.0, 1.0), model, frozen=True
            ),
            "logits": logits,
            "policy_action": action,
            **self.forward_target(batch),
        }

    @override(TargetNetworkAPI)
    def make_target_networks(self) -> None:
        self.target_policy = make_target_network(self.policy)
        self.target_critic = make_target_network(self.critic)

    @override(TargetNetworkAPI)
    def get_target_network_pairs(self) -> list[tuple[nn.Module, nn.Module]]:
        return [(self.policy, self.target_policy), (self.critic, self.target_critic)]

    @override(TargetNetworkAPI)
    @torch.no_grad()
    def forward_target(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Tensor]:
        seen = batch[Columns.NEXT_OBS]  # [N, C, D]
        observation = self.layout.unflatten(seen.flatten(0, 1))
        action = self.target_policy.action(observation)
        cost = self.target_critic(observation, action, self.policy.action_model)
        return {"next_cost": cost.view(*seen.shape[:2], -1)}


class PPOModule(PolicyModule, ValueFunctionAPI):
    """Gaussian over the same action, with a state-independent standard deviation.

    Further ``model_config`` keys: ``value_hidden``, ``initial_std`` (in first actions).
    """

    @override(PolicyModule)
    def setup(self) -> None:
        super().setup()
        model = self.policy.action_model
        spread = float(self.model_config["initial_std"]) * self._typical
        start = torch.full((model.outputs,), spread).log()
        self.log_std = nn.Parameter(start)
        if not self.inference_only:
            self.value = ValueNetwork(
                self.layout, self.model_config["value_hidden"], len(self.objective.parts)
            )

    def _distribution_inputs(self, observation: Observation) -> Tensor:
        mean = self.policy.action(observation)
        return torch.cat((mean, self.log_std.expand_as(mean)), -1)

    @override(PolicyModule)
    def explore(self, observation: Observation) -> Decision:
        inputs = self._distribution_inputs(observation)
        distribution = self.get_exploration_action_dist_cls().from_logits(inputs)
        action = distribution.sample()
        columns = {
            Columns.ACTIONS: action,
            Columns.ACTION_LOGP: distribution.logp(action),
            Columns.ACTION_DIST_INPUTS: inputs,
        }
        return Decision(self.policy.action_model(action, observation), columns)

    @override(TorchRLModule)
    def _forward_train(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Tensor]:
        observation = self._observe(batch)
        return {
            Columns.ACTION_DIST_INPUTS: self._distribution_inputs(observation),
            "to_come": self.value(observation),
        }

    @override(ValueFunctionAPI)
    def compute_values(self, batch: dict[str, Any], embeddings: Any = None) -> Tensor:
        to_come: Tensor = self.value(self._observe(batch))
        return -to_come.sum(-1)


class DSModule(PolicyModule):
    """The policy, trained through the simulator (Madeka et al. 2022, Alvo et al. 2023).

    A training batch holds windows of inventories, one per row (see
    :func:`scenario_columns`). The whole rollout lies inside ``_forward_train``: with
    several learners it passes through DDP's forward, which sums the gradients; a rollout
    around it would let the learners drift apart silently.
    """

    @override(PolicyModule)
    def setup(self) -> None:
        super().setup()
        self.play = TrainingRollout(self.policy)

    @override(TorchRLModule)
    def _forward_train(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Tensor]:
        scenario, state = scenario_from_columns(batch, self.layout.max_lead_time)
        loss = self.objective.loss(self.play(scenario, state), scenario, self.progress)
        return {"loss": loss, "size": self.objective.day_size(scenario)}

    @property
    def progress(self) -> float:
        """Share of the planned updates that is behind."""
        planned = self.model_config.get("planned_updates")
        return min(1.0, float(self.updates) / planned) if planned else 1.0


_SETTINGS = ("backlog", *ORDER_SIZES)


def scenario_columns(scenario: Scenario, state: InventoryState) -> dict[str, Tensor]:
    """A window of n inventories as columns of n rows, the form a training batch needs."""
    columns: dict[str, Tensor] = {"stock": state.stack()}
    for name in PER_DAY:
        if getattr(scenario, name) is not None:
            columns[name] = getattr(scenario, name).transpose(0, 1)
    for name in PER_INVENTORY:
        if getattr(scenario, name) is not None:
            columns[name] = getattr(scenario, name)
    for name in _SETTINGS:
        value = getattr(scenario, name)
        each = value if isinstance(value, Tensor) else torch.tensor(float(value))
        columns[name] = each.expand(scenario.num_inventories)
    return {name: column.contiguous() for name, column in columns.items()}


def scenario_from_columns(
    columns: dict[str, Tensor], max_lead_time: int
) -> tuple[Scenario, InventoryState]:
    """Inverse of :func:`scenario_columns`."""
    fields: dict[str, Any] = {
        name: columns[name].transpose(0, 1).contiguous() for name in PER_DAY if name in columns
    }
    fields |= {name: columns[name] for name in PER_INVENTORY if name in columns}
    fields |= {name: shared(columns[name]) for name in ORDER_SIZES}
    fields["backlog"] = bool(columns["backlog"][0])
    scenario = Scenario(**fields, max_lead_time=max_lead_time)
    return scenario, InventoryState.unstack(columns["stock"])
