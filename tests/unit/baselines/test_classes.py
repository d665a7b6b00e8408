"""Classes and their shrinkage: few inventories follow many."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from pipeline.baselines.classes import BANDS, PRIOR_INVENTORIES, Classes, shrunk_costs
from tests.columns import sample


def test_bands_hold_as_many_inventories_each() -> None:
    columns = sample(8000)
    classes = Classes.of_sample(columns)
    assert classes.sizes == list(BANDS.values())
    of = classes.of(columns)
    assert of.max() < math.prod(classes.sizes)
    # The first feature's bands are the slowest part of a class's number.
    first = of // math.prod(classes.sizes[1:])
    assert torch.bincount(first).tolist() == [1000] * 8


def test_equal_values_share_a_band() -> None:
    columns = sample(500) | {"log_cost_ratio": torch.full((500,), 0.8)}
    classes = Classes.of_sample(columns)
    assert classes.sizes[0] == 1
    assert len(classes.cuts["review_period"]) == 3  # 1, 2, 3 and 7 days apart
    period = classes.cuts["review_period"]
    assert [sum(7 * cut > days for cut in period) for days in (1, 2, 3, 7)] == [3, 2, 1, 0]


def test_a_class_with_few_inventories_follows_the_coarser_one() -> None:
    """Two features with two bands; a class of one inventory, one of many, one of none."""
    class_of = np.array([0] * 1000 + [1] + [2] * 400)
    costs = np.where(class_of == 0, 1.0, np.where(class_of == 1, 50.0, 3.0))[None, :]
    shrunk = shrunk_costs(costs, class_of, [2, 2])[:, 0]
    k = PRIOR_INVENTORIES
    overall = costs.mean()
    first = (costs[0, :1001].sum() + k * overall) / (1001 + k)
    second = (400 * 3.0 + k * overall) / (400 + k)
    assert shrunk[0] == pytest.approx((1000 + k * first) / (1000 + k))
    assert shrunk[1] == pytest.approx((50.0 + k * first) / (1 + k))
    assert shrunk[2] == pytest.approx((400 * 3.0 + k * second) / (400 + k))
    assert shrunk[3] == pytest.approx(second)


def test_inventories_without_a_counted_day_decide_nothing() -> None:
    costs = np.array([[1.0, np.nan, 3.0], [2.0, np.nan, 1.0]])
    found = shrunk_costs(costs, np.array([0, 0, 1]), [2])
    np.testing.assert_allclose(found, shrunk_costs(costs[:, [0, 2]], np.array([0, 1]), [2]))
