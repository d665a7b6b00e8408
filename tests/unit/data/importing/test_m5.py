"""The M5 import: a tiny folder of the same layout with known answers, and the real one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from envs.errors import DataError
from pipeline.data.check import check
from pipeline.data.importing.common import ImportOptions
from pipeline.data.importing.m5 import import_m5
from pipeline.data.panel import Panel
from pipeline.data.schema import UNKNOWN

DAYS = 84
ITEMS = ("A_1", "B_1")
STORES = ("CA_1", "TX_1", "WI_1")
OPTIONS = ImportOptions(tile_rows=4, validation_share=0.34, history_days=14, test_start=49)


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """2 items × 3 stores × 12 weeks; all sell 3 a day at a price of 2.00."""
    folder = tmp_path / "m5"
    folder.mkdir()
    dates = pd.date_range("2015-03-07", periods=DAYS)
    names = [f"d_{1500 + t}" for t in range(DAYS)]
    weeks = 11506 + np.arange(DAYS) // 7
    pairs = [(item, store) for item in ITEMS for store in STORES]
    sales = pd.DataFrame(
        {
            "item_id": [item for item, _ in pairs],
            "dept_id": [item[0] for item, _ in pairs],
            "store_id": [store for _, store in pairs],
            "state_id": [store[:2] for _, store in pairs],
        }
    )
    demand = pd.DataFrame(3, index=sales.index, columns=names, dtype="int16")
    pd.concat([sales, demand], axis=1).to_parquet(folder / "sales_d1500_d1583.parquet")
    pd.DataFrame(
        {
            "d": names,
            "date": dates.strftime("%Y-%m-%d"),
            "wm_yr_wk": weeks,
            "event_name_1": [None, "Easter"] + [None] * (DAYS - 2),
            "event_name_2": [None, None, "Other"] + [None] * (DAYS - 3),
            "snap_CA": [1, 0] * (DAYS // 2),
            "snap_TX": [0] * DAYS,
            "snap_WI": [1] * DAYS,
        }
    ).to_parquet(folder / "calendar.parquet")
    prices = pd.DataFrame(
        [(s, i, w, 2.0) for i, s in pairs for w in np.unique(weeks)],
        columns=["store_id", "item_id", "wm_yr_wk", "sell_price"],
    )
    prices.to_parquet(folder / "sell_prices.parquet")
    return folder


def edit(folder: Path, name: str, change: Any) -> None:
    path = next(folder.glob(name))
    change(pd.read_parquet(path)).to_parquet(path)


def row(directory: Path, inventory: str) -> dict[str, Any]:
    panel = Panel(directory)
    for tile in panel.tiles():
        raw = panel.read(tile)
        if inventory in raw.inventory_id:
            i = raw.inventory_id.tolist().index(inventory)
            return {name: values[i] for name, values in raw.dynamic.items()}
    raise KeyError(inventory)


def test_calendar_and_names(tiny: Path, tmp_path: Path) -> None:
    out = tmp_path / "set"
    manifest = import_m5(tiny, out, OPTIONS)
    assert (manifest.num_inventories, manifest.num_days) == (6, DAYS)
    assert manifest.first_day.isoformat() == "2015-03-07"
    ca, tx = row(out, "A_1@CA_1"), row(out, "A_1@TX_1")
    assert ca["snap"][:4].tolist() == [1, 0, 1, 0]
    assert tx["snap"].sum() == 0
    assert np.flatnonzero(ca["event"]).tolist() == [1, 2]
    assert (ca["demand"] == 3).all()
    assert (ca["on_sale"] == 1).all()
    table = Panel(out).read_inventories().to_pandas()
    assert set(table.category) == {"A", "B"}
    assert set(table.warehouse) == set(STORES)
    assert table.split.tolist() == ["train"] * 4 + ["validation"] * 2
    assert (table.price == 2.0).all()


def test_the_price_alone_decides_what_is_on_sale(tiny: Path, tmp_path: Path) -> None:
    def drop_week(prices: pd.DataFrame) -> pd.DataFrame:
        gone = (prices.item_id == "A_1") & (prices.store_id == "CA_1") & (prices.wm_yr_wk == 11508)
        return prices[~gone]

    def zeros(sales: pd.DataFrame) -> pd.DataFrame:
        days = [f"d_{1500 + t}" for t in range(14, 21)]
        sales.loc[(sales.item_id == "A_1") & (sales.store_id == "CA_1"), days] = 0
        leading = [f"d_{1500 + t}" for t in range(9)]
        sales.loc[(sales.item_id == "B_1") & (sales.store_id == "TX_1"), leading] = 0
        sales.loc[(sales.item_id == "B_1") & (sales.store_id == "TX_1"), "d_1520"] = 0
        return sales

    edit(tiny, "sell_prices*", drop_week)
    edit(tiny, "sales*", zeros)
    out = tmp_path / "set"
    import_m5(tiny, out, OPTIONS)
    first, second = row(out, "A_1@CA_1"), row(out, "B_1@TX_1")
    assert np.flatnonzero(first["on_sale"] == 0).tolist() == list(range(14, 21))
    assert (first["price"] == 2.0).all()
    # Not off sale until its first sale: nobody knows that date on the days before it.
    assert second["on_sale"].all()
    assert second["known"].all()
    assert np.flatnonzero(second["demand"] == 0).tolist() == [*range(9), 20]


AHEAD = 20


def continued(folder: Path, price_weeks: int) -> None:
    """The calendar goes on for 20 days, and prices for some weeks."""
    calendar = pd.read_parquet(folder / "calendar.parquet")
    more = calendar.iloc[:AHEAD].assign(
        d=[f"d_{1500 + DAYS + t}" for t in range(AHEAD)],
        date=pd.date_range("2015-05-30", periods=AHEAD).strftime("%Y-%m-%d"),
        wm_yr_wk=11518 + np.arange(AHEAD) // 7,
    )
    pd.concat([calendar, more], ignore_index=True).to_parquet(folder / "calendar.parquet")
    prices = pd.read_parquet(folder / "sell_prices.parquet")
    first = prices[prices.wm_yr_wk == 11506]
    for week in range(price_weeks):
        prices = pd.concat([prices, first.assign(wm_yr_wk=11518 + week, sell_price=1.5 + week)])
    gone = (prices.item_id == "B_1") & (prices.wm_yr_wk >= 11518)
    prices[~gone].to_parquet(folder / "sell_prices.parquet", index=False)


def test_the_calendar_and_prices_go_on_after_the_sales(tiny: Path, tmp_path: Path) -> None:
    continued(tiny, price_weeks=1)
    out = tmp_path / "set"
    assert import_m5(tiny, out, OPTIONS).ahead_days == AHEAD
    check(out)
    first, second = row(out, "A_1@CA_1"), row(out, "B_1@CA_1")
    assert (len(first["demand"]), len(first["price"])) == (DAYS, DAYS + AHEAD)
    assert np.flatnonzero(first["event"]).tolist() == [1, 2, DAYS + 1, DAYS + 2]
    assert first["snap"][DAYS:].tolist() == [1, 0] * (AHEAD // 2)
    unknown = [UNKNOWN] * (AHEAD - 7)
    assert first["on_sale"][DAYS:].tolist() == [1] * 7 + unknown
    assert second["on_sale"][DAYS:].tolist() == [0] * 7 + unknown
    assert first["promotion"][DAYS:].tolist() == [1] * 7 + unknown
    assert (first["price"][DAYS : DAYS + 7] == 1.5).all()
    assert np.isnan(first["price"][DAYS + 7 :]).all()
    # Without a price for the week the last one is carried, as on the days of demand.
    assert (second["price"][DAYS : DAYS + 7] == 2.0).all()


def test_prices_that_end_with_the_sales(tiny: Path, tmp_path: Path) -> None:
    continued(tiny, price_weeks=0)
    out = tmp_path / "set"
    import_m5(tiny, out, OPTIONS)
    check(out)
    values = row(out, "A_1@CA_1")
    assert (values["on_sale"][DAYS:] == UNKNOWN).all()
    assert np.isnan(values["price"][DAYS:]).all()


@pytest.mark.parametrize(("asked", "found"), [(0, 0), (5, 5), (20, 20), (50, 20)])
def test_as_many_days_ahead_as_asked_for(
    tiny: Path, tmp_path: Path, asked: int, found: int
) -> None:
    continued(tiny, price_weeks=3)
    import_m5(tiny, tmp_path / "all", OPTIONS)
    whole = row(tmp_path / "all", "A_1@TX_1")
    out = tmp_path / "some"
    manifest = import_m5(tiny, out, replace(OPTIONS, ahead_days=asked))
    assert manifest.ahead_days == found
    for name, values in row(out, "A_1@TX_1").items():
        np.testing.assert_array_equal(values, whole[name][: len(values)], err_msg=name)


def test_neither_one_more_series_nor_the_first_test_day_changes_the_others(
    tiny: Path, tmp_path: Path
) -> None:
    def rise(prices: pd.DataFrame) -> pd.DataFrame:
        return prices.assign(sell_price=2.0 + 0.1 * (prices.wm_yr_wk - 11506))

    def all_but_one(frame: pd.DataFrame) -> pd.DataFrame:
        return frame[(frame.item_id != "B_1") | (frame.store_id != "TX_1")]

    def imported(name: str, **options: Any) -> pd.DataFrame:
        import_m5(tiny, tmp_path / name, replace(OPTIONS, **options))
        table = Panel(tmp_path / name).read_inventories().to_pandas().set_index("inventory_id")
        return table.drop(columns=["weight", "sales_class"])  # of the training days

    edit(tiny, "sell_prices*", rise)
    whole = imported("whole")
    assert whole.price.unique().tolist() == [pytest.approx(2.05)]  # of the 14 days of history
    for start in (42, 63):
        pd.testing.assert_frame_equal(whole, imported(f"from {start}", test_start=start))
    edit(tiny, "sales*", all_but_one)
    edit(tiny, "sell_prices*", all_but_one)
    less = imported("less")
    kept = whole.drop("B_1@TX_1")
    pd.testing.assert_frame_equal(kept.drop(columns="split"), less.drop(columns="split"))
    # The border between the splits is a number of inventories: one at most crosses it.
    assert (kept.split != less.split).sum() <= 1


def test_promotion_is_a_price_below_the_past_maximum(tiny: Path, tmp_path: Path) -> None:
    def cut(prices: pd.DataFrame) -> pd.DataFrame:
        own = (prices.item_id == "A_1") & (prices.store_id == "CA_1")
        for week, price in {11509: 1.91, 11511: 1.90, 11512: 2.2, 11513: 2.0}.items():
            prices.loc[own & (prices.wm_yr_wk == week), "sell_price"] = price
        return prices

    edit(tiny, "sell_prices*", cut)
    out = tmp_path / "set"
    import_m5(tiny, out, OPTIONS)
    promotion = row(out, "A_1@CA_1")["promotion"].reshape(12, 7)
    # Week 3: only 4.5 % below; weeks 5 and 7 to 11 are at least 5 % below 2.00 and 2.20. A rise
    # (week 6) never makes the weeks before it a promotion.
    assert promotion.all(axis=1).tolist() == [k in (5, 7, 8, 9, 10, 11) for k in range(12)]
    assert (promotion.any(axis=1) == promotion.all(axis=1)).all()


def test_bad_values_are_quarantined(tiny: Path, tmp_path: Path) -> None:
    def spoil(sales: pd.DataFrame) -> pd.DataFrame:
        sales = sales.astype({"d_1510": "float64", "d_1511": "int32"})
        sales.loc[0, "d_1509"] = -2
        sales.loc[1, "d_1510"] = np.nan
        sales.loc[2, "d_1511"] = 30_000
        return sales

    edit(tiny, "sales*", spoil)
    edit(
        tiny,
        "sell_prices*",
        lambda p: p[~((p.item_id == "B_1") & (p.store_id == "WI_1") & (p.wm_yr_wk == 11517))],
    )
    out = tmp_path / "set"
    with pytest.raises(DataError, match="demand_off_sale 7"):
        import_m5(tiny, out, OPTIONS)
    assert not out.exists()
    manifest = import_m5(
        tiny, out, ImportOptions(4, max_bad_share=0.1, history_days=14, test_start=49)
    )
    assert "10 were quarantined" in manifest.source
    rows = pq.read_table(tmp_path / "set.quarantine.parquet").to_pandas()
    assert rows.rule.value_counts().to_dict() == {
        "demand_off_sale": 7, "negative_demand": 1, "missing_demand": 1, "absurd_demand": 1
    }  # fmt: skip
    for name, day in (("A_1@CA_1", 9), ("A_1@TX_1", 10), ("A_1@WI_1", 11)):
        values = row(out, name)
        assert np.flatnonzero(values["known"] == 0).tolist() == [day]
        assert values["on_sale"].all()
        assert values["demand"][day] == 0


@pytest.mark.parametrize("name", ["sales_d1500_d1583", "calendar", "sell_prices"])
def test_missing_file(tiny: Path, tmp_path: Path, name: str) -> None:
    (tiny / f"{name}.parquet").unlink()
    with pytest.raises(DataError, match=name.split("_d")[0]):
        import_m5(tiny, tmp_path / "set", OPTIONS)
    assert not (tmp_path / "set").exists()


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("sales*", "dept_id"),
        ("calendar*", "wm_yr_wk"),
        ("calendar*", "snap_TX"),
        ("sell_prices*", "sell_price"),
    ],
)
def test_missing_column(tiny: Path, tmp_path: Path, name: str, column: str) -> None:
    edit(tiny, name, lambda frame: frame.drop(columns=column))
    with pytest.raises(DataError, match=f"{column} is missing"):
        import_m5(tiny, tmp_path / "set", OPTIONS)


def test_truncated_file(tiny: Path, tmp_path: Path) -> None:
    path = tiny / "sell_prices.parquet"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"sell_prices\.parquet.*cannot be read"):
        import_m5(tiny, tmp_path / "set", OPTIONS)


def test_inconsistent_tables(tiny: Path, tmp_path: Path) -> None:
    edit(tiny, "calendar*", lambda frame: frame[frame.d != "d_1520"])
    with pytest.raises(DataError, match="d_1520"):
        import_m5(tiny, tmp_path / "set", OPTIONS)


def test_series_without_any_price(tiny: Path, tmp_path: Path) -> None:
    edit(tiny, "sell_prices*", lambda p: p[(p.item_id != "A_1") | (p.store_id != "CA_1")])
    with pytest.raises(DataError, match="A_1@CA_1"):
        import_m5(tiny, tmp_path / "set", OPTIONS)


def test_the_real_folder(m5_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "set"
    manifest = import_m5(m5_folder, out)
    assert (manifest.num_inventories, manifest.num_days) == (30_490, 391)
    assert manifest.first_day.isoformat() == "2015-03-03"
    summary = check(out)
    assert "27,441 inventories, validation 3,049" in summary

    sales = pq.read_table(next(m5_folder.glob("sales_*.parquet"))).to_pandas()
    days = [name for name in sales.columns if name.startswith("d_")]
    calendar = pd.read_parquet(m5_folder / "calendar.parquet").set_index("d").loc[days]
    prices = pd.read_parquet(m5_folder / "sell_prices.parquet")
    prices["series"] = prices.item_id.astype(str) + "@" + prices.store_id.astype(str)
    priced = set(zip(prices.series, prices.wm_yr_wk, strict=True))
    week = calendar.wm_yr_wk.to_numpy()
    sales.index = pd.Index(sales.item_id + "@" + sales.store_id)

    panel = Panel(out)
    assert panel.manifest.ahead_days == 42
    assert panel.manifest.order_multiple == 1.0
    off_sale = 0
    for tile in panel.tiles()[::5]:
        raw = panel.read(tile)
        demand = sales.loc[raw.inventory_id, days].to_numpy()
        known = np.array([[(name, w) in priced for w in week] for name in raw.inventory_id[:200]])
        ahead = raw.dynamic["on_sale"][:, 391:]
        # The last week of prices ends five days after the sales.
        assert set(ahead[:, :5].ravel().tolist()) <= {0, 1}
        assert (ahead[:, 5:] == UNKNOWN).all()
        on_sale = raw.dynamic["on_sale"][:, :391]
        np.testing.assert_array_equal(on_sale[:200], known.astype(np.uint8))
        np.testing.assert_array_equal(raw.dynamic["demand"], demand * on_sale)
        snap = np.stack([calendar[f"snap_{name[-4:-2]}"] for name in raw.inventory_id])
        np.testing.assert_array_equal(raw.dynamic["snap"][:, :391], snap)
        off_sale += int((~known).sum())
    assert off_sale > 0
