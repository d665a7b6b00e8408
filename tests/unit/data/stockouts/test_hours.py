"""The profile of the hours is found although nobody recorded sales by hour."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.data.stockouts.days import CLOSED, HOURS, emptied
from pipeline.data.stockouts.fit import fit_law
from pipeline.data.stockouts.hours import HourProfile
from tests.unit.data.fresh_tables import GRAIN, PROFILE, World, world


@pytest.fixture(scope="module")
def given() -> World:
    return world(400, seed=1)


def test_hours_at_whose_end_the_shelf_was_empty() -> None:
    # Open, shut from the third hour on; shut in the morning and open from then on; open all day
    # and shut in the hour after it.
    masks = np.asarray([(2 * CLOSED + 1) & ~0b11, 0b11, 1 << HOURS, 0], dtype=np.uint32)
    assert emptied(masks).tolist() == [0b10, 0, 1 << (HOURS - 1), 0]


def test_days_that_ran_out_early_do_not_pull_the_profile_forward(given: World) -> None:
    found = fit_law(given.days, groups=1, offers=1, grain=GRAIN).profile.shares[0]
    weight = np.bincount(given.holiday) / len(given.holiday)
    until = (found * weight[:, None]).sum(0).cumsum()
    assert np.abs(until - PROFILE.cumsum()).max() < 0.03
    # What was sold on days that ran out by noon: well above the share of the demand until then.
    noon = given.first == 6
    assert given.sales[noon].sum() / given.rate[noon].sum() > PROFILE[:6].sum() + 0.12


def test_open_share_follows_the_mask(given: World) -> None:
    profile = HourProfile(np.tile(PROFILE, (1, 2, 1)))
    share = profile.open_share(given.days)
    expected = np.concatenate(([0.0], PROFILE.cumsum()))[given.first]
    np.testing.assert_allclose(share, expected, atol=1e-6)
    assert (share[given.first == 0] == 0).all()
    assert (share[given.first == HOURS] == 1).all()
