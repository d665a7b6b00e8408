"""DS, the differentiable simulator (Madeka et al. 2022, Alvo et al. 2023).

The objective's loss of a minibatch of inventory windows, differentiated through the dynamics
and the orders.
"""

from __future__ import annotations

from typing import Any

from ray.rllib.algorithms.algorithm import Algorithm
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig, NotProvided
from ray.rllib.core.learner.learner import Learner
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.rllib.utils.annotations import override
from ray.rllib.utils.metrics import LEARNER_RESULTS, LEARNER_UPDATE_TIMER, TIMERS
from torch import Tensor

from pipeline.algorithms.gradients import JointGradients
from pipeline.algorithms.modules import DSModule
from pipeline.algorithms.shard import ShardAlgorithm, ShardSettings, set_given


class DSConfig(ShardSettings, AlgorithmConfig):
    """Configuration of :class:`DS`; see :meth:`training`."""

    def __init__(self, algo_class: type[Algorithm] | None = None) -> None:
        super().__init__(algo_class=algo_class or DS)
        self._set_shard_defaults("windows")
        self.lr = 1e-2
        self.train_batch_size_per_learner = 256
        self.updates_per_iteration = 10
        self.grad_clip = 5.0
        self.grad_clip_by = "global_norm"

    @override(AlgorithmConfig)
    def training(
        self,
        *,
        updates_per_iteration: int = NotProvided,
        **kwargs: Any,
    ) -> DSConfig:
        """Hyperparameters; ``train_batch_size_per_learner`` counts inventory windows.

        Args:
            updates_per_iteration: Minibatches per iteration.
        """
        super().training(**kwargs)
        set_given(self, locals())
        return self

    @override(AlgorithmConfig)
    def get_default_rl_module_spec(self) -> RLModuleSpec:
        planned = self.planned_iterations and self.planned_iterations * self.updates_per_iteration
        return RLModuleSpec(
            module_class=DSModule,
            model_config={**self._module_settings(), "planned_updates": planned},
        )

    @override(AlgorithmConfig)
    def get_default_learner_class(self) -> type[Learner]:
        return DSLearner


class DSLearner(JointGradients):
    """The loss is what the module's rollout came to."""

    @override(Learner)
    def compute_loss_for_module(
        self,
        *,
        module_id: str,
        config: AlgorithmConfig,
        batch: dict[str, Any],
        fwd_out: dict[str, Tensor],
    ) -> Tensor:
        weight = fwd_out["size"] ** config.weight_power
        loss: Tensor = (fwd_out["loss"] * weight).mean() / weight.mean()
        self.metrics.log_value((module_id, "simulated_loss"), loss.detach(), window=1)
        return loss


class DS(ShardAlgorithm):
    """Draws windows from every shard and descends what they come to."""

    @classmethod
    @override(Algorithm)
    def get_default_config(cls) -> DSConfig:
        return DSConfig()

    @override(Algorithm)
    def training_step(self) -> None:
        columns = self._collect()
        with self.metrics.log_time((TIMERS, LEARNER_UPDATE_TIMER)):
            results = self.learner_group.update(
                batch=self._batch(columns),
                timesteps=self._timesteps(),
                minibatch_size=self.config.train_batch_size_per_learner,
                num_epochs=1,
            )
        self.metrics.aggregate(results, key=LEARNER_RESULTS)
        self._sync_weights()
