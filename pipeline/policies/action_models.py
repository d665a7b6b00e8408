"""Action models: from the network's output to an order (design 3).

Those that come with the project are two independent choices: does the output weigh demand
features, or a constant only; and is nothing, the inventory position or the projected stock
(:mod:`pipeline.policies.projected`) subtracted?

    ========  ======================  ======================================================
    name      network output          order quantity
    ========  ======================  ======================================================
    NONE      order                   q = mu
    BASE      base-stock level        q = max(mu - tot(I), 0)
    COEFF     coefficients c          q = max(c' feat(x), 0)
    BOTH      coefficients c          q = max(c' feat(x) - tot(I), 0)
    PROJ      level on arrival        q = max(mu - E[stock when this order arrives], 0)
    PROJBOTH  coefficients c          q = max(c' feat(x) - E[stock when this order arrives], 0)
    ========  ======================  ======================================================

An action model is the only thing that turns an output into an order: training, evaluation,
serving and explanation call it. ``docs/extending.md`` shows how to add one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import Flag
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from envs.errors import ConfigError
from envs.projection import ComingDemand
from envs.registry import Registry
from envs.state import Observation

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


class Reads(Flag):
    """What an action model looks at besides the output, the scale and the basis features."""

    NOTHING = 0
    POSITION = 1
    """The inventory position: the sum of the stock."""
    STOCK = 2
    """Every entry of the stock: on hand, and what arrives on which day."""
    FEATURES = 4
    """The network's exogenous features."""
    COMING = 8 | FEATURES
    """The demand until an order arrives, which is in the features: how, a problem has to say
    (:class:`~envs.projection.ComingDemand`)."""


class ActionModel(nn.Module):
    """Maps (action, observation) to an order quantity.

    The action lives in [0, 1]; ``low`` and ``high`` give its range in the action model's
    own unit: multiples of the demand scale for an order or a level, coefficients for
    features. The last basis feature is the constant (the scale itself).

    A subclass says what it is in the attributes below, and where it is more than those say,
    overrides :meth:`target` or :meth:`order`. The order of an inventory may depend on nothing but
    its own action and observation.

    Args:
        basis: M, number of demand features in the observation.
        low: Lower end of every output's range.
        high: Upper end of the range of an order or a level, in scales.
        coefficient_high: Upper end of the range of coefficients.

    Raises:
        ConfigError: The range is empty.
    """

    name: ClassVar[str]
    """What it is called in methods (``ddpg-both``) and presets."""
    start: ClassVar[float]
    """Untrained output (scales, or coefficients) that neither starves nor floods an inventory:
    a level of about one scale, an order of about one review period's demand."""
    reads: ClassVar[Reads] = Reads.STOCK | Reads.FEATURES
    """All that it is shown."""
    weighs_features: ClassVar[bool] = False
    """The output holds a coefficient for every demand feature; else it is one number."""
    is_level: ClassVar[bool] = False
    """:meth:`target` is a level that stock counts against; else it is the order itself."""

    low: Tensor
    high: Tensor

    def __init__(
        self,
        basis: int,
        *,
        low: float = 0.0,
        high: float = 3.0,
        coefficient_high: float = 1.0,
    ) -> None:
        super().__init__()
        self.settings: dict[str, Any] = {
            "low": low, "high": high, "coefficient_high": coefficient_high
        }  # fmt: skip
        """Arguments that make the same again, for any number of demand features."""
        self.end = coefficient_high if self.weighs_features else high
        """Upper end of the range."""
        if not low < self.end:
            raise ConfigError("low", low, f"Keep it below the range's upper end {self.end}.")
        self.outputs = basis if self.weighs_features else 1
        self.register_buffer("low", torch.full((self.outputs,), low))
        self.register_buffer("high", torch.full((self.outputs,), self.end))

    def coefficients(self, action: Tensor) -> Tensor:
        """[N, A] coefficients (or the one level, in scales) that an action in [0, 1] means."""
        return self.low + (self.high - self.low) * action.clamp(0.0, 1.0)

    def target(self, action: Tensor, observation: Observation) -> Tensor:
        """[N] units: the level, or the order before max(., 0)."""
        basis = observation.basis[..., -self.outputs :]
        return (self.coefficients(action) * basis).sum(-1)

    def order(self, action: Tensor, observation: Observation) -> Tensor:
        """[N] units before max(., 0); of the observation it gets what :attr:`reads` says."""
        quantity = self.target(action, observation)
        return quantity - observation.stock.sum(-1) if self.is_level else quantity

    def position_level(self, action: Tensor, observation: Observation) -> Tensor:
        """[N] units that the inventory position is filled up to, today; where :attr:`is_level`."""
        return self.target(action, observation)

    def forward(self, action: Tensor, observation: Observation) -> Tensor:
        """Order quantity.

        Args:
            action: [N, A] in [0, 1].
            observation: What the action was chosen on.

        Returns:
            [N] units, >= 0.
        """
        return self.order(action, self.shown(observation)).clamp(min=0.0)

    def shown(self, observation: Observation) -> Observation:
        """The observation without what :attr:`reads` leaves out.

        Of the stock one column is left where the position is enough, and none where nothing is
        read: whatever plays an action model may then leave the rest out too.
        """
        stock, features = observation.stock, observation.features
        if Reads.STOCK not in self.reads:
            read = Reads.POSITION in self.reads
            stock = stock.sum(-1, keepdim=True) if read else stock[..., :0]
        if Reads.FEATURES not in self.reads:
            features = features[..., :0]
        return observation._replace(stock=stock, features=features)


class FreeOrder(ActionModel):
    """NONE: the output is the order."""

    name, start, reads = "none", 0.3, Reads.NOTHING


class BaseStock(ActionModel):
    """BASE: the output is a base-stock level."""

    name, start, reads = "base", 1.0, Reads.POSITION
    is_level = True


class WeighedOrder(ActionModel):
    """COEFF: the output weighs demand features, whose sum is the order."""

    name, start, reads = "coeff", 0.1, Reads.NOTHING
    weighs_features = True


class WeighedBaseStock(ActionModel):
    """BOTH: the output weighs demand features, whose sum is a base-stock level."""

    name, start, reads = "both", 0.25, Reads.POSITION
    weighs_features = is_level = True


ACTION_MODELS = Registry(
    "action_model",
    ActionModel,
    {
        "none": "pipeline.policies.action_models:FreeOrder",
        "base": "pipeline.policies.action_models:BaseStock",
        "coeff": "pipeline.policies.action_models:WeighedOrder",
        "both": "pipeline.policies.action_models:WeighedBaseStock",
        "proj": "pipeline.policies.projected:ProjectedLevel",
        "projboth": "pipeline.policies.projected:WeighedProjectedLevel",
    },
)
PUBLISHED = ("none", "base", "coeff", "both")
"""The two switches as they were published; with three algorithms the 12 methods that are compared
where nothing else is asked for."""


def make_action_model(
    kind: str | type[ActionModel],
    basis: int,
    *,
    coming: ComingDemand | Mapping[str, Any] | None = None,
    **settings: Any,
) -> ActionModel:
    """An action model by name.

    Args:
        kind: Registered, ``module:Class``, or a class.
        basis: M, number of demand features in the observation.
        coming: How observations tell the demand until an order arrives, for those that read it.
        **settings: Of its class.

    Raises:
        ConfigError: There is none of that name, or a setting is wrong; or it reads the demand until
            an order arrives, and ``coming`` is None.
    """
    found = ACTION_MODELS.find(kind)
    if Reads.COMING in found.reads:
        if coming is None:
            raise ConfigError(
                ACTION_MODELS.field, found.name,
                "Choose another one, or let the problem say how its observations tell that demand "
                "(the field `coming` of its scenarios).",
                "needs the demand until an order arrives, which these observations do not tell",
            )  # fmt: skip
        settings["coming"] = coming
    return found(basis, **settings)
