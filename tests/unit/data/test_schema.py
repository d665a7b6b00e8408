"""Reviews by the calendar, and names of inventories."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.data.days import reviewed
from pipeline.data.schema import inventory_ids


@given(
    start=st.dates(date(2000, 1, 1), date(2030, 1, 1)),
    later=st.integers(0, 400),
    day=st.integers(0, 400),
    period=st.integers(1, 28),
    offset=st.integers(0, 27),
)
def test_reviews_belong_to_the_calendar(
    start: date, later: int, day: int, period: int, offset: int
) -> None:
    """An extract that starts later reviews the same inventories on the same dates."""
    offset %= period
    days = range(later, later + 30)
    whole = reviewed(start, days, [period], [offset])
    extract = reviewed(start + timedelta(days=later), range(30), [period], [offset])
    np.testing.assert_array_equal(whole, extract)
    assert whole.shape == (30, 1)
    one = reviewed(start, day, [period, 1], [offset, 0])
    assert one.tolist() == [
        ((start + timedelta(days=day)).toordinal() - offset) % period == 0,
        True,
    ]


names = st.text("AB@\\", min_size=1, max_size=4)


@given(one=st.tuples(names, names), other=st.tuples(names, names))
def test_two_inventories_never_share_an_id(one: tuple[str, str], other: tuple[str, str]) -> None:
    ids = inventory_ids(*zip(one, other, strict=True))
    assert (ids[0] == ids[1]) == (one == other)


def test_ids_of_plain_names_are_plain() -> None:
    assert inventory_ids(["A", "A@B", "A"], ["C", "C", "B@C"]) == ["A@C", r"A\@B@C", r"A@B\@C"]
