"""Classes of inventories, and what few inventories of a class learn from many of others.

Classes are bands of features as of a day, with as many inventories in each. What a class costs
per inventory is shrunk towards the cost of the coarser class that it is a part of, and that
one's towards the next coarser one's: few inventories decide little on their own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

BANDS = {"log_cost_ratio": 8, "zero_share": 3, "review_period": 4, "lead_time": 3}
"""Feature -> most bands, from the one that matters most to the one that does least: a coarser
class leaves out the last ones. (The logarithm of b / h keeps critical ratios near 1 apart.)"""
PRIOR_INVENTORIES = 20.0
"""A coarser class counts as so many inventories of the finer one."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Classes:
    """Bands of features as of a day."""

    cuts: Mapping[str, Sequence[float]]
    """Feature -> values between its bands, ascending."""

    @classmethod
    def of_sample(cls, columns: Mapping[str, Tensor], bands: Mapping[str, int] = BANDS) -> Classes:
        """Bands with (nearly) as many of the sample's inventories each; equal values together.

        Args:
            columns: The sample's features [N] by name.
            bands: Feature -> most bands; see :data:`BANDS`.
        """
        return cls({name: _cuts(columns[name].numpy(), most) for name, most in bands.items()})

    @property
    def sizes(self) -> list[int]:
        """Bands of each feature."""
        return [len(cuts) + 1 for cuts in self.cuts.values()]

    def of(self, columns: Mapping[str, Tensor]) -> Tensor:
        """[...] class, from the features [...] by name."""
        result = torch.zeros(next(iter(columns.values())).shape, dtype=torch.long)
        for name, cuts in self.cuts.items():
            bounds = torch.tensor(cuts, dtype=torch.float32)
            band = torch.bucketize(columns[name].contiguous(), bounds)
            result = result * (len(cuts) + 1) + band
        return result


def _cuts(values: NDArray[np.float32], bands: int) -> list[float]:
    """Half-way between two values that occur, where the share below is next to a quantile."""
    found, count = np.unique(values.astype(np.float64), return_counts=True)
    below = np.cumsum(count)[:-1] / len(values)
    if not len(below):
        return []
    at = {int(np.abs(below - share).argmin()) for share in np.arange(1, bands) / bands}
    return [float((found[i] + found[i + 1]) / 2) for i in sorted(at)]


def shrunk_costs(
    costs: NDArray[np.floating], class_of: NDArray[np.int64], sizes: Sequence[int]
) -> Array:
    """Mean cost per inventory of each class, shrunk towards the coarser classes.

    Args:
        costs: [pairs, N]; inventories with a NaN are left out.
        class_of: [N], numbered with the last of the features running fastest.
        sizes: Bands of each feature; leaving out the last one gives the next coarser classes.

    Returns:
        [classes, pairs]; a class without inventories has its coarser class's.
    """
    known = np.isfinite(costs).all(0)
    costs, class_of = costs[:, known], class_of[known]
    classes = int(np.prod(sizes))
    count = np.bincount(class_of, minlength=classes).astype(np.float64)
    total = np.stack([np.bincount(class_of, row, classes) for row in costs], axis=1)
    # From all inventories to the classes themselves.
    mean: Array = total.sum(0, keepdims=True) / max(count.sum(), 1.0)
    for depth in range(1, len(sizes) + 1):
        coarse = int(np.prod(sizes[:depth]))
        prior = np.repeat(mean, sizes[depth - 1], axis=0)
        own = total.reshape(coarse, -1, total.shape[1]).sum(1)
        n = count.reshape(coarse, -1).sum(1)[:, None]
        mean = (own + PRIOR_INVENTORIES * prior) / (n + PRIOR_INVENTORIES)
    return mean
