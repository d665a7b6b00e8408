"""What features make of little evidence: new items, dead ones, days whose demand is not known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pipeline.features.build import FeatureTile
from pipeline.features.past import LONGER, OWN_DAYS, PRIOR_DAYS, RECENT
from tests.unit.features.test_build import WARM, basis, expected_factors, feature


def without_sales(history: Any, on_sale_from: int) -> FeatureTile:
    n, days = history.dynamic["demand"].shape
    on_sale = np.zeros((n, days), dtype=np.uint8)
    on_sale[:, on_sale_from:] = 1
    built: FeatureTile = history.but(
        demand=np.zeros((n, days), np.float32), on_sale=on_sale
    ).build()
    return built


def rate_over_span(history: Any) -> np.ndarray:
    rate = np.where(history.static["category"] == "food", 2.0, 1.5)
    return rate * (history.static["lead_time"] + history.static["review_period"])


def test_a_new_inventory_borrows_its_categorys_rate(history: Any) -> None:
    tile = without_sales(history, 100)
    rate = rate_over_span(history)
    for name in ("recent_demand", "longer_demand"):
        np.testing.assert_allclose(basis(tile, name)[100], rate, rtol=1e-6)
    np.testing.assert_allclose(tile.scale[100], 2 * rate, rtol=1e-6)
    # Day after day without a sale it lends less: k / (m + k) of it after m days.
    for days in (1, 9, 49):
        for name in ("recent_demand", "longer_demand"):
            expected = rate * PRIOR_DAYS / (days + PRIOR_DAYS)
            np.testing.assert_allclose(basis(tile, name)[100 + days], expected, rtol=1e-5)


def test_an_inventory_that_never_sold_is_known_not_to_sell(history: Any) -> None:
    tile = without_sales(history, 0)
    rate = rate_over_span(history)
    assert (tile.scale > 0).all()
    assert (tile.scale[-1].numpy() < 0.1 * rate).all()
    factors = expected_factors(history.but(on_sale=np.ones_like(history.dynamic["on_sale"])))
    ahead = (factors.max() * rate)[:, None]
    assert (tile.basis[-1].numpy() < 0.1 * ahead).all()


def test_one_sale_after_a_hundred_days_is_one_sale(history: Any) -> None:
    """The first sale neither brings the category's rate back nor is it all that counts."""
    n, days = history.dynamic["demand"].shape
    demand = np.zeros((n, days), np.float32)
    demand[:, 100] = 1.0
    tile = history.but(demand=demand, on_sale=np.ones((n, days), np.uint8)).build()
    span = history.static["lead_time"] + history.static["review_period"]
    for name, half_life in (("recent_demand", RECENT), ("longer_demand", LONGER)):
        keep = 0.5 ** (1 / half_life)
        expected = span * (1 - keep) / (1 - keep**101)
        np.testing.assert_allclose(basis(tile, name)[101], expected, rtol=1e-4)
    assert (tile.scale[101:].numpy() > 0).all()
    assert (np.diff(basis(tile, "recent_demand")[101:], axis=0) < 0).all()


def test_a_young_inventorys_figures_are_shrunk_until_there_is_evidence(history: Any) -> None:
    n, days = history.dynamic["demand"].shape
    launch = 60
    on_sale = np.zeros((n, days), np.uint8)
    on_sale[:, launch:] = 1
    demand = np.zeros((n, days), np.float32)
    demand[:, launch:] = 40.0
    tile = history.but(demand=demand, on_sale=on_sale).build()
    span = history.static["lead_time"] + history.static["review_period"]
    rate = np.where(history.static["category"] == "food", 2.0, 1.5)
    for age in (1, 5, 20):
        weight = PRIOR_DAYS * (1 - age / OWN_DAYS)
        share = weight / (age + weight)
        expected = (share * rate + (1 - share) * 40.0) * span
        np.testing.assert_allclose(basis(tile, "longer_demand")[launch + age], expected, rtol=1e-5)
    own = basis(tile, "longer_demand")[launch + int(OWN_DAYS) :]
    np.testing.assert_allclose(own, np.broadcast_to(40.0 * span, own.shape), rtol=1e-5)


def test_days_whose_demand_is_not_known_teach_nothing(history: Any) -> None:
    """What is stored for such a day, and that it is 0, changes nothing at all."""
    n, days = history.dynamic["demand"].shape
    rng = np.random.default_rng(4)
    demand = np.full((n, days), 30.0, np.float32)
    known = (rng.random((n, days)) < 0.6).astype(np.uint8)
    flat = {name: np.zeros((n, days), np.uint8) for name in ("promotion", "event", "snap")}
    sold_out = replace(
        history.but(
            demand=demand * known, known=known, on_sale=np.ones((n, days), np.uint8),
            price=np.full((n, days), 5.0, np.float32), **flat,
        ),
        factors=type(history.factors)({"*": [0.0] * 11}, {"*": 30.0}),
    )  # fmt: skip
    tile = sold_out.build()
    span = history.static["lead_time"] + history.static["review_period"]
    for name in ("recent_demand", "longer_demand", "near_forecast", "far_forecast"):
        figures = basis(tile, name)[1:]
        np.testing.assert_allclose(figures, np.broadcast_to(30.0 * span, figures.shape), rtol=1e-4)
    assert (feature(tile, "forecast_error")[WARM:] < 0.01).all()
    assert (feature(tile, "zero_share")[WARM:] == 0).all()
    usual = np.arcsinh(30.0 * span / tile.scale[WARM:].numpy())
    np.testing.assert_allclose(feature(tile, "yesterday_demand")[WARM:], usual, rtol=1e-4)
    np.testing.assert_array_equal(tile.observed, known.T > 0)


def test_the_error_of_windows_with_unknown_days_is_that_of_whole_ones(history: Any) -> None:
    """Half of a window's days carry half of its squared error."""
    n, days = 400, history.days
    rng = np.random.default_rng(4)
    demand = rng.poisson(20, (n, days)).astype(np.float32)
    half = (rng.random((n, days)) < 0.5).astype(np.uint8)
    static = {name: np.resize(values, n) for name, values in history.static.items()}
    flags = {name: np.zeros((n, days), np.uint8) for name in ("promotion", "event", "snap")}
    ones = np.ones((n, days), np.uint8)
    errors = []
    for known in (ones, half):
        dynamic = {
            "demand": demand * known, "known": known, "on_sale": ones,
            "price": ones.astype(np.float32), **flags,
        }  # fmt: skip
        factors = type(history.factors)({"*": [0.0] * 11}, {"*": 20.0})
        tile = type(history)(static, dynamic, factors).build()
        errors.append((feature(tile, "forecast_error") * tile.scale.numpy())[-1].mean())
    assert errors[1] == pytest.approx(errors[0], rel=0.1)
