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
