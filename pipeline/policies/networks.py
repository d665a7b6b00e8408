"""The networks: a policy (observation -> action -> order) and a critic head."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from envs.rollout import Decision
from envs.state import Observation, ObservationLayout
from pipeline.policies.action_models import ActionModel, logit_of, squash

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


def stock_columns(observation: Observation) -> Tensor:
    """[K+2, N]: stock and inventory position, in scales."""
    columns = observation.stock.t() / observation.scale
    columns = torch.cat((columns, columns.sum(0, keepdim=True)))
    return columns.clamp(-STOCK_CLIP, STOCK_CLIP)


def network_inputs(observation: Observation) -> Tensor:
    """[N, K+2+F]: stock and inventory position in scales, then the exogenous features."""
    return torch.cat((stock_columns(observation).t(), observation.features), -1)


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
            head.bias.fill_(logit_of(initial_action))

    def logits(self, observation: Observation) -> Tensor:
        """[N, A] the action before it is squashed into its range."""
        return self._logits_AN(observation).t().contiguous()

    def _logits_AN(self, observation: Observation) -> Tensor:
        return self.pass_forward(observation.features, stock_columns(observation))

    def layers(self) -> tuple[nn.Linear, list[nn.Linear], nn.Linear | None]:
        """The first layer, those between, and the head (None where the first is the head)."""
        first, *others = [layer for layer in self.net if isinstance(layer, nn.Linear)]
        return (first, others[:-1], others[-1]) if others else (first, [], None)

    def pass_forward(
        self, features: Tensor, stock_SN: Tensor, hidden: Sequence[Tensor] | None = None
    ) -> Tensor:
        """What ``self.net`` makes of :func:`network_inputs`, without putting these together.

        The first layer takes features and stock in turn, stock lies in columns, and the
        head's few outputs come out as columns: each is several times faster than the same
        numbers in rows.

        Args:
            features: [N, F].
            stock_SN: See :func:`stock_columns`.
            hidden: A tensor per hidden layer, [N, width], to keep what comes out of its
                rectifier (no gradients are recorded then); None keeps nothing.

        Returns:
            [A, N] logits.
        """
        first, between, head = self.layers()
        kept = iter(hidden or [])
        of_stock, of_features = first.weight.split((stock_SN.shape[0], self.layout.features), 1)
        out = torch.addmm(first.bias, features, of_features.t(), out=next(kept, None))
        out.addmm_(stock_SN.t(), of_stock.t())
        if head is None:
            return out.t()
        for layer in between:
            out = torch.addmm(layer.bias, out.relu_(), layer.weight.t(), out=next(kept, None))
        return torch.addmm(head.bias.unsqueeze(1), head.weight, out.relu_().t())

    def action(self, observation: Observation) -> Tensor:
        """[N, A] in [0, 1]: the level or the coefficients, as a share of their range."""
        return squash(self._logits_AN(observation)).t().contiguous()

    def decide(self, observation: Observation) -> Decision:
        """Deterministic order and the action behind it (a :data:`~envs.rollout.Policy`)."""
        action = squash(self._logits_AN(observation)).t()
        return Decision(self.action_model(action, observation), {"action": action})

    def forward(self, flat: Tensor) -> Tensor:
        """[N] order quantities from flat observations [N, D] (serving)."""
        return self.decide(self.layout.unflatten(flat)).order


class Critic(nn.Module):
    """What a decision costs, -Q(observation, action), in units of its size, >= 0.

    In the objective's parts. Where a shortage costs hundreds of times what holding does, one is
    large and nearly certain, the other rare; a softplus keeps small expectations apart by their
    logarithm.

    Beside the action (the network's output) it sees what the action means on that
    observation: the level or order that it stands for, and the order that follows, in
    scales. Both are functions of its two arguments; without them the critic would have
    to learn the action model's product of coefficients and features by heart.

    Where a credit looks back, it also sees the horizon's history
    (:meth:`~envs.credit.Credit.history`). Policies never do: a horizon is how they were trained,
    and whoever is asked for orders has none.
    """

    def __init__(
        self,
        layout: ObservationLayout,
        action_model: ActionModel,
        hidden: Sequence[int],
        parts: int,
        history: int = 0,
    ) -> None:
        super().__init__()
        inputs = input_size(layout) + action_model.outputs + 2 + history
        self.net = mlp(inputs, hidden, parts)

    def forward(
        self,
        observation: Observation,
        action: Tensor,
        action_model: ActionModel,
        history: Tensor | None = None,
        *,
        frozen: bool = False,
    ) -> Tensor:
        """[N, P]; history [N, H]. ``frozen``: gradients reach the action, not the weights."""
        meaning = torch.stack(
            (
                action_model.target(action, observation) / observation.scale,
                action_model(action, observation) / observation.scale,
            ),
            -1,
        )
        hidden = torch.cat((_value_inputs(observation, history), action, meaning), -1)
        for layer in self.net:
            if frozen and isinstance(layer, nn.Linear):
                hidden = functional.linear(hidden, layer.weight.detach(), layer.bias.detach())
            else:
                hidden = layer(hidden)
        return functional.softplus(hidden)


class ValueNetwork(nn.Module):
    """The cost to come, -V(observation), in parts and units of :class:`Critic`."""

    def __init__(
        self, layout: ObservationLayout, hidden: Sequence[int], parts: int, history: int = 0
    ) -> None:
        super().__init__()
        self.net = mlp(input_size(layout) + history, hidden, parts)

    def forward(self, observation: Observation, history: Tensor | None = None) -> Tensor:
        """[N, P], >= 0; history [N, H] as in :class:`Critic`."""
        return functional.softplus(self.net(_value_inputs(observation, history)))


def _value_inputs(observation: Observation, history: Tensor | None) -> Tensor:
    """[N, K+2+F+H]."""
    inputs = network_inputs(observation)
    return inputs if history is None else torch.cat((inputs, history), -1)
