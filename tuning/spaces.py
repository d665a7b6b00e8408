"""Search spaces and designs: which hyperparameter configurations a sweep tries."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.stats import qmc

from envs.errors import ConfigError

SHAPES = ("uniform", "loguniform", "choice")


def value_at(field: str, dimension: Mapping[str, Any], share: float) -> Any:
    """The value of one dimension at ``share`` in [0, 1) of its range.

    Args:
        field: Name of the hyperparameter, for messages.
        dimension: One of ``{uniform: [low, high]}``, ``{loguniform: [low, high]}``,
            ``{choice: [...]}``.
        share: Where in the range.

    Raises:
        ConfigError: The dimension has another form, or an empty range.
    """
    if len(dimension) != 1 or next(iter(dimension)) not in SHAPES:
        raise ConfigError(
            f"search.{field}", dict(dimension), f"Write one of {', '.join(SHAPES)}.",
            "is not a search dimension",
        )  # fmt: skip
    shape, ends = next(iter(dimension.items()))
    if shape == "choice":
        if not ends:
            raise ConfigError(f"search.{field}", ends, "Name at least one value.", "is empty")
        return ends[min(int(share * len(ends)), len(ends) - 1)]
    low, high = (float(end) for end in ends)
    if not low <= high or (shape == "loguniform" and low <= 0):
        raise ConfigError(
            f"search.{field}", ends, "Give [low, high] with low <= high (above 0 for loguniform)."
        )
    if shape == "uniform":
        return low + share * (high - low)
    return math.exp(math.log(low) + share * (math.log(high) - math.log(low)))


def latin_hypercube(
    space: Mapping[str, Mapping[str, Any]], n: int, seed: int
) -> list[dict[str, Any]]:
    """n configurations that cover every dimension's range evenly (McKay et al. 1979).

    Args:
        space: Hyperparameter -> dimension (see :func:`value_at`).
        n: Number of configurations.
        seed: Of the design.
    """
    names = list(space)
    if not names:
        return [{} for _ in range(n)]
    design = qmc.LatinHypercube(d=len(names), rng=np.random.default_rng(seed)).random(n)
    return [
        {
            name: value_at(name, space[name], float(share))
            for name, share in zip(names, row, strict=True)
        }
        for row in design
    ]
