"""The least cost of a grid of pairs."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.baselines.per_class import GRID


@pytest.mark.parametrize("least", [(0.3, -0.5), (3.5, 6.0), (1.05, 2.1), (0.4, 3.4)])
def test_the_least_cost_is_found_between_the_grids_points(least: tuple[float, float]) -> None:
    a, k = np.meshgrid(GRID.first, GRID.second, indexing="ij")
    cost = 2.0 + (a - least[0]) ** 2 + 0.2 * (k - least[1]) ** 2
    assert GRID.least(cost.ravel()) == pytest.approx(least, abs=0.12)
