"""Random numbers of inventories: the same whoever else is there, and well spread."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.data.draws import Draws
from pipeline.data.terms import SupplyTerms
from tests.unit.data.long_tables import importing, table

IDS = [f"{i}@W{i % 7}" for i in range(50_000)]


@given(
    ids=st.lists(st.text(max_size=6), min_size=1, max_size=20, unique=True),
    seed=st.integers(0, 2**40),
    data=st.data(),
)
def test_one_more_inventory_changes_nobody_elses_terms(
    ids: list[str], seed: int, data: st.DataObject
) -> None:
    whole = SupplyTerms().draw(Draws(seed, ids), np.full(len(ids), 9.0))
    chosen = data.draw(st.permutations(range(len(ids))))[: data.draw(st.integers(1, len(ids)))]
    some = SupplyTerms().draw(Draws(seed, [ids[i] for i in chosen]), np.full(len(chosen), 9.0))
    for name, values in whole.items():
        np.testing.assert_array_equal(some[name], values[chosen], err_msg=name)


def test_what_is_drawn_and_the_seed_change_the_numbers() -> None:
    draws = Draws(1, IDS)
    first = draws.uniform("lead_time")
    for other in (draws.uniform("review_period"), Draws(2, IDS).uniform("lead_time")):
        assert np.corrcoef(first, other)[0, 1] == pytest.approx(0, abs=0.02)
    np.testing.assert_array_equal(first, draws.uniform("lead_time"))
    # These values are part of what a seed means: another machine or version must give them too.
    assert draws.bits("lead_time")[:2].tolist() == [16117853940673951266, 15750526604951629738]


def test_daily_numbers_are_those_of_an_inventory_and_a_date() -> None:
    days = np.arange(738_000, 738_100)
    daily = Draws(1, IDS[:500]).daily("fill", days)
    assert daily.shape == (100, 500)
    part = Draws(1, IDS[100:200]).daily("fill", days[30:])
    np.testing.assert_array_equal(part, daily[30:, 100:200])
    assert daily.min() >= 0
    assert daily.max() < 1
    assert daily.mean() == pytest.approx(0.5, abs=0.01)
    for near in (daily[1:], np.roll(daily, 1, axis=1)[1:]):  # the next day, the next inventory
        assert np.corrcoef(daily[:-1].ravel(), near.ravel())[0, 1] == pytest.approx(0, abs=0.02)
    other = Draws(1, IDS[:500]).daily("lead time", days)
    assert np.corrcoef(daily.ravel(), other.ravel())[0, 1] == pytest.approx(0, abs=0.02)


def test_an_import_orders_inventories_by_their_ids(tmp_path: Path) -> None:
    """Among them names with "@": their order is that of the escaped id."""
    frame = table(skus=30, warehouses=3)
    frame["sku"] = frame.sku.str.replace("K1", "K@1")
    path = tmp_path / "sales.csv"
    frame.to_csv(path, index=False)
    ids = np.array(list(importing(tmp_path)(path, "--seed", 4).statics.index))
    assert "K\\@1@W0" in ids
    drawn = Draws(4, ids).bits("order")
    np.testing.assert_array_equal(ids, ids[np.argsort(drawn)])


def test_distributions() -> None:
    draws = Draws(3, IDS)
    uniform = np.sort(draws.uniform("x", 2.0, 5.0))
    # The largest distance of 50,000 uniform draws from their distribution exceeds this in one of
    # 1,000 tries (Kolmogorov).
    spread = np.abs((uniform - 2) / 3 - np.arange(len(IDS)) / len(IDS)).max()
    assert spread < 1.95 / np.sqrt(len(IDS))
    normal = draws.normal("x")
    assert normal.mean() == pytest.approx(0, abs=0.02)
    assert normal.std() == pytest.approx(1, abs=0.02)
    assert (np.abs(normal) > 1.96).mean() == pytest.approx(0.05, abs=0.005)
    chosen = draws.choice("x", (2, 3, 7), (1.0, 1.0, 2.0))
    for value, share in ((2, 0.25), (3, 0.25), (7, 0.5)):
        assert (chosen == value).mean() == pytest.approx(share, abs=0.01)
