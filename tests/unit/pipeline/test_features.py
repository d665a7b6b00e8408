"""Features against a slow reference, and what they must not depend on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from pipeline.data.schema import QUANTITIES
from pipeline.features import (
    BASIS,
    FEATURES,
    FeatureTile,
)
from pipeline.outlook import log_price_ratio
from pipeline.past import FORECAST, LONGER, RECENT

WARM = 75
"""Days after which every inventory of the test history has sold and speaks for itself: launched
by day 29, it has been observed on OWN_DAYS days, and as many forecast windows have passed."""


def basis(tile: FeatureTile, name: str) -> np.ndarray:
    return tile.basis[..., BASIS.index(name)].numpy()


def feature(tile: FeatureTile, name: str) -> np.ndarray:
    return tile.features[..., FEATURES.index(name)].numpy()


def past_mean(top: np.ndarray, bottom: np.ndarray, half_life: float) -> np.ndarray:
    """Weighted sum(top) / weighted sum(bottom) over earlier days, [T, n], one day at a time."""
    days = top.shape[0]
    result = np.full(top.shape, np.nan)
    for t in range(1, days):
        weight = 0.5 ** ((t - 1 - np.arange(t)) / half_life)
        below = weight @ bottom[:t]
        result[t] = np.divide(
            weight @ top[:t], below, out=np.full_like(below, np.nan), where=below > 0
        )
    return result


def expected_factors(history: Any) -> np.ndarray:
    """[T, n] day factors, written out."""
    d = history.dynamic
    price = d["price"].astype(float)
    days = history.days
    rows = []
    for t in range(days):
        mean = price[:, max(0, t - 55) : t + 1].mean(1)
        ratio = np.log(price[:, t] / mean)
        log_factor = []
        for i, category in enumerate(history.static["category"]):
            effects = history.factors.coefficients
            c = effects.get(category, effects["*"])
            log_factor.append(
                c[(t + history.first_weekday) % 7]
                + c[7] * ratio[i]
                + c[8] * d["promotion"][i, t]
                + c[9] * d["event"][i, t]
                + c[10] * d["snap"][i, t]
            )
        rows.append(np.exp(log_factor) * d["on_sale"][:, t])
    return np.array(rows)


def test_demand_features_equal_a_slow_reference(history: Any) -> None:
    tile = history.build()
    demand = history.dynamic["demand"].T.astype(float)
    on_sale = history.dynamic["on_sale"].T.astype(float)
    lead, period = history.static["lead_time"], history.static["review_period"]
    span = lead + period
    factor = expected_factors(history)
    level = past_mean(demand, factor, FORECAST)
    days = history.days - 2 * int(span.max())  # later windows reach beyond the panel

    def ahead(first: np.ndarray, last: np.ndarray) -> np.ndarray:
        return np.array(
            [
                [
                    factor[t + a : t + b, i].sum()
                    for i, (a, b) in enumerate(zip(first, last, strict=True))
                ]
                for t in range(days)
            ]
        )

    near, far = level[:days] * ahead(0 * span, span), level[:days] * ahead(span, 2 * span)
    expected = {
        "recent_demand": past_mean(demand, on_sale, RECENT)[:days] * span,
        "longer_demand": past_mean(demand, on_sale, LONGER)[:days] * span,
        "near_forecast": near,
        "far_forecast": far,
    }
    for name, values in expected.items():
        np.testing.assert_allclose(
            basis(tile, name)[WARM:days], values[WARM:], rtol=2e-4, err_msg=name
        )
        scaled = (values / tile.scale[:days].numpy())[WARM:]
        np.testing.assert_allclose(
            feature(tile, name)[WARM:days], scaled.clip(-10, 10), rtol=2e-4, err_msg=name
        )
    lead_time_forecast = (level[:days] * ahead(0 * lead, lead) / tile.scale[:days].numpy())[WARM:]
    np.testing.assert_allclose(
        feature(tile, "lead_time_forecast")[WARM:days], lead_time_forecast, rtol=2e-4
    )


def test_the_scale_is_demand_plus_its_forecast_error_over_the_protection_period(
    history: Any,
) -> None:
    """The error is made of forecasts that rest on demand of the inventory's own."""
    tile = history.build()
    demand = history.dynamic["demand"].T.astype(float)
    span = history.static["lead_time"] + history.static["review_period"]
    factor = expected_factors(history)
    level = past_mean(demand, factor, FORECAST)
    near = level * [
        [factor[t : t + width, i].sum() for i, width in enumerate(span)]
        for t in range(history.days)
    ]
    for i, width in enumerate(span):
        sold = np.flatnonzero(demand[:, i])
        for t in (WARM + 5, history.days - 1):
            made = np.arange(sold[0] + 1, t - width + 1)
            happened = np.array([demand[s : s + width, i].sum() for s in made])
            weight = 0.5 ** ((t - width - made) / LONGER)
            error = np.sqrt(weight @ (happened - near[made, i]) ** 2 / weight.sum())
            scale = basis(tile, "longer_demand")[t, i] + error
            assert tile.scale[t, i].item() == pytest.approx(scale, rel=1e-3)
    assert torch.equal(tile.scale, tile.basis[..., -1])


def test_known_ahead_covariates_are_shares_of_the_protection_period(history: Any) -> None:
    tile = history.build()
    span = history.static["lead_time"] + history.static["review_period"]
    for name in ("promotion", "event", "snap", "on_sale"):
        values = history.dynamic[name]
        share = feature(tile, f"{name}_share")
        for t in (0, 60, 100):
            expected = [values[i, t : t + h].mean() for i, h in enumerate(span)]
            np.testing.assert_allclose(share[t], expected, rtol=1e-5, err_msg=name)


def test_static_and_calendar_features(history: Any) -> None:
    tile = history.build()
    static = history.static
    ratio = static["shortage_cost"] / static["holding_cost"]
    expected = {
        "lead_time": static["lead_time"] / 14,
        "review_period": static["review_period"] / 7,
        "log_protection": np.log(static["lead_time"] + static["review_period"]) / 3,
        "critical_ratio": ratio / (1 + ratio),
        "log_cost_ratio": np.log(ratio) / 4,
    }
    for name, values in expected.items():
        np.testing.assert_allclose(feature(tile, name)[33], values, rtol=1e-5, err_msg=name)
    weekday = (history.first_weekday + 33) % 7
    angle = 2 * np.pi * weekday / 7
    np.testing.assert_allclose(feature(tile, "weekday_sin")[33], np.sin(angle), atol=1e-6)
    np.testing.assert_allclose(feature(tile, "weekday_cos")[33], np.cos(angle), atol=1e-6)


def test_the_price_ratio_compares_with_the_last_56_days() -> None:
    price = torch.full((80, 1), 10.0)
    price[70:] = 5.0
    ratio = log_price_ratio(price)[:, 0]
    assert ratio[69].item() == pytest.approx(0.0, abs=1e-6)
    assert ratio[70].item() == pytest.approx(np.log(5 / ((55 * 10 + 5) / 56)), rel=1e-5)


@pytest.mark.parametrize("day", [60, 97])
def test_the_demand_of_a_day_and_after_changes_nothing_before(history: Any, day: int) -> None:
    rng = np.random.default_rng(9)
    demand = history.dynamic["demand"].copy()
    demand[:, day:] = (
        rng.integers(0, 500, demand[:, day:].shape) * history.dynamic["on_sale"][:, day:]
    )
    before, after = history.build(), history.but(demand=demand).build()
    for name in ("scale", "basis", "features"):
        one, other = getattr(before, name), getattr(after, name)
        assert torch.equal(one[: day + 1], other[: day + 1]), name
        assert not torch.equal(one[day + 1], other[day + 1]), name


@pytest.mark.parametrize("name", [name for name, q in QUANTITIES.items() if not q.known_ahead])
def test_nothing_looks_ahead_at_what_the_schema_calls_unknown(history: Any, name: str) -> None:
    values = history.dynamic[name].copy()
    values[:, 80:] = 1 - (values[:, 80:] > 0)
    before, after = history.build(), history.but(**{name: values}).build()
    for field in ("scale", "basis", "features"):
        assert torch.equal(getattr(before, field)[:81], getattr(after, field)[:81]), field
        assert not torch.equal(getattr(before, field)[81:], getattr(after, field)[81:]), field


def test_off_sale_days_are_not_days_without_demand(history: Any) -> None:
    """What an inventory is expected to sell does not fall while it cannot sell."""
    rng = np.random.default_rng(4)
    n, days = history.dynamic["demand"].shape
    demand = rng.poisson(30, (n, days)).astype(np.float32)
    on_sale = np.ones((n, days), dtype=np.uint8)
    on_sale[:, 100:120] = 0
    tile = history.but(demand=demand * on_sale, on_sale=on_sale).build()
    for name in ("recent_demand", "longer_demand"):
        values = basis(tile, name)
        # Nothing is learned on days off sale.
        np.testing.assert_allclose(
            values[101:121], np.broadcast_to(values[100], (20, n)), rtol=1e-4
        )
    # The forecast's level does not fall either: the first day back on sale looks like before.
    one_day = type(history)(
        {**history.static, "lead_time": np.zeros(n, int), "review_period": np.ones(n, int)},
        {**history.dynamic, "demand": demand * on_sale, "on_sale": on_sale},
        history.factors,
    )
    forecast = (
        basis(one_day.build(), "near_forecast")[[98, 120]] / expected_factors(one_day)[[98, 120]]
    )
    np.testing.assert_allclose(forecast[1], forecast[0], rtol=0.05)
    zeros = feature(tile, "zero_share")
    np.testing.assert_allclose(zeros[101:121], np.broadcast_to(zeros[100], (20, n)), rtol=1e-4)
    # Yesterday was off sale: its stored 0 is not a day without demand.
    assert (feature(tile, "yesterday_demand")[110] > 0).all()


def test_the_share_of_days_without_demand(history: Any) -> None:
    n, days = history.dynamic["demand"].shape
    on_sale = np.ones((n, days), dtype=np.uint8)
    always = history.but(demand=np.full((n, days), 5.0, dtype=np.float32), on_sale=on_sale)
    assert (feature(always.build(), "zero_share")[WARM:] == 0).all()
    every_other = np.tile(np.array([3.0, 0.0], dtype=np.float32), (n, days // 2))
    seen = feature(history.but(demand=every_other, on_sale=on_sale).build(), "zero_share")
    np.testing.assert_allclose(seen[WARM:], 0.5, atol=0.03)
    never = history.but(demand=np.zeros((n, days), dtype=np.float32), on_sale=on_sale)
    assert (feature(never.build(), "zero_share")[WARM:] == 1).all()


@pytest.mark.parametrize("factor", [0.25, 3.0, 1000.0])
def test_multiplying_a_history_multiplies_units_and_nothing_else(
    history: Any, factor: float
) -> None:
    small = history.build()
    large = history.but(demand=history.dynamic["demand"] * np.float32(factor)).build()
    # An inventory without a past has no size of its own.
    torch.testing.assert_close(large.scale[WARM:], factor * small.scale[WARM:], rtol=1e-4, atol=0)
    torch.testing.assert_close(
        large.basis[WARM:], factor * small.basis[WARM:], rtol=1e-4, atol=1e-5
    )
    torch.testing.assert_close(large.features[WARM:], small.features[WARM:], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("factor", [0.25, 1000.0])
def test_a_young_inventory_grows_with_its_history_and_its_categorys_rate(
    history: Any, factor: float
) -> None:
    rates = {name: rate * factor for name, rate in history.factors.rates.items()}
    small = history.build()
    large = replace(
        history.but(demand=history.dynamic["demand"] * np.float32(factor)),
        factors=replace(history.factors, rates=rates),
    ).build()
    torch.testing.assert_close(large.scale, factor * small.scale, rtol=1e-4, atol=0)
    torch.testing.assert_close(large.basis, factor * small.basis, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(large.features, small.features, rtol=1e-4, atol=1e-4)


def test_everything_is_finite_and_bounded(history: Any) -> None:
    tile = history.build()
    assert torch.isfinite(tile.basis).all()
    assert (tile.scale > 0).all()
    assert tile.features.abs().max() <= 10.0
    assert tile.features.shape[-1] == len(FEATURES) == 21


def test_the_forecast_error_of_a_perfect_forecast_is_small(history: Any) -> None:
    n, days = history.dynamic["demand"].shape
    factors = type(history.factors)({"*": [0.0] * 11}, {"*": 5.0})
    flat = {name: np.zeros((n, days), np.uint8) for name in ("promotion", "event", "snap")}
    constant = history.but(
        demand=np.full((n, days), 5.0, dtype=np.float32),
        on_sale=np.ones((n, days), dtype=np.uint8),
        price=np.full((n, days), 5.0, dtype=np.float32),
        **flat,
    )
    tile = type(constant)(constant.static, constant.dynamic, factors).build()
    assert (feature(tile, "forecast_error")[WARM:] < 0.01).all()


@pytest.mark.parametrize(("first", "stop"), [(56, None), (57, 101), (149, 150), (0, 33)])
def test_a_days_figures_do_not_depend_on_which_days_are_asked_for(
    history: Any, first: int, stop: int | None
) -> None:
    whole = history.build()
    part = history.build(first=first, stop=stop)
    for name in ("demand", "observed", "scale", "basis", "features"):
        assert torch.equal(getattr(part, name), getattr(whole, name)[first:stop]), name


def test_the_morning_after_the_last_day_knows_that_day(history: Any) -> None:
    """Nothing of the new day is known but that prices and assortment stay."""
    days = history.days
    longer = type(history)(
        history.static,
        {
            name: np.concatenate((v, v[:, -1:] * (name in ("price", "on_sale", "known"))), axis=1)
            for name, v in history.dynamic.items()
        },
        history.factors,
    )
    morning = history.build(first=days, stop=days + 1)
    expected = longer.build(first=days, stop=days + 1)
    for name in ("scale", "basis", "features"):
        assert torch.equal(getattr(morning, name), getattr(expected, name)), name
