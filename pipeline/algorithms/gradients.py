"""The gradient step of the three learners.

RLlib looks every parameter up, tests it for infinities and clips it one by one, in Python;
with networks of this size that takes longer than the arithmetic. Here each optimizer's
parameters are clipped and stepped together.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.rllib.core.learner.learner import Learner
from ray.rllib.core.learner.torch.torch_learner import TorchLearner
from ray.rllib.utils.annotations import override
from ray.rllib.utils.metrics import NUM_ENV_STEPS_SAMPLED_LIFETIME
from torch import Tensor

from pipeline.tools.seeding import derive_seed

ACTOR, CRITIC = "actor", "critic"
"""Optimizers."""
MEMORY = 0.02
"""Share of a minibatch in the running size of the targets."""


def adam(parameters: list[torch.nn.Parameter]) -> torch.optim.Adam:
    """Adam with one fused kernel per step; RLlib sets its learning rate."""
    return torch.optim.Adam(parameters, fused=True)


class JointGradients(TorchLearner):
    """Mixin of the learners: clips by global norm and steps per optimizer, not per tensor.

    Gradients that are not finite are applied as they are: the losses turn NaN and the run
    ends as diverged, instead of going on with zeros.
    """

    @override(TorchLearner)
    def configure_optimizers_for_module(
        self, module_id: str, config: AlgorithmConfig | None = None
    ) -> None:
        assert config is not None
        for name, (parameters, rate) in self.trained(self._module[module_id], config).items():
            self.register_optimizer(
                module_id=module_id,
                optimizer_name=name,
                optimizer=adam(parameters),
                params=parameters,
                lr_or_lr_schedule=rate,
            )

    def trained(
        self, module: Any, config: AlgorithmConfig
    ) -> dict[str, tuple[list[torch.nn.Parameter], Any]]:
        """Optimizer -> parameters that it clips and steps together, and their learning rate."""
        return {ACTOR: ([p for p in module.parameters() if p.requires_grad], config.lr)}

    @override(Learner)
    def before_gradient_based_update(self, *, timesteps: dict[str, Any]) -> None:
        """What is drawn in an iteration (minibatches, noise) follows from seed and iteration
        alone: a run that was cut goes on as if it had not been."""
        super().before_gradient_based_update(timesteps=timesteps)
        iteration = timesteps.get(NUM_ENV_STEPS_SAMPLED_LIFETIME)  # ShardAlgorithm._timesteps
        if iteration is None:  # a learner without an algorithm
            return
        seed = derive_seed("learn", self.config.seed or 0, self._learner_index, iteration)
        torch.manual_seed(seed)
        np.random.seed(seed)  # noqa: NPY002 (RLlib shuffles minibatches with it)

    @override(Learner)
    def postprocess_gradients(self, gradients_dict: dict[Any, Tensor]) -> dict[Any, Tensor]:
        limit = self.config.grad_clip
        for name, optimizer in self._named_optimizers.items():
            parameters = optimizer.param_groups[0]["params"]
            norm = torch.nn.utils.clip_grad_norm_(
                parameters, float("inf") if limit is None else limit, foreach=True
            )
            self.metrics.log_value(("gradient_norm", name), norm, window=1)
        return gradients_dict

    @override(TorchLearner)
    def apply_gradients(self, gradients_dict: dict[Any, Tensor]) -> None:
        # backward() left the gradients on the parameters already.
        for optimizer in self._named_optimizers.values():
            optimizer.step()
        self.module.foreach_module(lambda _, module: module.unwrapped().average())


class SlowCopies(JointGradients):
    """A learner of modules with target networks, which take over ``tau`` of every update."""

    @override(Learner)
    def build(self) -> None:
        super().build()
        self.module.foreach_module(lambda _, module: module.unwrapped().make_target_networks())
        self._target_pairs = [
            (list(target.parameters()), list(main.parameters()))
            for module in self.module._rl_modules.values()
            for main, target in module.unwrapped().get_target_network_pairs()
        ]

    @override(TorchLearner)
    def apply_gradients(self, gradients_dict: dict[Any, Tensor]) -> None:
        super().apply_gradients(gradients_dict)
        # Once per minibatch; RLlib's hook for target networks runs once per update() call
        # (and its helper copies whole state dicts).
        with torch.no_grad():
            for kept, new in self._target_pairs:
                torch._foreach_lerp_(kept, new, self.config.tau)


def spread_of(target: Tensor, weight: Tensor) -> Tensor:
    """[P] mean square of targets [B, P] around their mean, rows weighed by [B] of mean 1."""
    spread = (target - target.mean(0)).square()
    return (weight.unsqueeze(-1) * spread).mean(0).clamp(min=1e-12)


def target_size(target: Tensor, weight: Tensor) -> Tensor:
    """[P] mean square of the differences between a decision's alternatives, per part of the cost;
    of a single one, between decisions.

    Args:
        target: [B, C, P] costs in the objective's parts, in decision sizes.
        weight: [B] of the decisions, mean 1.
    """
    if target.shape[1] == 1:
        return spread_of(target.squeeze(1), weight)
    own = target - target.mean(1, keepdim=True)
    return (weight.unsqueeze(1) * own.square().mean(1)).mean(0).clamp(min=1e-12)


def value_loss_of(to_come: Tensor, target: Tensor, weight: Tensor, size: Tensor) -> Tensor:
    """Squared error of a value network, each part counted in the size of its targets.

    Args:
        to_come, target: [B, P] what the network says, and what came, in decision sizes.
        weight: [B] of the decisions, mean 1.
        size: [P] of :func:`spread_of`, a running mean.
    """
    losses = (to_come - target).square() / size
    return (weight * losses.sum(-1)).mean()


class SizedTargets(JointGradients):
    """A learner whose targets, costs in the objective's parts, count in their own running size.

    Losses then neither know the ratio of shortage to holding cost nor cut the rare shortages
    that a mean cost is made of.
    """

    @override(Learner)
    def build(self) -> None:
        self._target_size: Any = None
        super().build()

    def _running_size(self, size: Tensor) -> Tensor:
        """[P] running mean of the minibatches' sizes, this one included; kept."""
        size = self._over_learners(size)
        known = self._target_size is not None
        self._target_size = self._target_size.lerp(size, MEMORY) if known else size
        result: Tensor = self._target_size
        return result

    def _over_learners(self, size: Tensor) -> Tensor:
        """Mean over all learners: they descend one loss, and a checkpoint holds one size."""
        if self.distributed:
            torch.distributed.all_reduce(size)
            size = size / torch.distributed.get_world_size()
        return size

    @override(Learner)
    def get_state(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        state: dict[str, Any] = super().get_state(*args, **kwargs)
        return state | {"target_size": self._target_size}

    @override(Learner)
    def set_state(self, state: dict[str, Any]) -> None:
        super().set_state(state)
        self._target_size = state.get("target_size", self._target_size)
