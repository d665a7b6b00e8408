"""NONE, BASE, COEFF and BOTH: from the network's output to an order (design 3).

The four are two independent choices: does the output weigh demand features, or a
constant only; and is the inventory position subtracted?

    ======  ======================  ===============================
    name    network output          order quantity
    ======  ======================  ===============================
    NONE    order                   q = mu
    BASE    base-stock level        q = max(mu - tot(I), 0)
    COEFF   coefficients c          q = max(c' feat(x), 0)
    BOTH    coefficients c          q = max(c' feat(x) - tot(I), 0)
    ======  ======================  ===============================

This module is the only place that turns an output into an order: training, evaluation,
serving and explanation call it.
"""

from __future__ import annotations

import math
from enum import StrEnum

import torch
from torch import Tensor, nn

from envs.errors import ConfigError
from envs.state import Observation


class ActionModelKind(StrEnum):
    """The four action models."""

    NONE = "none"
    BASE = "base"
    COEFF = "coeff"
    BOTH = "both"

    @property
    def uses_features(self) -> bool:
        """The output holds a coefficient for every demand feature."""
        return self in (ActionModelKind.COEFF, ActionModelKind.BOTH)

    @property
    def subtracts_position(self) -> bool:
        """The output is a level that the inventory position counts against."""
        return self in (ActionModelKind.BASE, ActionModelKind.BOTH)


SENSIBLE_START: dict[ActionModelKind, float] = {
    ActionModelKind.NONE: 0.3,
    ActionModelKind.BASE: 1.0,
    ActionModelKind.COEFF: 0.1,
    ActionModelKind.BOTH: 0.25,
}
"""Untrained output (scales, or coefficients) that neither starves nor floods an inventory:
a level of about one scale, an order of about one review period's demand."""

EDGE = 5e-3
"""A sigmoid is stretched by this share of the range at both ends, so that they are reached."""


def squash(logits: Tensor) -> Tensor:
    """The action in [0, 1] that a network's outputs mean; 0 and 1 are reached, at about -+5.3.

    Beyond that the gradient is the sigmoid's: small, but it leads back.
    """
    stretched = (1.0 + 2.0 * EDGE) * torch.sigmoid(logits) - EDGE
    if not (torch.is_grad_enabled() and stretched.requires_grad):
        return stretched.clamp_(0.0, 1.0)
    return stretched + (stretched.detach().clamp(0.0, 1.0) - stretched.detach())


def logit_of(action: float) -> float:
    """What :func:`squash` makes ``action`` of, 0 <= action <= 1."""
    share = (action + EDGE) / (1.0 + 2.0 * EDGE)
    return math.log(share / (1.0 - share))


class ActionModel(nn.Module):
    """Maps (action, observation) to an order quantity.

    The action lives in [0, 1]; ``low`` and ``high`` give its range in the action model's
    own unit: multiples of the demand scale for an order or a level, coefficients for
    features. The last basis feature is the constant (the scale itself).

    Args:
        kind: Which of the four.
        basis: M, number of demand features in the observation.
        low: Lower end of every output's range.
        high: Upper end of the range of an order or a level (NONE, BASE), in scales.
        coefficient_high: Upper end of the range of the coefficients (COEFF, BOTH).
    """

    low: Tensor
    high: Tensor

    def __init__(
        self,
        kind: ActionModelKind | str,
        basis: int,
        *,
        low: float = 0.0,
        high: float = 3.0,
        coefficient_high: float = 1.0,
    ) -> None:
        super().__init__()
        try:
            self.kind = ActionModelKind(kind)
        except ValueError:
            raise ConfigError(
                "action_model", str(kind), f"Use one of {', '.join(ActionModelKind)}.",
                "is not an action model",
            ) from None  # fmt: skip
        end = coefficient_high if self.kind.uses_features else high
        if not low < end:
            raise ConfigError("low", low, f"Keep it below the range's upper end {end}.")
        self.outputs = basis if self.kind.uses_features else 1
        self.register_buffer("low", torch.full((self.outputs,), low))
        self.register_buffer("high", torch.full((self.outputs,), end))

    def coefficients(self, action: Tensor) -> Tensor:
        """[N, A] coefficients (or the one level, in scales) that an action in [0, 1] means."""
        return self.low + (self.high - self.low) * action.clamp(0.0, 1.0)

    def target(self, action: Tensor, observation: Observation) -> Tensor:
        """[N] units: the level (BASE, BOTH) or the order before max(., 0) (NONE, COEFF)."""
        basis = observation.basis[..., -self.outputs :]
        return (self.coefficients(action) * basis).sum(-1)

    def forward(self, action: Tensor, observation: Observation) -> Tensor:
        """Order quantity.

        Args:
            action: [N, A] in [0, 1].
            observation: What the action was chosen on.

        Returns:
            [N] units, >= 0.
        """
        quantity = self.target(action, observation)
        if self.kind.subtracts_position:
            quantity = quantity - observation.stock.sum(-1)
        return quantity.clamp(min=0.0)
