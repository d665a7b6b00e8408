"""PPO (Schulman et al. 2017): RLlib's own loss and learner on our rows.

Values and advantages are computed where the fragment was played, with the weights that
played it; the learner sees independent rows and shards them as it likes. An action's advantage
is its gain over the policy's mean action on the very same demand: a baseline may depend on
whatever the action does not change (Mao et al. 2019).
"""

from __future__ import annotations

from typing import Any

from ray.rllib.algorithms.algorithm import Algorithm
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig, NotProvided
from ray.rllib.algorithms.ppo import PPO as RLlibPPO
from ray.rllib.algorithms.ppo import PPOConfig as RLlibPPOConfig
from ray.rllib.algorithms.ppo.torch.ppo_torch_learner import PPOTorchLearner
from ray.rllib.core.learner.learner import Learner
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.rllib.evaluation.postprocessing import Postprocessing
from ray.rllib.utils.annotations import override
from ray.rllib.utils.metrics import LEARNER_RESULTS, LEARNER_UPDATE_TIMER, TIMERS

from pipeline.algorithms.gradients import JointGradients
from pipeline.algorithms.modules import PPOModule
from pipeline.algorithms.shard import ShardAlgorithm, ShardSettings, set_given


class PPOConfig(ShardSettings, RLlibPPOConfig):
    """Configuration of :class:`PPO`: RLlib's, and :meth:`training`'s additions."""

    def __init__(self, algo_class: type[Algorithm] | None = None) -> None:
        super().__init__(algo_class=algo_class or PPO)
        self._set_shard_defaults("advantages")
        self.gamma = 0.7
        self.lr = 3e-3
        self.lambda_ = 0.9
        self.clip_param = 0.2
        self.entropy_coeff = 0.0
        self.use_kl_loss = False
        self.vf_loss_coeff = 0.4
        self.vf_clip_param = 100.0
        self.num_epochs = 4
        self.minibatch_size = 1024
        self.train_batch_size_per_learner = 32_768
        self.initial_std = 0.3
        self.value_hidden = (64, 64)
        self.grad_clip = 5.0
        self.grad_clip_by = "global_norm"

    @override(AlgorithmConfig)
    def training(
        self,
        *,
        value_hidden: Any = NotProvided,
        initial_std: float = NotProvided,
        **kwargs: Any,
    ) -> PPOConfig:
        """Hyperparameters beyond RLlib's PPO (lr, clip_param, num_epochs, ...).

        Args:
            value_hidden: Widths of the value network's hidden layers.
            initial_std: Standard deviation of the Gaussian before training, in units of the
                first action (``initial_action``).
        """
        super().training(**kwargs)
        set_given(self, locals())
        return self

    @override(AlgorithmConfig)
    def get_default_rl_module_spec(self) -> RLModuleSpec:
        return RLModuleSpec(
            module_class=PPOModule,
            model_config={
                **self._module_settings(),
                "value_hidden": tuple(self.value_hidden),
                "initial_std": self.initial_std,
            },
        )

    @override(AlgorithmConfig)
    def get_default_learner_class(self) -> type[Learner]:
        return PPOLearner


class PPOLearner(JointGradients, PPOTorchLearner):
    """RLlib's PPO loss with the project's gradient step."""


class PPO(ShardAlgorithm, RLlibPPO):
    """Plays a fragment per shard, then updates on it for a few epochs."""

    @classmethod
    @override(Algorithm)
    def get_default_config(cls) -> PPOConfig:
        return PPOConfig()

    @override(Algorithm)
    def training_step(self) -> None:
        columns = self._collect()
        advantage = columns[Postprocessing.ADVANTAGES]
        advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-6)
        # RLlib's loss has no row weights; its policy term is linear in the advantage.
        weight = columns.pop("weight")
        columns[Postprocessing.ADVANTAGES] = advantage * weight / weight.mean()
        columns = self._shuffled(columns)
        with self.metrics.log_time((TIMERS, LEARNER_UPDATE_TIMER)):
            results = self.learner_group.update(
                batch=self._batch(columns),
                timesteps=self._timesteps(),
                num_epochs=self.config.num_epochs,
                minibatch_size=min(self.config.minibatch_size, len(advantage)),
                shuffle_batch_per_epoch=True,
            )
        self.metrics.aggregate(results, key=LEARNER_RESULTS)
        self._sync_weights()
