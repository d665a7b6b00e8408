"""Action models from outside the package."""

from __future__ import annotations

from torch import Tensor

from envs.state import Observation
from pipeline.policies.action_models import ActionModel, Reads


class NearStock(ActionModel):
    """A level that only stock on hand and the next day's arrival count against, in part."""

    name, start = "near_stock", 1.0
    reads = Reads.STOCK
    is_level = True

    def order(self, action: Tensor, observation: Observation) -> Tensor:
        """[N] units before max(., 0)."""
        stock = observation.stock
        return self.target(action, observation) - stock[:, 0] - 0.5 * stock[:, 1:].sum(-1)


class FeatureWeighted(ActionModel):
    """A level stretched by the first exogenous feature."""

    name, start = "feature_weighted", 1.0
    reads = Reads.POSITION | Reads.FEATURES
    is_level = True

    def order(self, action: Tensor, observation: Observation) -> Tensor:
        """[N] units before max(., 0)."""
        stretch = 1.0 + 0.5 * observation.features[:, 0].tanh()
        return stretch * self.target(action, observation) - observation.stock.sum(-1)


class Undeclared(NearStock):
    """Says that it reads the position, and looks at the stock's parts."""

    name = "undeclared"
    reads = Reads.POSITION


class Silent(ActionModel):
    """Says nothing of what it reads."""

    name, start, is_level = "silent", 1.0, True

    def order(self, action: Tensor, observation: Observation) -> Tensor:
        """[N] units before max(., 0)."""
        near = observation.stock[:, 0] - observation.stock[:, 0].tanh()
        return self.target(action, observation) - near


class NoName(ActionModel):
    """Lacks a name."""
