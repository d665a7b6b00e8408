"""Intervals, verdicts, and the expected best-so-far."""

from __future__ import annotations

import math
from itertools import permutations

import numpy as np
import pytest
from scipy import stats

from pipeline.evaluation.intervals import (
    Interval,
    mean_difference,
    mean_interval,
    paired_difference,
)
from pipeline.studies.synthetic.findings.tuning_speed import (
    Tried,
    best_so_far,
    needed_to_beat,
    regret_difference,
)
from pipeline.studies.verdicts import combined, verdict_of


def test_intervals_agree_with_scipy() -> None:
    a, b = [1.0, 2.0, 4.0, 3.5], [0.5, 0.7, 0.4]
    mean = mean_interval(a)
    low, high = stats.t.interval(0.95, 3, np.mean(a), stats.sem(a))
    assert (mean.low, mean.high) == pytest.approx((low, high))
    welch = stats.ttest_ind(a, b, equal_var=False).confidence_interval()
    gap = mean_difference(a, b)
    assert (gap.low, gap.high) == pytest.approx((welch.low, welch.high))


def test_verdicts() -> None:
    assert verdict_of(Interval(1.0, 0.5, 1.5)) == "holds"
    assert verdict_of(Interval(-1.0, -1.5, -0.5)) == "does not hold"
    assert verdict_of(Interval(1.0, -0.5, 2.5)) == "not separable"
    assert verdict_of(Interval(1.0, math.nan, math.nan)) == "not separable"  # one seed says nothing
    assert verdict_of(mean_difference([], [1.0])) == "not measured"
    assert combined(["holds", "holds"]) == "holds"
    assert combined(["holds", "not measured"]) == "not measured"
    assert combined(["not measured", "does not hold"]) == "does not hold"
    assert combined(["holds", "not separable"]) == "not separable"
    assert combined(["holds", "does not hold", "not separable"]) == "does not hold"
    assert combined([]) == "not measured"


def test_best_so_far_is_the_mean_over_all_orders() -> None:
    validation, test = np.array([3.0, 1.0, 2.0, 4.0]), np.array([30.0, 15.0, 10.0, 50.0])
    expected = np.mean(
        [
            [test[min(order[:k], key=lambda i: validation[i])] for k in range(1, 5)]
            for order in permutations(range(4))
        ],
        axis=0,
    )
    np.testing.assert_allclose(best_so_far(validation, test), expected)


def test_an_easily_tuned_method_has_less_regret() -> None:
    spread, flat = np.array([1.0, 2, 4, 8, 16, 32]), np.array([0.90, 0.91, 0.92, 0.93, 0.94, 0.95])
    none, base = Tried(spread, spread), Tried(flat, flat)
    gain = regret_difference(none, base, 3)
    assert gain.value > 50
    assert needed_to_beat(base, none) == 1
    assert needed_to_beat(none, base) is None
    assert math.isnan(regret_difference(Tried(flat[:1], flat[:1]), base, 3).value)


def test_paired_difference_of_proportional_costs_is_exact() -> None:
    other = np.random.default_rng(0).lognormal(size=500)
    found = paired_difference(0.9 * other, other)
    assert found.value == pytest.approx(-10)
    assert found.high - found.low == pytest.approx(0, abs=1e-9)
    assert verdict_of(found) == "does not hold"


def test_paired_difference_agrees_with_a_bootstrap() -> None:
    generator = np.random.default_rng(1)
    other = generator.lognormal(size=4000)
    cost = other * generator.lognormal(0.03, 0.5, 4000)
    found = paired_difference(cost, other)
    drawn = generator.integers(0, 4000, (1000, 4000))
    ratios = 100 * (cost[drawn].mean(1) / other[drawn].mean(1) - 1)
    low, high = np.percentile(ratios, [2.5, 97.5])
    width = high - low
    assert found.low == pytest.approx(low, abs=0.15 * width)
    assert found.high == pytest.approx(high, abs=0.15 * width)


def test_paired_difference_leaves_out_pairs_with_a_gap() -> None:
    cost = np.array([1.0, np.nan, 3.0, 4.0])
    other = np.array([1.0, 2.0, np.nan, 2.0])
    assert paired_difference(cost, other).value == pytest.approx(100 * (5 / 3 - 1))


@pytest.mark.parametrize("other", [np.zeros(5), np.full(5, np.nan)])
def test_paired_difference_without_a_reference_is_unknown(other: np.ndarray) -> None:
    found = paired_difference(np.ones(5), other)
    assert math.isnan(found.value)
    assert verdict_of(found) == "not measured"
