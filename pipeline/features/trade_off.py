"""What a shortage weighs against stock, as policies see it: an input that can be turned.

Two features tell it: log(b / h) / 4 and b / (b + h). A policy that was trained with shortages
weighed by many factors (``shortage_factors`` of its training) follows them: one training gives a
whole frontier of stock against service.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from envs.objective import Objective
from envs.state import Scenario
from pipeline.features.build import FEATURES

LOG_RATIO, CRITICAL = FEATURES.index("log_cost_ratio"), FEATURES.index("critical_ratio")


def seen_features(features: Tensor, objective: Objective, factor: Tensor | float = 1.0) -> Tensor:
    """Features of an objective, with shortages that count ``factor`` times.

    Args:
        features: [..., N, F] of data; unchanged.
        objective: What is minimised; costs of the data may mean nothing to it.
        factor: > 0, one number or [N].
    """
    alone = not isinstance(factor, Tensor) and factor == 1.0
    if alone and (objective.log_trade_off is None or features.shape[-1] != len(FEATURES)):
        return features  # problems without a data set tell no costs
    own = objective.log_trade_off
    ratio = 4.0 * features[..., LOG_RATIO] if own is None else own
    ratio = torch.as_tensor(factor, dtype=features.dtype).log() + ratio
    changed = features.clone()
    changed[..., LOG_RATIO] = ratio / 4.0
    changed[..., CRITICAL] = torch.sigmoid(ratio)
    return changed


def seen_scenario(
    scenario: Scenario, objective: Objective, factor: Tensor | float = 1.0
) -> Scenario:
    """A data set's scenario as a policy of an objective sees it; see :func:`seen_features`."""
    features = seen_features(scenario.features, objective, factor)
    if features is scenario.features:
        return scenario
    each = torch.as_tensor(factor, dtype=features.dtype).expand(scenario.num_inventories)
    return replace(scenario, features=features, shortage_factor=each)
