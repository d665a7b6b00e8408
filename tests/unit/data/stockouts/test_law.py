"""The law of demand behind stockouts against a world whose demand is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from pipeline.data.stockouts.days import HOURS
from pipeline.data.stockouts.fit import fit_law
from pipeline.data.stockouts.law import DemandLaw, Prediction, most_factor
from tests.unit.data.fresh_tables import GRAIN, World, world

UNTIL = 54
LATER = slice(20, None)
"""Days whose levels rest on enough others."""


@pytest.fixture(scope="module")
def given() -> World:
    return world(400, seed=2)


@pytest.fixture(scope="module")
def law(given: World) -> DemandLaw:
    return fit_law(given.days.until(UNTIL), groups=1, offers=1, grain=GRAIN)


@pytest.fixture(scope="module")
def found(given: World, law: DemandLaw) -> Prediction:
    return law.predict(given.days)


def test_mean_demand_of_cut_days_is_recovered(given: World, found: Prediction) -> None:
    cut = given.cut[:, LATER]
    mean, demand, sales = (x[:, LATER][cut] for x in (found.mean(), given.demand, given.sales))
    unseen = (demand - sales).mean()
    assert (mean - sales).mean() == pytest.approx(unseen, rel=0.08)
    assert np.abs(mean - demand).mean() < 0.5 * unseen


def test_intervals_hold_what_they_say(given: World, found: Prediction) -> None:
    cut = given.cut.copy()
    cut[:, : LATER.start] = False
    less, most = (part[cut] for part in found.below(given.demand))
    place = less + (most - less) * np.random.default_rng(0).random(len(less))
    for low, high in ((0.1, 0.9), (0.25, 0.75)):
        assert ((place > low) & (place < high)).mean() == pytest.approx(high - low, abs=0.04)


def test_draws_have_the_spread_of_demand_and_means_do_not(given: World, found: Prediction) -> None:
    level = np.random.default_rng(1).random(given.sales.shape)
    cut = given.cut.copy()
    cut[:, : LATER.start] = False
    real, drawn, mean = (
        np.var((x / given.rate)[cut]) for x in (given.demand, found.quantile(level), found.mean())
    )
    assert drawn == pytest.approx(real, rel=0.12)
    assert mean < 0.85 * real


def test_a_day_without_stock_is_as_other_days_not_zero(given: World, found: Prediction) -> None:
    shut = given.first == 0
    shut[:, : LATER.start] = False
    level = np.random.default_rng(2).random(given.sales.shape)
    assert found.quantile(level)[shut].mean() == pytest.approx(given.rate[shut].mean(), rel=0.1)
    assert found.sales[shut].max() == 0


def test_observed_days_are_left_as_they_are(given: World, found: Prediction) -> None:
    whole = given.first == HOURS
    for values in (found.mean(), found.quantile(0.9)):
        assert np.array_equal(values[whole], given.sales[whole])
    assert (found.quantile(0.3) >= given.sales - 1e-9).all()


def test_nothing_of_later_days_enters_a_day(given: World, law: DemandLaw) -> None:
    days, day = given.days, 40
    mask, sales = days.mask.copy(), days.sales.copy()
    mask[:, day:], sales[:, day:] = mask[::-1, day:], sales[::-1, day:]
    other = law.predict(replace(days, mask=mask, sales=sales))
    before, after = law.predict(days).quantile(0.6), other.quantile(0.6)
    assert np.array_equal(before[:, :day], after[:, :day])
    assert not np.array_equal(before[:, day:], after[:, day:])


def test_an_inventory_is_predicted_without_the_others(
    given: World, law: DemandLaw, found: Prediction
) -> None:
    some = np.asarray([7, 3, 250])
    assert np.array_equal(law.predict(given.days.of(some)).mean(), found.mean()[some])


def test_days_on_which_more_is_bought_are_expected_to_sell_more(law: DemandLaw) -> None:
    saturday, monday = law.kinds[0, 2 * 5 + 1], law.kinds[0, 0]
    assert saturday / monday == pytest.approx(1.3 / 0.9, rel=0.06)


def test_a_kind_of_day_that_never_was_is_taken_for_the_others_alike(law: DemandLaw) -> None:
    # Holidays of the world are Saturdays and Sundays.
    monday_off, weekend = law.kinds[0, 1], law.kinds[0, [11, 13]]
    assert monday_off == pytest.approx(weekend.mean())


def test_a_rush_in_the_first_hour_is_no_rate_for_the_day() -> None:
    shape = np.asarray([2.0, 8.0, 50.0])
    most = most_factor(shape)
    np.testing.assert_allclose(most, stats.gamma.ppf(0.999, shape) / shape, rtol=0.03)
    rush = Prediction(np.full(3, 8.0), np.full(3, 0.05), np.full(3, 5.0), shape, GRAIN)
    np.testing.assert_allclose(rush.mean(), 8.0 + 0.95 * 5.0 * most, rtol=1e-9)
