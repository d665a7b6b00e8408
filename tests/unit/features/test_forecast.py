"""The forecaster finds effects that were put into the demand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.features.forecast import ALL, EFFECTS, MIN_UNITS, DayFactors, TrainingHistory

WEEKDAY = np.array([-0.4, -0.2, 0.0, 0.1, 0.2, 0.5, -0.1])
TRUE = {"price_ratio": -1.5, "promotion": 0.6, "event": 0.3, "snap": -0.25}


def make_history(
    seed: int, *, n: int = 60, days: int = 210, mean: float = 8.0, category: str = "food",
    sign: float = 1.0,
) -> TrainingHistory:  # fmt: skip
    """Poisson demand with known effects (times ``sign``), a tenth of the days off sale."""
    rng = np.random.default_rng(seed)
    effects = {
        "price_ratio": np.where(rng.random((n, days)) < 0.2, -0.3, 0.0),
        "promotion": (rng.random((n, days)) < 0.15).astype(float),
        "event": np.broadcast_to(rng.random(days) < 0.1, (n, days)).astype(float),
        "snap": np.broadcast_to(rng.random(days) < 0.3, (n, days)).astype(float),
    }
    weekday = (np.arange(days) + 3) % 7
    log_rate = sign * (WEEKDAY[weekday] + sum(TRUE[name] * effects[name] for name in EFFECTS))
    size = mean * np.exp(rng.normal(0, 0.7, (n, 1)))
    on_sale = rng.random((n, days)) < 0.9
    demand = rng.poisson(size * np.exp(log_rate)) * on_sale
    return TrainingHistory(
        np.full(n, category), weekday, demand.astype(np.float32), on_sale, on_sale | True,
        {name: values.astype(np.float32) for name, values in effects.items()},
    )  # fmt: skip


def test_known_effects_are_recovered_per_category() -> None:
    factors = DayFactors.fit([make_history(1), make_history(2, category="toys", sign=-1.0)])
    for category, sign in (("food", 1.0), ("toys", -1.0)):
        found = np.array(factors.coefficients[category])
        # The level is the inventory's own: weekday effects count relative to each other.
        weekday = found[:7] - found[:7].mean()
        np.testing.assert_allclose(weekday, sign * (WEEKDAY - WEEKDAY.mean()), atol=0.03)
        np.testing.assert_allclose(found[7:], [sign * TRUE[name] for name in EFFECTS], atol=0.06)


def test_a_category_with_few_units_takes_the_pooled_effects() -> None:
    rare = make_history(3, n=4, days=60, mean=0.5, category="rare", sign=-1.0)
    assert rare.demand.sum() < MIN_UNITS
    factors = DayFactors.fit([make_history(1), rare])
    assert "rare" not in factors.coefficients
    covariates = [torch.zeros(1, 2)] * 4
    food, other = factors.predict(np.array(["food", "rare"]), torch.tensor([5]), *covariates)[0]
    assert other.item() == pytest.approx(np.exp(factors.coefficients[ALL][5]), rel=1e-5)
    assert food.item() == pytest.approx(np.exp(factors.coefficients["food"][5]), rel=1e-5)
    # Its rate is still its own.
    assert factors.prior_rate(np.array(["rare"]))[0] < 1.5


def test_predictions_are_products_of_effects() -> None:
    coefficients = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, -1.0, 0.5, 0.25, 0.125]
    factors = DayFactors({ALL: coefficients}, {ALL: 2.0})
    ones = torch.ones(2, 1)
    got = factors.predict(
        np.array(["any"]), torch.tensor([0, 6]), 0.2 * ones, ones, 0 * ones, ones
    )[:, 0]
    expected = np.exp([0.1 - 0.2 + 0.5 + 0.125, 0.7 - 0.2 + 0.5 + 0.125])
    np.testing.assert_allclose(got, expected, rtol=1e-5)


@pytest.mark.parametrize("sold_out", [False, True])
def test_rates_are_medians_over_inventories_of_demand_per_observed_day(sold_out: bool) -> None:
    on_sale = np.ones((3, 20), dtype=bool)
    on_sale[0, :5] = False
    demand = np.array([[3.0], [4.0], [90.0]], dtype=np.float32) * on_sale
    weekday = np.arange(20) % 7
    none = {name: np.zeros((3, 20), dtype=np.float32) for name in EFFECTS}
    always = on_sale | True
    # Not on the shelf, or there without its demand being known.
    known = (always, on_sale) if sold_out else (on_sale, always)
    factors = DayFactors.fit(
        [TrainingHistory(np.full(3, "a"), weekday, demand.astype(np.float32), *known, none)]
    )
    assert factors.rates == {"a": 4.0, ALL: 4.0}


def test_history_without_any_sale_gives_neutral_factors() -> None:
    none = {name: np.zeros((2, 20), dtype=np.float32) for name in EFFECTS}
    zero = np.zeros((2, 20), dtype=np.float32)
    factors = DayFactors.fit(
        [TrainingHistory(np.full(2, "a"), np.arange(20) % 7, zero, zero == 0, zero == 0, none)]
    )
    covariates = [torch.zeros(3, 2)] * 4
    predicted = factors.predict(np.array(["a", "b"]), torch.arange(3), *covariates)
    assert torch.equal(predicted, torch.ones(3, 2))


def test_factors_are_kept_as_readable_json(tmp_path: Path) -> None:
    factors = DayFactors.fit([make_history(1, n=20, days=100)])
    factors.save(tmp_path / "forecast.json")
    assert DayFactors.load(tmp_path / "forecast.json") == factors


def test_shares_say_what_varies_in_a_category() -> None:
    on_sale = np.ones((2, 40), dtype=bool)
    on_sale[0, :10] = False  # launched late: nothing that varies
    on_sale[1, 30:] = False  # taken off
    flags = {name: np.zeros((2, 40), dtype=np.float32) for name in EFFECTS}
    flags["promotion"][0, 10:16] = 1
    flags["promotion"][1, 35:] = 1  # while it was off sale
    flags["snap"][:] = 1
    history = TrainingHistory(
        np.array(["new", "old"]), np.arange(40) % 7, np.ones((2, 40), np.float32) * on_sale,
        on_sale, np.ones((2, 40), dtype=bool), flags,
    )  # fmt: skip
    shares = DayFactors.fit([history]).shares
    assert shares["new"] == {"promotion": 0.2, "event": 0.0, "snap": 1.0, "on_sale": 1.0}
    assert shares["old"] == {"promotion": 0.0, "event": 0.0, "snap": 1.0, "on_sale": 0.75}
    assert shares[ALL] == {"promotion": 0.1, "event": 0.0, "snap": 1.0, "on_sale": 60 / 70}


def test_effects_relative_to_their_mean_average_to_one() -> None:
    coefficients = [0.0] * 7 + [-1.0, 0.5, 0.25, 0.125]
    shares = {"promotion": 0.2, "event": 0.1, "snap": 0.3, "on_sale": 0.9}
    factors = DayFactors({ALL: coefficients}, {ALL: 2.0}, {ALL: shares})
    for name, (without, having) in factors.relative_effects(np.array(["any"])).items():
        effect = np.exp(coefficients[7 + EFFECTS.index(name)])
        assert (having / without).item() == pytest.approx(effect, rel=1e-5)
        share = shares[name]
        assert (share * having + (1 - share) * without).item() == pytest.approx(1.0, rel=1e-5)
