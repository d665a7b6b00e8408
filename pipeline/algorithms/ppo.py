"""PPO (Schulman et al. 2017): RLlib's loss of the policy and learner on our rows.

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
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.core.columns import Columns
from ray.rllib.core.learner.learner import Learner
from ray.rllib.core.learner.torch.torch_learner import TorchLearner
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.rllib.evaluation.postprocessing import Postprocessing
from ray.rllib.utils.annotations import override
from ray.rllib.utils.metrics import LEARNER_RESULTS, LEARNER_UPDATE_TIMER, TIMERS
from torch import Tensor, nn

from pipeline.algorithms.gradients import ACTOR, CRITIC, JointGradients, SizedTargets
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
        self.use_critic = False  # RLlib's value loss cuts what shortages cost; see PPOLearner
        self.critic_lr: Any = 4e-3
        self.kl_limit = 0.3
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
        critic_lr: Any = NotProvided,
        kl_limit: float = NotProvided,
        value_hidden: Any = NotProvided,
        initial_std: float = NotProvided,
        **kwargs: Any,
    ) -> PPOConfig:
        """Hyperparameters beyond RLlib's PPO (lr, clip_param, num_epochs, ...).

        Args:
            critic_lr: Learning rate of the value network; ``lr`` is the policy's.
            kl_limit: Mean divergence from the policy that played, KL(old, new), beyond which a
                minibatch no longer moves the policy: where shortages are rare and dear, ten of
                30,000 rows hold half of all advantages, squared, and ratios alone do not bound
                what they do.
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


def value_loss_of(to_come: Tensor, target: Tensor, weight: Tensor, size: Tensor) -> Tensor:
    """Squared error of the value network, each part counted in the size of its targets.

    Args:
        to_come, target: [B, P] what the network says, and what came, in decision sizes.
        weight: [B] of the decisions, mean 1.
        size: [P] mean square of the targets around their mean.
    """
    losses = (to_come - target).square() / size
    return (weight * losses.sum(-1)).mean()


def divergence(old: Tensor, new: Tensor) -> Tensor:
    """Mean KL(old, new) of Gaussians [B, 2A]: means, then logarithms of standard deviations."""
    (mean, log_std), (new_mean, new_log_std) = old.chunk(2, -1), new.chunk(2, -1)
    squares = (2 * log_std).exp() + (mean - new_mean).square()
    return (new_log_std - log_std + 0.5 * (squares * (-2 * new_log_std).exp() - 1)).sum(-1).mean()


class PPOLearner(SizedTargets, PPOTorchLearner):
    """RLlib's loss of the policy, and a value loss in parts with an optimizer of its own:
    a gradient that rare shortages enlarge must not shorten the policy's step."""

    @override(JointGradients)
    def trained(
        self, module: Any, config: AlgorithmConfig
    ) -> dict[str, tuple[list[nn.Parameter], Any]]:
        own = module.unwrapped()
        return {
            ACTOR: ([*own.policy.parameters(), own.log_std], config.lr),
            CRITIC: (list(own.value.parameters()), config.critic_lr),
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
        loss: Tensor = super().compute_loss_for_module(
            module_id=module_id, config=config, batch=batch, fwd_out=fwd_out
        )
        played, now = batch[Columns.ACTION_DIST_INPUTS], fwd_out[Columns.ACTION_DIST_INPUTS]
        moved = self._over_learners(divergence(played, now.detach()))
        self._too_far = bool(moved > config.kl_limit)
        target, weight = batch[Postprocessing.VALUE_TARGETS], batch["weight"]
        spread = (target - target.mean(0)).square()
        size = self._running_size((weight.unsqueeze(-1) * spread).mean(0).clamp(min=1e-12))
        value_loss = value_loss_of(fwd_out["to_come"], target, weight, size)
        self.metrics.log_dict(
            {"value_loss": value_loss.detach(), "kl": moved}, key=module_id, window=1
        )
        return loss + value_loss  # no parameter is shared between the two

    @override(TorchLearner)
    def apply_gradients(self, gradients_dict: dict[Any, Tensor]) -> None:
        if self._too_far:
            # Not zeros: Adam's momentum would go on.
            self._named_optimizers[f"{DEFAULT_MODULE_ID}_{ACTOR}"].zero_grad(set_to_none=True)
        super().apply_gradients(gradients_dict)


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
        columns["weight"] = columns["weight"] / columns["weight"].mean()
        columns[Postprocessing.ADVANTAGES] = advantage * columns["weight"]
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
