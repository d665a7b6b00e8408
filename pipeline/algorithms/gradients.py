"""The gradient step of the three learners.

RLlib looks every parameter up, tests it for infinities and clips it one by one, cuts minibatches
and counts them with a dozen Python calls each; with networks of this size that takes longer
than the arithmetic. Here each optimizer's parameters lie in one vector, and minibatches are
slices.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.rllib.core import DEFAULT_MODULE_ID
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


ALIGNED = 16
"""Numbers: parameters begin at whole cache lines."""


def minibatches(
    columns: dict[str, Tensor], size: int | None, epochs: int, shuffle: bool
) -> Iterator[dict[str, Tensor]]:
    """Minibatches of (nearly) equal size, of every row once an epoch.

    Args:
        columns: [R, ...] each.
        size: Rows at most; None: all.
        epochs: How often.
        shuffle: In an order drawn anew for every epoch, with torch's generator.
    """
    rows = len(next(iter(columns.values())))
    parts = math.ceil(rows / (size or rows))
    for _ in range(epochs):
        order = torch.randperm(rows) if shuffle else torch.arange(rows)
        for part in order.tensor_split(parts):
            if shuffle:
                yield {name: column[part] for name, column in columns.items()}
            else:
                first, last = int(part[0]), int(part[-1])
                yield {name: column[first : last + 1] for name, column in columns.items()}


def joined(parameters: list[torch.nn.Parameter]) -> torch.nn.Parameter:
    """One vector of which all parameters, and their gradients, become views."""
    starts = [0]
    for parameter in parameters:
        starts.append(starts[-1] + -(-parameter.numel() // ALIGNED) * ALIGNED)
    vector = torch.nn.Parameter(parameters[0].new_zeros(starts[-1]))
    vector.grad = torch.zeros_like(vector)
    for parameter, start in zip(parameters, starts, strict=False):
        part = slice(start, start + parameter.numel())
        vector.data[part] = parameter.data.flatten()
        parameter.data = vector.data[part].view_as(parameter)
        parameter.grad = vector.grad[part].view_as(parameter)
    return vector


class JointGradients(TorchLearner):
    """Mixin of the learners: clips by global norm and steps per optimizer, not per tensor.

    ``found``: figures of a minibatch by name, set by its loss; those of an iteration's last
    minibatch are recorded, their mean where they are many. ``held``: optimizers that a minibatch
    does not step, set likewise.

    Gradients that are not finite are applied as they are: the losses turn NaN and the run
    ends as diverged, instead of going on with zeros.
    """

    @override(TorchLearner)
    def configure_optimizers_for_module(
        self, module_id: str, config: AlgorithmConfig | None = None
    ) -> None:
        assert config is not None
        self.found: dict[str, Any] = {}
        self.held: set[str] = set()
        self._gradients: dict[str, Tensor] = {}
        for name, (parameters, rate) in self.trained(self._module[module_id], config).items():
            vector = joined(parameters)
            assert vector.grad is not None
            self._gradients[name] = vector.grad
            self.register_optimizer(
                module_id=module_id,
                optimizer_name=name,
                optimizer=torch.optim.Adam([vector], fused=True),
                params=[vector],
                lr_or_lr_schedule=rate,
            )

    @property
    def own_module(self) -> Any:
        """The one module, a :class:`~pipeline.algorithms.modules.PolicyModule`."""
        return self.module[DEFAULT_MODULE_ID].unwrapped()

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

    @override(Learner)
    def update(
        self,
        *args: Any,
        minibatch_size: int | None = None,
        num_epochs: int = 1,
        shuffle_batch_per_epoch: bool = False,
        **kwargs: Any,
    ) -> Any:
        """RLlib's; the batch passes through it as one, its minibatches are cut in here.

        Args:
            minibatch_size: Rows of a minibatch at most; None: all.
            num_epochs: Times that the batch is gone through.
            shuffle_batch_per_epoch: In another order each time.
        """
        self._cut = partial(
            minibatches, size=minibatch_size, epochs=num_epochs, shuffle=shuffle_batch_per_epoch
        )
        return super().update(*args, **kwargs)

    @override(TorchLearner)
    def _update(self, batch: dict[str, Any]) -> tuple[Any, Any, Any]:
        assert list(batch) == [DEFAULT_MODULE_ID]
        result: tuple[Any, Any, Any] = None, None, None
        for columns in self._cut(dict(batch[DEFAULT_MODULE_ID])):
            result = super()._update({DEFAULT_MODULE_ID: columns})
        return result

    @override(TorchLearner)
    def compute_gradients(
        self, loss_per_module: dict[str, Tensor], **kwargs: Any
    ) -> dict[Any, Tensor]:
        """Leaves them where optimizers look; nothing goes through RLlib's dictionary of them."""
        for gradient in self._gradients.values():
            gradient.zero_()
        loss_per_module[DEFAULT_MODULE_ID].backward()
        return {}

    @override(Learner)
    def postprocess_gradients(self, gradients_dict: dict[Any, Tensor]) -> dict[Any, Tensor]:
        limit = self.config.grad_clip
        self._norms = {name: gradient.norm() for name, gradient in self._gradients.items()}
        if limit is not None:
            for name, norm in self._norms.items():
                self._gradients[name].mul_((limit / (norm + 1e-6)).clamp(max=1.0))
        return gradients_dict

    @override(TorchLearner)
    def apply_gradients(self, gradients_dict: dict[Any, Tensor]) -> None:
        for name in self._gradients:
            if name not in self.held:
                self._named_optimizers[f"{DEFAULT_MODULE_ID}_{name}"].step()
        self.own_module.average()

    @override(Learner)
    def after_gradient_based_update(self, *, timesteps: dict[str, Any]) -> None:
        super().after_gradient_based_update(timesteps=timesteps)
        for name, norm in self._norms.items():
            self.metrics.log_value(("gradient_norm", name), norm, window=1)
        for name, value in self.found.items():
            self.metrics.log_value((DEFAULT_MODULE_ID, name), value.detach().mean(), window=1)
        self.found = {}  # and with them the last minibatch's graph


class SlowCopies(JointGradients):
    """A learner of modules with target networks, which take over ``tau`` of every update.

    At first they take over more, as :class:`~pipeline.algorithms.modules.PolicyModule`'s averaged
    policy does: a copy that moved by ``tau`` alone would consist of the network's random start for
    some 1 / tau updates.
    """

    @override(Learner)
    def build(self) -> None:
        super().build()
        module = self.own_module
        module.make_target_networks()
        self._target_pairs = [
            (list(target.parameters()), list(main.parameters()))
            for main, target in module.get_target_network_pairs()
        ]

    @override(TorchLearner)
    def apply_gradients(self, gradients_dict: dict[Any, Tensor]) -> None:
        super().apply_gradients(gradients_dict)
        # Once per minibatch; RLlib's hook for target networks runs once per update() call
        # (and its helper copies whole state dicts).
        share = max(self.config.tau, self.own_module.share_of_update())
        with torch.no_grad():
            for kept, new in self._target_pairs:
                torch._foreach_lerp_(kept, new, share)


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
