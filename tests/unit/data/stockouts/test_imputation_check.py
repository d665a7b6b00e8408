"""The check of imputed demand: what it cuts, and what it says of a good and of a bad law."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from envs.errors import DataError
from pipeline.data.stockouts.check import cut_short, imputation_check
from pipeline.data.stockouts.days import HOURS, StockoutDays
from pipeline.data.stockouts.fit import fit_law
from pipeline.data.stockouts.law import DemandLaw
from tests.unit.data.fresh_tables import GRAIN, World, world


def fit(days: StockoutDays) -> DemandLaw:
    return fit_law(days.until(54), groups=1, offers=1, grain=GRAIN)


@pytest.fixture(scope="module")
def given() -> World:
    # The fewer pieces a day, the nearer is any forecast to chance.
    return world(300, seed=3, level=2.0)


def test_figures_of_a_good_law_and_of_one_without_spread(given: World) -> None:
    report = imputation_check(given.days, fit, seed=1)
    assert report.all.ratio < 0.5
    assert 0.74 < report.all.coverage < 0.86
    assert sum(part.days for part in report.by_demand) == report.all.days
    stated = json.loads(report.to_json())
    assert stated["all"]["ratio"] == report.all.ratio
    assert "hours without stock" in report.describe()

    def narrow(days: StockoutDays) -> DemandLaw:
        return replace(fit(days), shapes=np.full(5, 1e6), grain=GRAIN / 50)

    assert imputation_check(given.days, narrow, seed=1).all.coverage < 0.7


def test_a_day_is_cut_by_its_stock(given: World) -> None:
    law = fit(given.days)
    cut = cut_short(given.days, law, np.random.default_rng(0))
    at = (cut.row, cut.column)
    assert (given.first[at] == HOURS).all()
    assert np.array_equal(cut.demand, given.sales[at])
    assert (cut.days.sales[at] <= cut.demand).all()
    assert (cut.days.shut[at] > 0).all()
    untouched = np.ones(given.sales.shape, bool)
    untouched[at] = False
    assert np.array_equal(cut.days.mask[untouched], given.mask[untouched])
    # Where more was asked for, stock runs out the likelier.
    asked, usual = cut.demand / given.rate[at], given.sales / given.rate
    assert asked.mean() > usual[given.first == HOURS].mean() + 0.05


def test_data_without_stockouts_are_refused(given: World) -> None:
    days = replace(given.days, mask=np.zeros_like(given.mask))
    with pytest.raises(DataError, match="could be cut short"):
        imputation_check(days, fit, seed=1)
