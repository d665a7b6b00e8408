"""The networks: a policy (observation -> action -> order) and a critic head."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from envs.rollout import Decision
from envs.state import Observation, ObservationLayout
from pipeline.action_models import ActionModel

STOCK_CLIP = 20.0
"""Stock inputs are cut at this many scales: an overstocked new product must not
saturate the first layer."""


def mlp(inputs: int, hidden: Sequence[int], outputs: int) -> nn.Sequential:
    """Fully connected network with rectifiers between layers."""
    layers: list[nn.Module] = []
    for width in hidden:
        layers += [nn.Linear(inputs, width), nn.ReLU()]
        inputs = width
    return nn.Sequential(*layers, nn.Linear(inputs, outputs))


def network_inputs(observation: Observation) -> Tensor:
    """[N, K+2+F]: stock and inventory position in scales, then the exogenous features."""
    stock = observation.stock / observation.scale.unsqueeze(-1)
    position = stock.sum(-1, keepdim=True)
    return torch.cat(
        (torch.cat((stock, position), -1).clamp(-STOCK_CLIP, STOCK_CLIP), observation.features), -1
    )


def input_size(layout: ObservationLayout) -> int:
    """Width of :func:`network_inputs`."""
    return layout.max_lead_time + 2 + layout.features


class PolicyNetwork(nn.Module):
    """mu: the network and its action model; what is trained, evaluated and served.

    Args:
        layout: Layout of the flat observation.
        action_model: Turns the action into an order.
        hidden: Widths of the hidden layers.
        initial_action: Action in (0, 1) that the untrained network outputs everywhere
            (nearly): a share of the action's range.
    """

    def __init__(
        self,
        layout: ObservationLayout,
        action_model: ActionModel,
        hidden: Sequence[int],
        initial_action: float = 0.4,
    ) -> None:
        super().__init__()
        self.layout = layout
        self.action_model = action_model
        self.net = mlp(input_size(layout), hidden, action_model.outputs)
        head = self.net[-1]
        assert isinstance(head, nn.Linear)
        # A small head makes the first policy nearly constant: training starts from a
        # base stock (or a fixed order), not from noise.
        with torch.no_grad():
            head.weight.mul_(0.1)
            head.bias.fill_(math.log(initial_action / (1.0 - initial_action)))

    def logits(self, observation: Observation) -> Tensor:
        """[N, A] the action before it is squashed into its range."""
        logits: Tensor = self.net(network_inputs(observation))
        return logits

    def action(self, observation: Observation) -> Tensor:
        """[N, A] in (0, 1): the level or the coefficients, as a share of their range."""
        return torch.sigmoid(self.logits(observation))

    def decide(self, observation: Observation) -> Decision:
        """Deterministic order and the action behind it (a :data:`~envs.rollout.Policy`)."""
        action = self.action(observation)
        return Decision(self.action_model(action, observation), {"action": action})

    def forward(self, flat: Tensor) -> Tensor:
        """[N] order quantities from flat observations [N, D] (serving)."""
        return self.decide(self.layout.unflatten(flat)).order


class Critic(nn.Module):
    """Q(observation, action): value of a decision in units of the decision's cost scale.

    Beside the action (the network's output) it sees what the action means on that
    observation: the level or order that it stands for, and the order that follows, in
    scales. Both are functions of its two arguments; without them the critic would have
    to learn the action model's product of coefficients and features by heart.
    """

    def __init__(
        self, layout: ObservationLayout, action_model: ActionModel, hidden: Sequence[int]
    ) -> None:
        super().__init__()
        self.net = mlp(input_size(layout) + action_model.outputs + 2, hidden, 1)

    def forward(
        self,
        observation: Observation,
        action: Tensor,
        action_model: ActionModel,
        *,
        frozen: bool = False,
    ) -> Tensor:
        """[N]. ``frozen``: gradients reach the action, not the critic's weights."""
        meaning = torch.stack(
            (
                action_model.target(action, observation) / observation.scale,
                action_model(action, observation) / observation.scale,
            ),
            -1,
        )
        hidden = torch.cat((network_inputs(observation), action, meaning), -1)
        for layer in self.net:
            if frozen and isinstance(layer, nn.Linear):
                hidden = functional.linear(hidden, layer.weight.detach(), layer.bias.detach())
            else:
                hidden = layer(hidden)
        return hidden.squeeze(-1)


class ValueNetwork(nn.Module):
    """V(observation), in the same units as :class:`Critic`."""

    def __init__(self, layout: ObservationLayout, hidden: Sequence[int]) -> None:
        super().__init__()
        self.net = mlp(input_size(layout), hidden, 1)

    def forward(self, observation: Observation) -> Tensor:
        """[N]."""
        value: Tensor = self.net(network_inputs(observation)).squeeze(-1)
        return value
