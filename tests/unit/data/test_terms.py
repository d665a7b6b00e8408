"""Supply terms follow the distributions that the manifest states."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from envs.errors import DataError
from pipeline.data.terms import REVIEW_PERIODS, REVIEW_WEIGHTS, TERMS, SupplyTerms

PRICE = np.full(20_000, 10.0)


def test_stated_distributions() -> None:
    drawn = SupplyTerms().draw(np.random.default_rng(0), PRICE)
    assert set(drawn) == set(TERMS)
    lead = drawn["lead_time"]
    assert (lead.min(), lead.max(), np.median(lead)) == (1, 14, 4)
    for period, weight in zip(REVIEW_PERIODS, REVIEW_WEIGHTS, strict=True):
        chosen = drawn["review_period"] == period
        assert chosen.mean() == pytest.approx(weight, abs=0.015)
        assert set(drawn["review_offset"][chosen].tolist()) == set(range(period))
    assert np.median(drawn["holding_cost"]) == pytest.approx(0.1, rel=0.02)
    ratio = drawn["shortage_cost"] / drawn["holding_cost"]
    assert 3.99 < ratio.min() < 4.1
    assert 39 < ratio.max() < 40.01
    assert np.median(ratio) == pytest.approx(np.sqrt(4 * 40), rel=0.03)


def test_options() -> None:
    terms = SupplyTerms(max_lead_time=3, max_review_period=2, lead_time_jitter=2, fill_min=0.8)
    drawn = terms.draw(np.random.default_rng(0), PRICE)
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
    drawn = SupplyTerms().draw(np.random.default_rng(0), PRICE, given)
    assert (drawn["review_period"] == 5).all()
    assert set(drawn["review_offset"].tolist()) == set(range(5))
    assert (drawn["holding_cost"][:10] == 3.0).all()
    assert (drawn["holding_cost"][10:] < 3.0).all()
    assert (drawn["shortage_cost"][:10] >= 11.9).all()


@pytest.mark.parametrize(
    "options",
    [{"max_lead_time": 0}, {"max_review_period": 8}, {"lead_time_jitter": -1}, {"fill_min": 0.0}],
)
def test_options_out_of_range(options: dict[str, Any]) -> None:
    with pytest.raises(DataError, match=next(iter(options))):
        SupplyTerms(**options)
