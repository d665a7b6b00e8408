"""The generator: determinism, the stated distributions, refusals."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from envs.errors import DataError
from pipeline.data.generate import make
from pipeline.data.panel import Panel
from pipeline.data.retail import Market
from pipeline.data.retail_parameters import RetailParameters
from pipeline.data.schema import TILES_PER_PART
from pipeline.data.terms import SupplyTerms
from pipeline.data.tiles import plan_tiles

Array = npt.NDArray[Any]
SMALL: dict[str, Any] = {"inventories": 300, "days": 150, "seed": 5, "tile_rows": 64}


def market(inventories: int = 4000, days: int = 364, **parameters: Any) -> Market:
    return Market(
        7, inventories, days, date(2024, 1, 1), days // 2,
        RetailParameters(**parameters), SupplyTerms(),
    )  # fmt: skip


@pytest.fixture(scope="module")
def year() -> tuple[dict[str, Any], dict[str, Array]]:
    """4,000 inventories × 364 days."""
    return market().tile(0, 0, 4000)


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


def test_off_sale_days_come_first_and_hold_no_demand(year: tuple[Any, dict[str, Array]]) -> None:
    on_sale, demand = year[1]["on_sale"], year[1]["demand"]
    assert (demand[on_sale == 0] == 0).all()
    assert (np.diff(on_sale.astype(int), axis=1) >= 0).all()
    assert (on_sale[:, -1] == 1).all()
    assert (on_sale[:, 0] == 0).mean() == pytest.approx(0.05, abs=0.015)


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


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"inventories": 0}, "inventories"),
        ({"seed": -1}, "seed"),
        ({"days": 57}, "days"),
        ({"days": 100}, "lead time"),
        ({"validation_share": 1.0}, "validation_share"),
        ({"inventories": 3}, "validation_share"),
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
    [{"median_demand": 0.0}, {"log_sigma": -1.0}, {"new_share": 2.0}, {"warehouses": -1}],
)
def test_parameters_out_of_range(parameters: dict[str, Any]) -> None:
    with pytest.raises(DataError, match=next(iter(parameters))):
        RetailParameters(**parameters)
