"""PPO (Schulman et al. 2017): RLlib's loss of the policy and learner on our rows.

Values and advantages are computed where the fragment was played, with the weights that
played it; the learner sees independent rows and shards them as it likes. An action's advantage
is its gain over the policy's mean action on the very same demand: a baseline may depend on
whatever the action does not change (Mao et al. 2019). Where decisions are charged with other days
than those they govern, that gain is not known, and advantages are those of GAE.
"""

from __future__ import annotations

from typing import Annotated, Any

import torch
from ray.rllib.algorithms.algorithm import Algorithm
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.rllib.algorithms.ppo import PPO as RLlibPPO
from ray.rllib.algorithms.ppo import PPOConfig as RLlibPPOConfig
from ray.rllib.algorithms.ppo.torch.ppo_torch_learner import PPOTorchLearner
from ray.rllib.core.columns import Columns
from ray.rllib.core.learner.learner import Learner
from ray.rllib.core.rl_module.apis import ValueFunctionAPI
from ray.rllib.core.rl_module.torch.torch_rl_module import TorchRLModule
from ray.rllib.evaluation.postprocessing import Postprocessing
from ray.rllib.utils.annotations import override
from torch import Tensor, nn

from envs.rollout import Decision, Trajectory
from envs.state import Observation, Scenario
from pipeline.algorithms.alternatives import outcomes_of
from pipeline.algorithms.config import ShardSettings
from pipeline.algorithms.decisions import (
    HISTORY,
    NEXT_HISTORY,
    Decisions,
    decision_costs,
    generalized_advantages,
    histories,
    seen_at,
)
from pipeline.algorithms.gradients import (
    ACTOR,
    CRITIC,
    JointGradients,
    SizedTargets,
    spread_of,
    value_loss_of,
)
from pipeline.algorithms.modules import PolicyModule
from pipeline.algorithms.runner import Rows, ShardRunner
from pipeline.algorithms.settings import Count, Number, Rate, Scheduled, Share, Widths
from pipeline.algorithms.shard import ShardAlgorithm
from pipeline.policies.networks import ValueNetwork

VALUE_ROWS = 4096
"""Rows of one pass of the value network: hidden layers stay in the cache."""


class PPOConfig(ShardSettings, RLlibPPOConfig):
    """Configuration of :class:`PPO`."""

    gamma: Share = 0.7
    """Discount from a decision to the inventory's next one."""
    lambda_: Share = 0.9
    """GAE's, of the value targets (and advantages that are no gains)."""
    lr: Rate = 3e-3
    """Learning rate of the policy (a number or RLlib's schedule)."""
    critic_lr: Rate = 4e-3
    """Likewise of the value network."""
    train_batch_size_per_learner: Count = 32_768
    """Decisions of an iteration."""
    num_epochs: Count = 4
    """Times that an iteration's decisions are gone through."""
    minibatch_size: Count = 1024
    """Decisions of a minibatch."""
    clip_param: Annotated[float, Number()] = 0.2
    """How far the ratio of new to old probability may count."""
    kl_limit: Annotated[float, Number(0.0, 1e6)] = 0.3
    """Mean divergence from the policy that played, KL(old, new), beyond which a minibatch no
    longer moves the policy: where shortages are rare and dear, ten of 30,000 rows hold half of
    all advantages, squared, and ratios alone do not bound what they do."""
    entropy_coeff: Annotated[Any, Scheduled()] = 0.0
    """What the policy's entropy counts beside the advantage."""
    initial_std: Annotated[float, Number(1e-6, 10.0)] = 0.3
    """Standard deviation of the Gaussian before training, in units of the first action
    (``initial_action``)."""
    value_hidden: Widths = (64, 64)
    """Widths of the value network's hidden layers."""
    use_kl_loss: bool = False
    use_critic: bool = False
    """RLlib's value loss cuts what shortages cost; see :class:`PPOLearner`."""

    def __init__(self, algo_class: type[Algorithm] | None = None) -> None:
        super().__init__(algo_class=algo_class or PPO)


class PPOModule(PolicyModule, ValueFunctionAPI):
    """Gaussian over the same action, with a state-independent standard deviation."""

    reads = "value_hidden", "initial_std"

    @override(PolicyModule)
    def setup(self) -> None:
        super().setup()
        model = self.policy.action_model
        spread = float(self.model_config["initial_std"]) * self.typical
        start = torch.full((model.outputs,), spread).log()
        self.log_std = nn.Parameter(start)
        if not self.inference_only:
            self.value = ValueNetwork(
                self.layout, self.model_config["value_hidden"], **self.value_sizes
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
        observation = self.observed(batch)
        return {
            Columns.ACTION_DIST_INPUTS: self._distribution_inputs(observation),
            "to_come": self.value(observation, batch.get(HISTORY)),
        }

    @override(ValueFunctionAPI)
    def compute_values(self, batch: dict[str, Any], embeddings: Any = None) -> Tensor:
        to_come: Tensor = self.value(self.observed(batch), batch.get(HISTORY))
        return -to_come.sum(-1)


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
        self.held = {ACTOR} if bool(moved > config.kl_limit) else set()
        target, weight = batch[Postprocessing.VALUE_TARGETS], batch["weight"]
        size = self._running_size(spread_of(target, weight))
        value_loss = value_loss_of(fwd_out["to_come"], target, weight, size)
        self.found = {"value_loss": value_loss, "kl": moved}
        return loss + value_loss  # no parameter is shared between the two


def gains(
    module: Any,
    scenario: Scenario,
    played: Trajectory,
    decisions: Decisions,
    observation: Observation,
    tried: Tensor,
) -> Tensor:
    """[R] by how much actions were better than the policy's mean action on the same demand.

    The value of the stock that each leaves is included; in decision sizes.

    Args:
        module: A :class:`PPOModule`.
        scenario: The fragment.
        played: How it went.
        decisions: R of it.
        observation: Of these decisions.
        tried: [R, A] actions.
    """
    actions = torch.stack((tried, module.policy.action(observation)))
    found = outcomes_of(module, scenario, played, decisions, observation, actions)
    day, inventory = decisions.next_day, decisions.inventory
    ahead = [_to_come(module, scenario, day, inventory, stock) for stock in found.next_stock]
    cost = found.cost + decisions.discount.unsqueeze(-1) * torch.stack(ahead)
    return (cost[1] - cost[0]).sum(-1)


def value_targets(
    module: Any, scenario: Scenario, played: Trajectory, decisions: Decisions, lambda_: float
) -> Tensor:
    """[R, P] what is to come, in the objective's parts: the lambda-return of each decision."""
    assert played.stock is not None
    values = scenario.demand.new_zeros((*scenario.demand.shape, len(module.objective.parts)))
    day, inventory = scenario.review.nonzero(as_tuple=True)
    stock = played.stock[day, inventory]
    history = module.objective.crediting.history(played.outcome, scenario)
    past = None if history is None else history[day, inventory]
    values[day, inventory] = _to_come(module, scenario, day, inventory, stock, past)
    cost = decision_costs(scenario, played, decisions, module.objective)
    here = values[decisions.day, decisions.inventory]
    return generalized_advantages(decisions, cost, values, lambda_) + here


def _to_come(
    module: Any,
    scenario: Scenario,
    day: Tensor,
    inventory: Tensor,
    stock: Tensor,
    history: Tensor | None = None,
) -> Tensor:
    """[R, P] what the value network says on chosen days with the stock [R, K+1], after a history
    [R, H]."""
    parts = [
        module.value(
            scenario.look_up(day[rows], inventory[rows], stock[rows]),
            None if history is None else history[rows],
        )
        for rows in torch.arange(len(day)).split(VALUE_ROWS)
    ]
    return torch.cat(parts)


class AdvantageRows(Rows):
    """Decisions of the policy that is being trained, with advantages and value targets."""

    @override(Rows)
    def sample(self, runner: ShardRunner, iteration: int) -> dict[str, Tensor]:
        """Plays a fragment."""
        module, config = runner.module, runner.config
        fragment = runner.fragment(iteration)
        scenario, played = fragment.scenario, runner.play(fragment)
        decisions = runner.decisions(scenario, played)
        target = value_targets(module, scenario, played, decisions, config.lambda_)
        # PPO learns from a stated subsample, not from every row it simulated.
        keep = torch.randperm(len(target))[: runner.share(config.total_train_batch_size)]
        decisions = decisions.rows(keep)
        seen = seen_at(scenario, played, decisions)
        columns = {
            name: column[decisions.day, decisions.inventory]
            for name, column in played.columns.items()
        }
        past = histories(scenario, played, decisions, module.objective)
        past.pop(NEXT_HISTORY, None)
        if module.objective.crediting.of_governed_days:
            tried = columns[Columns.ACTIONS]
            advantage = gains(module, scenario, played, decisions, seen, tried)
        else:
            advantage = (module.value(seen, past.get(HISTORY)) - target[keep]).sum(-1)
        return {
            Columns.OBS: seen.flatten(),
            **columns,
            **past,
            Postprocessing.ADVANTAGES: advantage,
            Postprocessing.VALUE_TARGETS: target[keep],
            "weight": decisions.weight,
        }


class PPO(ShardAlgorithm, RLlibPPO):
    """Plays a fragment per shard, then updates on it for a few epochs."""

    config_class, module_class = PPOConfig, PPOModule
    learner_class, rows_class = PPOLearner, AdvantageRows
    figures = "policy_loss", "value_loss", "entropy"

    @override(ShardAlgorithm)
    def prepared(self, columns: dict[str, Tensor]) -> dict[str, Tensor]:
        advantage, weight = columns[Postprocessing.ADVANTAGES], columns["weight"]
        advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-6)
        weight = weight / weight.mean()
        # RLlib's loss has no row weights; its policy term is linear in the advantage.
        return self.shuffled(
            {**columns, "weight": weight, Postprocessing.ADVANTAGES: advantage * weight}
        )

    @override(ShardAlgorithm)
    def passes(self, columns: dict[str, Tensor]) -> dict[str, Any]:
        return {
            "num_epochs": self.config.num_epochs,
            "minibatch_size": min(self.config.minibatch_size, len(columns["weight"])),
            "shuffle_batch_per_epoch": True,
        }
