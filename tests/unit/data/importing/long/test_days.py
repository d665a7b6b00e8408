"""What a day of a long table means: closed, absent, sold out, weekly and of several rows."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from tests.unit.data.long_tables import Import, Refuse, csv, table


def weekday(frame: pd.DataFrame) -> pd.Series[int]:
    return pd.to_datetime(frame.date).dt.day_of_week


# --- closed days and gaps ------------------------------------------------------------------


def test_closed_weekdays_of_one_warehouse(run: Import, tmp_path: Path) -> None:
    frame = table(warehouses=3)
    closed = (frame.warehouse == "W1") & weekday(frame).isin([2, 6])
    done = run(csv(frame[~closed], tmp_path / "t.csv"), "--max-bad-share", 0)
    days = frame[closed].date.nunique()
    assert f"closed: W1 {days} days" in done.said
    for name, quantities in done.series.items():
        off = days if name.endswith("W1") else 0
        assert (quantities["on_sale"] == 0).sum() == off
        assert (quantities["known"] == 1).all()
    assert done.demand == frame[~closed].demand.sum()


def test_holidays_of_all_warehouses_and_a_missing_day_of_one_item(
    run: Import, tmp_path: Path
) -> None:
    frame = table()
    holiday = frame.date.isin(["2024-01-06", "2024-03-29", "2024-04-01"])
    missing = (frame.sku == "K2") & (frame.warehouse == "W0") & (frame.date == "2024-02-20")
    done = run(csv(frame[~holiday & ~missing], tmp_path / "t.csv"))
    assert "closed: W0 3 days, W1 3 days" in done.said
    gap = (date(2024, 2, 20) - done.manifest.first_day).days
    k2 = done.series["K2@W0"]
    assert (k2["on_sale"][gap], k2["known"][gap], k2["demand"][gap]) == (1, 0, 0)
    assert (k2["known"] == 0).sum() == 1
    quarantined = pq.read_table(tmp_path / "set.quarantine.parquet").to_pylist()
    assert [(r["rule"], r["sku"], r["date"]) for r in quarantined] == [("gap", "K2", "2024-02-20")]


def test_closed_weekday_where_one_item_is_all_there_is(run: Import, tmp_path: Path) -> None:
    frame = table(skus=1, warehouses=2)
    closed = (frame.warehouse == "W0") & (weekday(frame) == 6)
    missing = (frame.warehouse == "W0") & (frame.date == "2024-02-20")
    done = run(csv(frame[~closed & ~missing], tmp_path / "t.csv"), "--validation-share", 0.5)
    assert f"closed: W0 {closed.sum()} days" in done.said
    assert (done.series["K0@W0"]["known"] == 0).sum() == 1


def test_days_of_few_sales_are_not_called_closed(refuse: Refuse, tmp_path: Path) -> None:
    frame = table(skus=3)
    rng = np.random.default_rng(3)
    sparse = frame[rng.random(len(frame)) < 0.15]
    said = refuse(csv(sparse, tmp_path / "t.csv"))
    assert "give --absent-day zero" in said
    assert "--max-bad-share" not in said
    assert said.count("@W0 2024-") + said.count("@W1 2024-") == 3  # three of the gaps


def test_closed_days_of_a_busy_warehouse_without_zeros(run: Import, tmp_path: Path) -> None:
    frame = table(skus=40, warehouses=1)
    sold = (frame.demand > 1) & (weekday(frame) != 6)
    done = run(csv(frame[sold], tmp_path / "t.csv"), "--absent-day", "zero")
    sundays = frame[weekday(frame) == 6].date.nunique()
    assert f"closed: W0 {sundays} days" in done.said
    k0 = done.series["K0@W0"]
    first = frame[sold & (frame.sku == "K0")].date.min()
    assert k0["on_sale"].sum() == 120 - sundays
    assert (k0["on_sale"] * k0["known"]).sum() >= (
        (pd.Timestamp("2024-04-29") - pd.Timestamp(first)).days - sundays
    )


def test_an_item_that_comes_late_and_one_that_goes(run: Import, tmp_path: Path) -> None:
    frame = table(skus=4)
    late = (frame.sku == "K0") & (frame.date < "2024-02-01")
    gone = (frame.sku == "K1") & (frame.date > "2024-03-01")
    sold = frame[~late & ~gone]
    path = csv(sold[(sold.demand > 0) | sold.date.isin(["2024-02-01", "2024-03-01"])],
               tmp_path / "t.csv")  # fmt: skip
    for options, days in ((("--after-last", "off-sale"), 61), ((), 120)):
        done = run(path, "--absent-day", "zero", *options)
        assert "2 inventories end before the table does" in done.said or days == 120
        late_one = done.series["K0@W0"]
        assert late_one["on_sale"].tolist() == [1] * 120  # its first sale is not told beforehand
        assert late_one["known"].tolist() == [0] * 31 + [1] * 89
        assert done.series["K1@W0"]["on_sale"].tolist() == [1] * days + [0] * (120 - days)
    assert done.demand == sold.demand.sum()


# --- weeks and months ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "period", "options"),
    [
        ("W-MON", "week", ()),
        ("W-SAT", "week", ("--period-date", "last")),
        ("MS", "month", ()),
        ("ME", "month", ()),
    ],
)
@pytest.mark.parametrize("share", [1.0, 0.6])
def test_weeks_and_months(
    run: Import, refuse: Refuse, tmp_path: Path, rule: str, period: str,
    options: tuple[str, ...], share: float,
) -> None:  # fmt: skip
    dates = pd.date_range("2021-01-01", periods=60 if period == "week" else 18, freq=rule)
    rng = np.random.default_rng(5)
    pairs = [(f"K{i}", f"W{i % 2}") for i in range(6)]
    frame = pd.DataFrame(
        [(k, w, d.date().isoformat(), int(n)) for k, w in pairs
         for d, n in zip(dates, rng.poisson(40, len(dates)), strict=True)],
        columns=["sku", "warehouse", "date", "demand"],
    )  # fmt: skip
    frame = frame[rng.random(len(frame)) < share]
    path = csv(frame, tmp_path / "t.csv")
    for absent in ("gap", "zero"):
        said = refuse(path, "--absent-day", absent)
        assert f"the rows are {period}ly, not daily" in said
        assert f"--period {period}" in said
    done = run(path, "--absent-day", "zero", "--period", period, *options)
    assert done.demand == frame.demand.sum()
    assert done.manifest.order_multiple == 1
    first = pd.Timestamp(frame.date.min())
    start = first - pd.Timedelta(days=6) if options else first.replace(day=1)
    start = first if rule == "W-MON" else start
    assert done.manifest.first_day == start.date()
    length = 7 if period == "week" else 28
    row = frame[frame.date == frame.date.min()].iloc[0]
    days = done.series[f"{row.sku}@{row.warehouse}"]["demand"][:length]
    assert days.max() - days.min() <= 1


def test_spreading_favours_no_weekday(run: Import, tmp_path: Path) -> None:
    dates = pd.date_range("2021-01-04", periods=60, freq="7D").strftime("%Y-%m-%d")
    frame = pd.DataFrame({"sku": [f"K{i}" for i in range(30)]}).merge(
        pd.DataFrame({"warehouse": "W", "date": dates, "demand": 1}), how="cross"
    )
    done = run(csv(frame, tmp_path / "t.csv"), "--period", "week")
    by_weekday = sum(s["demand"].reshape(-1, 7).sum(axis=0) for s in done.series.values())
    assert by_weekday.sum() == 1800
    assert by_weekday.min() > 180
    assert by_weekday.max() < 340


def test_fractions_of_a_week_are_spread_evenly(run: Import, tmp_path: Path) -> None:
    dates = pd.date_range("2021-01-04", periods=60, freq="7D").strftime("%Y-%m-%d")
    frame = pd.DataFrame({"sku": ["K0", "K1"]}).merge(
        pd.DataFrame({"warehouse": "W", "date": dates, "demand": 10.5}), how="cross"
    )
    done = run(csv(frame, tmp_path / "t.csv"), "--period", "week", "--validation-share", 0.5)
    assert all((s["demand"] == 1.5).all() for s in done.series.values())


def test_a_weekly_market_is_said_to_be_daily(run: Import, tmp_path: Path) -> None:
    dates = pd.date_range("2021-01-02", periods=60, freq="7D").strftime("%Y-%m-%d")
    frame = pd.DataFrame({"sku": [f"K{i}" for i in range(10)]}).merge(
        pd.DataFrame({"warehouse": "W", "date": dates, "demand": 7}), how="cross"
    )
    path = csv(frame, tmp_path / "t.csv")
    done = run(path, "--period", "day", "--absent-day", "zero")
    assert done.demand == frame.demand.sum()


# --- tills ---------------------------------------------------------------------------------


def lines() -> pd.DataFrame:
    """A till: one to three lines a day, a return now and then."""
    frame = table(skus=4, warehouses=1)
    rng = np.random.default_rng(8)
    frame = frame.loc[frame.index.repeat(rng.integers(1, 4, len(frame)))].reset_index(drop=True)
    frame["demand"] = rng.integers(1, 4, len(frame))
    frame["price"] = rng.choice([2.0, 4.0], len(frame))
    frame.loc[rng.choice(len(frame), 40, replace=False), "demand"] *= -1
    return frame


def test_lines_of_a_till(run: Import, refuse: Refuse, tmp_path: Path) -> None:
    frame = lines()
    path = csv(frame, tmp_path / "till.csv")
    said = refuse(path)
    assert "--same-day sum" in said
    assert said.count("row ") >= 3
    ignored = run(path, "--same-day", "sum")
    assert ignored.demand == frame.demand.clip(lower=0).sum()
    assert "returns: 40 rows" in ignored.said
    net = frame.groupby(["sku", "date"]).demand.sum().clip(lower=0).sum()
    done = run(path, "--same-day", "sum", "--returns", "subtract")
    assert done.demand == net
    assert all((s["known"] == 1).all() for s in done.series.values())
    day = frame[(frame.sku == "K0") & (frame.date == "2024-01-05")]
    sold = day[day.demand > 0]
    price = (sold.price * sold.demand).sum() / sold.demand.sum()
    assert done.series["K0@W0"]["price"][4] == pytest.approx(price)


def test_returns_in_a_daily_table(run: Import, refuse: Refuse, tmp_path: Path) -> None:
    frame = table()
    frame.loc[frame.index[::20], "demand"] = -2
    path = csv(frame, tmp_path / "t.csv")
    said = refuse(path)
    assert "--returns ignore or --returns subtract" in said
    assert "demand -2" in said
    done = run(path, "--returns", "ignore")
    assert done.demand == frame.demand.clip(lower=0).sum()
    assert all((s["known"] == 1).all() for s in done.series.values())


# --- values that do not erase a demand, and stock ------------------------------------------


def test_a_bad_price_flag_or_stock_keeps_the_demand(run: Import, tmp_path: Path) -> None:
    frame = table().assign(price=2.0, promotion="0", on_hand="9").astype({"price": str})
    frame.loc[frame.index[::10], "price"] = "0"
    frame.loc[5, "price"], frame.loc[6, "promotion"], frame.loc[7, "on_hand"] = "n.a.", "?", "many"
    frame.loc[20, "promotion"] = "yes"
    done = run(csv(frame, tmp_path / "t.csv"))
    assert done.demand == frame.demand.sum()
    assert "bad_price 145, bad_flag 1, bad_on_hand 1" in done.manifest.source
    assert all((s["known"] == 1).all() for s in done.series.values())
    assert all((s["price"] == 2.0).all() for s in done.series.values())
    assert done.series["K0@W0"]["promotion"].nonzero()[0].tolist() == [20]
    rules = pq.read_table(tmp_path / "set.quarantine.parquet").column("rule").to_pylist()
    assert (len(rules), rules.count("bad_price")) == (147, 145)


@pytest.mark.parametrize(
    ("column", "value", "problem"),
    [("price", "€ 2.50", "is not a positive number"), ("on_sale", "ja", "is neither 0 nor 1"),
     ("on_hand", "many", "is not a number")],
)  # fmt: skip
def test_a_column_of_which_nothing_can_be_read(
    refuse: Refuse, tmp_path: Path, column: str, value: str, problem: str
) -> None:
    said = refuse(csv(table().assign(**{column: value}), tmp_path / "t.csv"))
    assert value in said
    assert problem in said
    assert f"--ignore-columns {column}" in said


def test_days_that_were_sold_out(run: Import, tmp_path: Path) -> None:
    frame = table().assign(on_hand=12)
    out = frame.index[3::30]
    frame.loc[out, "on_hand"] = 0
    frame.loc[out[0], "on_hand"] = -4
    frame.loc[out[1], "demand"] = np.nan
    done = run(csv(frame, tmp_path / "t.csv"))
    assert f"sold out: {len(out)} days of 12 inventories" in done.said
    assert done.demand == frame.drop(index=out).demand.sum()
    assert all((s["on_sale"] == 1).all() for s in done.series.values())
    assert done.series["K0@W0"]["known"].tolist()[:5] == [1, 1, 1, 0, 1]
    given = frame.assign(known=(frame.on_hand > 0).astype(int)).drop(columns="on_hand")
    again = run(csv(given, tmp_path / "known.csv"))
    assert again.demand == done.demand


def test_off_sale_days_without_a_figure_are_facts(run: Import, tmp_path: Path) -> None:
    frame = table().assign(on_sale=1).astype({"demand": object})
    off = (frame.sku == "K3") & frame.date.between("2024-02-01", "2024-02-10")
    frame.loc[off, ["demand", "on_sale"]] = ["", 0]
    done = run(csv(frame, tmp_path / "t.csv"), "--max-bad-share", 0)
    assert (done.series["K3@W1"]["on_sale"] == 0).sum() == 10


# --- the end of a warehouse's rows -----------------------------------------------------------


@pytest.mark.parametrize("options", [(), ("--absent-day", "zero")])
@pytest.mark.parametrize("days", [1, 5])
def test_a_file_that_comes_late_ends_nobody(
    run: Import, tmp_path: Path, options: tuple[str, ...], days: int
) -> None:
    """Off sale, a whole warehouse would not be ordered for on the next morning."""
    frame = table(skus=30, days=120)
    frame["demand"] += 1
    last = sorted(frame.date.unique())[-days]
    late = (frame.warehouse == "W1") & (frame.date >= last)
    ended = (frame.sku == "K3") & (frame.date >= "2024-03-01")
    path = csv(frame[~late & ~ended], tmp_path / "t.csv")
    done = run(path, *options)
    assert f"no row yet of the last days: W1 {days} days (of 1 warehouses)" in done.said
    assert "2 inventories end before" in done.said
    for name, quantities in done.series.items():
        waits = name.endswith("W1") and not name.startswith("K3")
        goes_on = waits or not name.startswith("K3") or bool(options)
        assert (quantities["on_sale"][-days:] == goes_on).all()
        assert (quantities["known"][-days:] == (not waits)).all()
    chosen = run(path, *options, "--after-last", "off-sale")
    assert chosen.series["K1@W1"]["on_sale"][-days:].sum() == 0


@pytest.mark.parametrize("options", [(), ("--absent-day", "zero")])
def test_a_warehouse_that_closes_for_good(
    run: Import, tmp_path: Path, options: tuple[str, ...]
) -> None:
    frame = table(skus=30, days=120)
    frame["demand"] += 1
    path = csv(frame[(frame.warehouse == "W0") | (frame.date < "2024-03-15")], tmp_path / "t.csv")
    done = run(path, *options)
    assert "no row yet" not in done.said
    for name, quantities in done.series.items():
        assert quantities["on_sale"][-20:].any() == name.endswith("W0")
