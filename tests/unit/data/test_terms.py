"""Supply terms follow the distributions that the manifest states."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from envs.errors import DataError
from pipeline.data.draws import Draws
from pipeline.data.terms import (
    REVIEW_PERIODS,
    REVIEW_WEIGHTS,
    TERMS,
    SupplyTerms,
)

PRICE = np.full(20_000, 10.0)
DRAWS = Draws(0, [f"{i}@W" for i in range(len(PRICE))])


def test_stated_distributions() -> None:
    drawn = SupplyTerms().draw(DRAWS, PRICE)
    assert set(drawn) == set(TERMS)
    lead = drawn["lead_time"]
    assert (lead.min(), lead.max(), np.median(lead)) == (1, 14, 4)
    for period, weight in zip(REVIEW_PERIODS, REVIEW_WEIGHTS, strict=True):
        chosen = drawn["review_period"] == period
        assert chosen.mean() == pytest.approx(weight, abs=0.015)
        assert set(drawn["review_offset"][chosen].tolist()) == set(range(period))


def test_costs_of_a_retailers_books() -> None:
    drawn = SupplyTerms().draw(DRAWS, PRICE)
    share = drawn["holding_cost"] * 365 / 10.0
    assert 0.2 <= share.min() < 0.201
    assert 0.399 < share.max() <= 0.4001
    assert share.mean() == pytest.approx(0.3, abs=0.002)
    margin = drawn["shortage_cost"] / 10.0
    assert 0.15 <= margin.min() < 0.151
    assert 0.449 < margin.max() <= 0.4501
    assert margin.mean() == pytest.approx(0.3, abs=0.002)
    assert np.corrcoef(share, margin)[0, 1] == pytest.approx(0, abs=0.03)
    for word in ("U[20%, 40%] of the price a year", "a margin of U[15%, 45%]"):
        assert word in SupplyTerms().describe()


def test_costs_by_their_ratio() -> None:
    terms = SupplyTerms(costs="ratio")
    drawn = terms.draw(DRAWS, PRICE)
    assert "ratio in [4, 40]" in terms.describe()
    for name in ("lead_time", "review_period", "review_offset"):
        np.testing.assert_array_equal(drawn[name], SupplyTerms().draw(DRAWS, PRICE)[name])
    assert np.median(drawn["holding_cost"]) == pytest.approx(0.1, rel=0.02)
    ratio = drawn["shortage_cost"] / drawn["holding_cost"]
    assert 3.99 < ratio.min() < 4.1
    assert 39 < ratio.max() < 40.01
    assert np.median(ratio) == pytest.approx(np.sqrt(4 * 40), rel=0.03)


def test_costs_of_fresh_food() -> None:
    terms = SupplyTerms(costs="spoilage", lead_time_median=2.0)
    drawn = terms.draw(DRAWS, PRICE)
    share = drawn["holding_cost"] / 10.0
    assert 0.03 <= share.min() < 0.0301
    assert 0.0799 < share.max() <= 0.08001
    ratio = drawn["shortage_cost"] / drawn["holding_cost"]
    assert 3.99 < ratio.min() < 4.1
    assert 19.8 < ratio.max() < 20.01
    assert np.median(ratio) == pytest.approx(np.sqrt(4 * 20), rel=0.03)
    assert np.median(drawn["lead_time"]) == 2
    for words in ("median 2 days", "U[3%, 8%] of the price (what goes off)", "ratio in [4, 20]"):
        assert words in terms.describe()


def test_options() -> None:
    terms = SupplyTerms(max_lead_time=3, max_review_period=2, lead_time_jitter=2, fill_min=0.8)
    drawn = terms.draw(DRAWS, PRICE)
    assert drawn["lead_time"].max() == 3
    assert set(drawn["review_period"].tolist()) == {1, 2}
    assert (drawn["lead_time_jitter"] == 2).all()
    assert drawn["fill_min"][0] == np.float32(0.8)
    assert terms.longest == 7
    assert SupplyTerms().longest == 21
    for word in ("clipped to 1..3", "± up to 2", "U[0.8, 1]", "2 (p = 0.44)"):
        assert word in terms.describe()


def test_given_values_are_kept_and_the_others_fit_them() -> None:
    given = {"review_period": np.full(20_000, 5.0), "holding_cost": np.full(20_000, np.nan)}
    given["holding_cost"][:10] = 3.0
    drawn = SupplyTerms().draw(DRAWS, PRICE, given)
    assert (drawn["review_period"] == 5).all()
    assert set(drawn["review_offset"].tolist()) == set(range(5))
    assert (drawn["holding_cost"][:10] == 3.0).all()
    assert (drawn["holding_cost"][10:] < 3.0).all()
    np.testing.assert_array_equal(
        drawn["shortage_cost"], SupplyTerms().draw(DRAWS, PRICE)["shortage_cost"]
    )
    by_ratio = SupplyTerms(costs="ratio").draw(DRAWS, PRICE, given)
    assert (by_ratio["shortage_cost"][:10] >= 11.9).all()


@pytest.mark.parametrize(
    "options",
    [
        {"max_lead_time": 0},
        {"max_review_period": 8},
        {"lead_time_jitter": -1},
        {"fill_min": 0.0},
        {"costs": "free"},
    ],
)
def test_options_out_of_range(options: dict[str, Any]) -> None:
    with pytest.raises(DataError, match=next(iter(options))):
        SupplyTerms(**options)


def test_the_ends_of_the_cost_ratio_may_be_chosen() -> None:
    drawn = SupplyTerms(costs="ratio", cost_ratio=(400.0, 400.0)).draw(DRAWS, PRICE)
    np.testing.assert_allclose(drawn["shortage_cost"], 400 * drawn["holding_cost"], rtol=1e-5)
    assert "[400, 400]" in SupplyTerms(costs="ratio", cost_ratio=(400.0, 400.0)).describe()
    with pytest.raises(DataError, match="choose --costs ratio"):
        SupplyTerms(cost_ratio=(4.0, 40.0))
    for ends in ((0.0, 4.0), (40.0, 4.0), (1.0, float("inf"))):
        with pytest.raises(DataError, match="cost_ratio"):
            SupplyTerms(costs="ratio", cost_ratio=ends)
