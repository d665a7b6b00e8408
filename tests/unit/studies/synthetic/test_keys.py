"""Names of the study's runs are read as they are made."""

from __future__ import annotations

import pytest

from pipeline.studies.synthetic.keys import CriticKey, GrowthKey, HorizonKey, RunKey


@pytest.mark.parametrize(
    ("key", "text"),
    [
        (HorizonKey(5, 16, 0), "n05-t016-s0"),
        (HorizonKey(500, 1000, 12), "n500-t1000-s12"),
        (CriticKey("setting1", "none", 2), "setting1-none-s2"),
        (CriticKey("setting1", "near_stock-s3", 2), "setting1-near_stock-s3-s2"),
        (GrowthKey("setting2", "ddpg-base", 100, 3), "setting2-ddpg-base-n0100-s3"),
    ],
)
def test_a_key_is_read_as_it_was_made(key: RunKey, text: str) -> None:
    assert str(key) == text
    assert type(key).parse(text) == key
