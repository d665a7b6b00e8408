"""DS, the differentiable simulator (Madeka et al. 2022, Alvo et al. 2023).

The objective's loss of a minibatch of inventory windows, differentiated through the dynamics
and the orders.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from ray.rllib.algorithms.algorithm import Algorithm
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.rllib.core.learner.learner import Learner
from ray.rllib.core.rl_module.torch.torch_rl_module import TorchRLModule
from ray.rllib.utils.annotations import override
from torch import Tensor

from envs.credit import governed_days
from envs.orders import shared, without_whole_units
from envs.state import ORDER_SIZES, PER_DAY, PER_INVENTORY, InventoryState, Scenario
from pipeline.algorithms.adjoint import TrainingRollout
from pipeline.algorithms.config import ShardSettings
from pipeline.algorithms.gradients import JointGradients
from pipeline.algorithms.modules import PolicyModule
from pipeline.algorithms.runner import Rows, ShardRunner
from pipeline.algorithms.settings import Count, Rate
from pipeline.algorithms.shard import ShardAlgorithm


class DSConfig(ShardSettings):
    """Configuration of :class:`DS`."""

    lr: Rate = 1e-2
    """Learning rate (a number or RLlib's schedule)."""
    train_batch_size_per_learner: Count = 256
    """Inventory windows of a minibatch."""
    updates_per_iteration: Count = 10
    """Minibatches per iteration."""

    def __init__(self, algo_class: type[Algorithm] | None = None) -> None:
        super().__init__(algo_class=algo_class or DS)

    @property
    def planned_updates(self) -> int | None:
        """Of the whole training, where its iterations are known."""
        return self.planned_iterations and self.planned_iterations * self.updates_per_iteration


class DSModule(PolicyModule):
    """The policy, trained through the simulator.

    A training batch holds windows of inventories, one per row (see
    :func:`scenario_columns`). The whole rollout lies inside ``_forward_train``: with
    several learners it passes through DDP's forward, which sums the gradients; a rollout
    around it would let the learners drift apart silently.
    """

    reads = ("planned_updates",)

    @override(PolicyModule)
    def setup(self) -> None:
        super().setup()
        self.play = TrainingRollout(self.policy)

    @override(TorchRLModule)
    def _forward_train(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Tensor]:
        scenario, state = scenario_from_columns(batch, self.layout.max_lead_time)
        # Orders need not be in whole units to learn from; what they come to is judged as if they
        # were: a day with a part of a unit left has no stock.
        multiple = without_whole_units(scenario.order_multiple)
        played = self.play(replace(scenario, order_multiple=multiple), state)
        loss = self.objective.loss(played, scenario, self.progress)
        return {"loss": loss, "size": self.objective.day_size(scenario)}

    @property
    def progress(self) -> float:
        """Share of the planned updates that is behind."""
        planned = self.model_config.get("planned_updates")
        return min(1.0, float(self.updates) / planned) if planned else 1.0


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
        self.found = {"simulated_loss": loss}
        return loss


class WindowRows(Rows):
    """Windows of inventories with random initial stock, one per row."""

    @override(Rows)
    def sample(self, runner: ShardRunner, iteration: int) -> dict[str, Tensor]:
        """Draws a minibatch of windows from a fragment, for each update."""
        updates = runner.config.updates_per_iteration
        rows = runner.share(runner.config.total_train_batch_size)
        parts = []
        for update in range(updates):
            fragment = runner.fragment(iteration * updates + update)
            pick = torch.randint(0, fragment.scenario.num_inventories, (rows,))
            window = _count_governed_days(fragment.scenario.inventories(pick))
            stock = fragment.state.stack()[pick]
            parts.append(scenario_columns(window, InventoryState.unstack(stock)))
            runner.count_steps(window)
        return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def _count_governed_days(window: Scenario) -> Scenario:
    """DS counts what its orders decide: not the warm-up, not the cut days at the end."""
    _, governed = governed_days(window.review, window.lead_time, window.review_period)
    counted = governed if window.counted is None else governed & window.counted
    return replace(window, counted=counted)


_BROADCAST = ("backlog", *ORDER_SIZES)
"""What a scenario may hold once for all its inventories."""


def scenario_columns(scenario: Scenario, state: InventoryState) -> dict[str, Tensor]:
    """A window of n inventories as columns of n rows, the form a training batch needs."""
    columns: dict[str, Tensor] = {"stock": state.stack()}
    for name in PER_DAY:
        if getattr(scenario, name) is not None:
            columns[name] = getattr(scenario, name).transpose(0, 1)
    for name in PER_INVENTORY:
        if getattr(scenario, name) is not None:
            columns[name] = getattr(scenario, name)
    for name in _BROADCAST:
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


class DS(ShardAlgorithm):
    """Draws windows from every shard and descends what they come to."""

    config_class, module_class = DSConfig, DSModule
    learner_class, rows_class = DSLearner, WindowRows
    figures = ("simulated_loss",)
