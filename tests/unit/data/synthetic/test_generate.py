"""The generator: determinism, the stated distributions, refusals."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from envs.errors import DataError
from pipeline.data.check import check
from pipeline.data.panel import Panel
from pipeline.data.schema import QUANTITIES, TILES_PER_PART
from pipeline.data.synthetic.generate import make
from pipeline.data.synthetic.parameters import RetailParameters
from pipeline.data.synthetic.retail import Market
from pipeline.data.terms import SupplyTerms
from pipeline.data.tiles import plan_tiles

Array = npt.NDArray[Any]
SMALL: dict[str, Any] = {
    "inventories": 300, "days": 150, "seed": 5, "tile_rows": 64,
    "parameters": RetailParameters(unknown_share=0.0),
}  # fmt: skip


def market(
    inventories: int = 4000, days: int = 364, ahead_days: int = 30, **parameters: Any
) -> Market:
    return Market(
        7, inventories, days, date(2024, 1, 1), ahead_days, days // 2,
        RetailParameters(**parameters), SupplyTerms(),
    )  # fmt: skip


def values(directory: Path) -> dict[str, Array]:
    """All values of a data set, in panel order."""
    panel = Panel(directory)
    tiles = [panel.read(tile) for tile in panel.tiles()]
    columns = {name: np.concatenate([t.static[name] for t in tiles]) for name in tiles[0].static}
    return columns | {
        name: np.concatenate([t.dynamic[name] for t in tiles]) for name in tiles[0].dynamic
    }


@pytest.fixture(scope="module")
def year() -> tuple[dict[str, Any], dict[str, Array]]:
    """4,000 inventories × 364 days."""
    static, dynamic = market().tile(0, 0, 4000)
    return static, {name: quantity[:, :364] for name, quantity in dynamic.items()}


def test_a_tile_depends_on_neither_order_nor_other_tiles() -> None:
    first, second = market(), market()
    for number in (0, 1, 2):
        first.tile(number, number * 100, 100)
    expected, actual = first.tile(3, 300, 100), second.tile(3, 300, 100)
    for left, right in zip(expected, actual, strict=True):
        for name in left:
            np.testing.assert_array_equal(left[name], right[name])
    other = second.tile(4, 300, 100)
    assert (other[1]["demand"] != actual[1]["demand"]).any()


def test_the_same_seed_gives_the_same_files(generated: Path, tmp_path: Path) -> None:
    again = make(**SMALL, out=tmp_path / "again")
    other = make(**{**SMALL, "seed": 6}, out=tmp_path / "other")
    assert Panel(generated).manifest.files == again.files
    assert other.files != again.files


def test_processes_do_not_change_the_files(tmp_path: Path) -> None:
    # Tiles of 4 rows: enough of them for several parts.
    inventories = 4 * (TILES_PER_PART + 10)
    arguments: dict[str, Any] = {"days": 150, "seed": 3, "tile_rows": 4}
    one = make(inventories, out=tmp_path / "one", jobs=1, **arguments)
    two = make(inventories, out=tmp_path / "two", jobs=2, **arguments)
    assert len(one.files) == 3
    assert one.files == two.files


def test_every_inventory_is_met_once(generated: Path) -> None:
    table = Panel(generated).read_inventories()
    assert len(set(table.column("inventory_id").to_pylist())) == 300
    assert len(set(table.column("warehouse").to_pylist())) == 6


@pytest.mark.parametrize("inventories", [1, 2, 7, 100, 101, 5000])
def test_positions_map_one_to_one_to_inventories(inventories: int) -> None:
    sku, warehouse = market(inventories)._identify(np.arange(inventories))
    assert len(set(zip(sku.tolist(), warehouse.tolist(), strict=True))) == inventories


def test_base_demand_is_lognormal_as_stated() -> None:
    # Without other effects the mean over a long time would be the base; here, roughly.
    _, dynamic = market(new_share=0.0).tile(0, 0, 4000)
    mean = np.maximum(dynamic["demand"].mean(axis=1), 1e-3)
    assert np.median(mean) == pytest.approx(2.0, rel=0.35)
    assert np.log(mean).std() == pytest.approx(1.2, rel=0.1)
    assert np.quantile(mean, 0.999) / np.quantile(mean, 0.001) > 500


def test_counts_are_whole_and_overdispersed(year: tuple[Any, dict[str, Array]]) -> None:
    demand = year[1]["demand"]
    assert demand.dtype == np.float32
    assert (demand >= 0).all()
    np.testing.assert_array_equal(demand, np.rint(demand))
    busy = demand[demand.mean(axis=1) > 5]
    assert (busy.var(axis=1) > 1.5 * busy.mean(axis=1)).mean() > 0.95


def test_items_are_launched_and_end(year: tuple[Any, dict[str, Array]]) -> None:
    on_sale, demand = year[1]["on_sale"].astype(int), year[1]["demand"]
    assert (demand[on_sale == 0] == 0).all()
    assert (on_sale[:, 0] == 0).mean() == pytest.approx(0.05, abs=0.015)
    changes = np.diff(on_sale, axis=1)
    # One spell on sale each, of four weeks at least.
    assert ((changes == 1).sum(axis=1) == (on_sale[:, 0] == 0)).all()
    assert on_sale.sum(axis=1).min() >= 28
    ended = on_sale[:, -1] == 0
    assert ended.mean() == pytest.approx(0.02 * 182 / 211, abs=0.007)
    ends = np.argmin(changes[ended], axis=1)
    assert ends.min() >= 364 // 2 - 1
    assert len(set(ends.tolist())) > 20
    assert (market(end_share=0.0).tile(0, 0, 500)[1]["on_sale"][:, -1] == 1).all()


def test_some_days_are_not_recorded(year: tuple[Any, dict[str, Array]]) -> None:
    known, demand = year[1]["known"], year[1]["demand"]
    assert (known == 0).mean() == pytest.approx(0.005, abs=0.0005)
    assert (demand[known == 0] == 0).all()
    everything = market(unknown_share=0.0).tile(0, 0, 4000)[1]
    assert (everything["known"] == 1).all()
    np.testing.assert_array_equal(everything["demand"] * known, demand)


def test_days_ahead_change_nothing_of_the_past(tmp_path: Path) -> None:
    # 150 days end within a promotion slot of 28 days, 140 between two.
    for days in (140, 150):
        arguments = {**SMALL, "days": days, "inventories": 100}
        sets = {}
        for ahead in (0, 3, 42):
            out = tmp_path / f"{days}-{ahead}"
            assert make(**arguments, out=out, ahead_days=ahead).ahead_days == ahead
            sets[ahead] = values(out)
        for ahead, found in sets.items():
            for name, quantity in found.items():
                longest = sets[42][name]
                if quantity.ndim == 2:
                    kept = days + (ahead if QUANTITIES[name].known_ahead else 0)
                    assert quantity.shape[1] == kept
                    longest = longest[:, :kept]
                np.testing.assert_array_equal(quantity, longest, err_msg=name)
        plan = sets[42]
        for name in ("promotion", "event", "snap"):
            assert 0 < plan[name][:, days:].mean() < 0.6, name
        assert (plan["price"][:, days:] > 0).all()
        assert make(**arguments, out=tmp_path / f"{days}-default").ahead_days == 42


def test_the_first_test_day_changes_no_value(tmp_path: Path) -> None:
    for start in (90, 108, 120):
        make(**SMALL, test_start=start, out=tmp_path / str(start))
    one, *others = (values(tmp_path / str(start)) for start in (90, 108, 120))
    for other in others:
        for name in set(one) - {"weight", "sales_class"}:  # of the training days
            np.testing.assert_array_equal(one[name], other[name], err_msg=name)


def test_orders_are_in_whole_units(generated: Path) -> None:
    assert Panel(generated).manifest.order_multiple == 1.0


def test_promotions_cut_the_price_and_lift_demand(year: tuple[Any, dict[str, Array]]) -> None:
    static, dynamic = year
    running = dynamic["promotion"] == 1
    regular = np.broadcast_to(static["price"][:, None], running.shape)
    np.testing.assert_allclose(dynamic["price"][~running], regular[~running], rtol=1e-6)
    assert (dynamic["price"][running] < regular[running]).mean() > 0.999
    assert (dynamic["price"] > 0).all()
    assert 0.05 < running.mean() < 0.15
    demand = dynamic["demand"]
    assert demand[running].mean() > 1.4 * demand[~running].mean()


def test_weekends_sell_more(year: tuple[Any, dict[str, Array]]) -> None:
    by_weekday = year[1]["demand"].reshape(4000, 52, 7).mean(axis=(0, 1))  # day 0 is a Monday
    assert by_weekday[5] > 1.15 * by_weekday[0]


def test_shocks_are_shared_within_a_warehouse() -> None:
    effect = market()._shared_log_mean
    left = np.diff(effect[0, 0] - effect[1, 0])
    right = np.diff(effect[0, 3] - effect[1, 3])  # same region, another warehouse
    assert np.corrcoef(left, right)[0, 1] > 0.3


def test_some_inventories_are_intermittent(year: tuple[Any, dict[str, Array]]) -> None:
    zero = (year[1]["demand"] == 0).mean(axis=1)
    assert (zero > 0.6).mean() > 0.15
    assert (zero < 0.1).mean() > 0.15


def test_events_and_snap_are_shared_flags(year: tuple[Any, dict[str, Array]]) -> None:
    event, snap = year[1]["event"], year[1]["snap"]
    assert (event == event[0]).all()
    assert 5 <= event[0].sum() <= 30
    assert len(np.unique(snap, axis=0)) == 3
    assert snap[0].sum() == 120


def test_validation_is_the_stated_share() -> None:
    plans = plan_tiles(1000, 256, 0.1)
    assert [(p.rows, p.split) for p in plans] == [
        (256, "train"), (256, "train"), (256, "train"), (132, "train"), (100, "validation"),
    ]  # fmt: skip
    assert {p.split for p in plan_tiles(10, 4, 0.0)} == {"train"}


def splits(inventories: int, share: float) -> tuple[int, int]:
    plans = plan_tiles(inventories, 4, share)
    rows = [sum(p.rows for p in plans if p.split == split) for split in ("train", "validation")]
    return rows[0], rows[1]


def test_few_inventories_are_split_as_far_as_they_go(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "deepstock")
    assert splits(2, 0.1) == splits(2, 0.9) == (1, 1)
    assert splits(7, 0.1) == (6, 1)
    assert splits(7, 0.99) == (1, 6)
    assert caplog.messages == []
    assert splits(1, 0.1) == (1, 0)
    assert caplog.messages == [
        "No inventory of 1 is kept for validation: it uses those of training."
    ]


@given(inventories=st.integers(1, 500), share=st.floats(0, 0.999))
def test_every_inventory_is_in_a_tile_of_one_split(inventories: int, share: float) -> None:
    train, validation = splits(inventories, share)
    assert train >= 1
    assert train + validation == inventories
    assert (validation > 0) == (share > 0 and inventories > 1)


def test_one_inventory_is_trained_and_validated_on(tmp_path: Path) -> None:
    make(1, 150, 5, tmp_path / "one")
    panel = Panel(tmp_path / "one")
    assert panel.tiles("validation") == panel.tiles("train") == panel.tiles()
    assert "1 inventories, validation on the same" in check(tmp_path / "one")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"inventories": 0}, "inventories"),
        ({"seed": -1}, "seed"),
        ({"days": 57}, "days"),
        ({"days": 100}, "lead time"),
        ({"validation_share": 1.0}, "validation_share"),
        ({"ahead_days": -1}, "ahead_days"),
        ({"tile_rows": 0}, "tile_rows"),
        ({"test_start": 150}, "days"),
    ],
)
def test_refusals_leave_nothing(tmp_path: Path, changes: dict[str, Any], field: str) -> None:
    with pytest.raises(DataError, match=field):
        make(**{**SMALL, **changes}, out=tmp_path / "set")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "parameters",
    [
        {"median_demand": 0.0},
        {"log_sigma": -1.0},
        {"new_share": 2.0},
        {"warehouses": -1},
        {"end_share": 1.5},
        {"unknown_share": -0.1},
    ],
)
def test_parameters_out_of_range(parameters: dict[str, Any]) -> None:
    with pytest.raises(DataError, match=next(iter(parameters))):
        RetailParameters(**parameters)
