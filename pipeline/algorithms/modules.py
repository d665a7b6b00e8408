"""The RLModule of all algorithms: a thin adapter from RLlib's interfaces to the policy network.

``Columns.ACTIONS`` is the network's output (level or coefficients, a share of its
range): what log-probabilities, critics and the replay see. ``Columns.ACTIONS_FOR_ENV``
is the order quantity that the environment plays. RLlib's stock runner honours both with
``normalize_actions=False, clip_actions=False``.
"""

from __future__ import annotations

import copy
from typing import Any, ClassVar

import torch
from ray.rllib.core.columns import Columns
from ray.rllib.core.rl_module.torch.torch_rl_module import TorchRLModule
from ray.rllib.utils.annotations import override
from torch import Tensor

from envs.objective import DEFAULT_OBJECTIVE, Objective
from envs.rollout import Decision
from envs.state import Observation, ObservationLayout
from pipeline.policies.action_models import make_action_model
from pipeline.policies.networks import PolicyNetwork

AVERAGING = 16
"""The averaged policy takes over 1 / (1 + n / 16) of the n-th update's weights: an average over
some last sixteenth of the training (polynomial decay, Shamir and Zhang 2013)."""


class PolicyModule(TorchRLModule):
    """Holds the policy network; deterministic when not exploring.

    ``model_config`` keys: ``layout`` (dict of :class:`ObservationLayout`), ``action_model``
    (arguments of :func:`make_action_model`), ``hidden``, ``initial_action``, and :attr:`reads`.
    ``objective``: an :class:`Objective`; default: :data:`DEFAULT_OBJECTIVE`.
    """

    reads: ClassVar[tuple[str, ...]] = ()
    """Attributes of the algorithm's config that ``model_config`` holds as well."""

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
        share = self.share_of_update()
        self.updates += 1
        torch._foreach_lerp_(
            list(self.averaged.parameters()), list(self.policy.parameters()), share
        )

    def share_of_update(self) -> float:
        """Of an average over some last sixteenth of the training, what the next update makes up."""
        return 1.0 / (1.0 + float(self.updates) / AVERAGING)

    def start_with(self, weights: dict[str, Tensor]) -> None:
        """Takes a policy network's weights over, in every copy of it."""
        for policy in self.policies():
            policy.load_state_dict(weights)

    def policies(self) -> list[PolicyNetwork]:
        """The policy and its copies."""
        return [self.policy, self.averaged]

    @property
    def typical(self) -> float:
        """The unit of exploration, share of the action's range: the first action. An order
        (NONE) is a small part of the range in which a level (BASE) lies in the middle."""
        return float(self.model_config["initial_action"])

    @property
    def value_sizes(self) -> dict[str, int]:
        """Of a network that says what is to come: its outputs, and its inputs beside observation
        and action."""
        objective = self.objective
        return {
            "parts": len(objective.parts),
            "history": objective.crediting.history_columns,
        }

    def observed(self, batch: dict[str, Any], column: str = Columns.OBS) -> Observation:
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
        return _as_rllib(PolicyModule.explore(self, self.observed(batch)))

    @override(TorchRLModule)
    def _forward_exploration(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Tensor]:
        return _as_rllib(self.explore(self.observed(batch)))


def _as_rllib(decision: Decision) -> dict[str, Tensor]:
    # gymnasium's action is a vector of one order quantity.
    return {**decision.columns, Columns.ACTIONS_FOR_ENV: decision.order.unsqueeze(-1)}
