"""The shared cases of `data import long`: input and right value from each EXPECT.md."""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.unit.data.long_tables import Import, Refuse, shared_case


def test_attributes_blank(run: Import) -> None:
    case = shared_case("attributes_blank")
    done = run(case / "sales.csv", "--attributes", case / "attributes.csv")
    counted = "lead_time: 5 of 14, shortage_cost: 5 of 14 drawn"
    assert counted in done.said
    assert counted in done.manifest.source


def test_attributes_blank_refused_or_median(run: Import, refuse: Refuse) -> None:
    case = shared_case("attributes_blank")
    arguments = (case / "sales.csv", "--attributes", case / "attributes.csv", "--fill-missing")
    assert "lead_time: 5, shortage_cost: 5 are blank" in refuse(*arguments, "refuse")
    given = pd.read_csv(case / "attributes.csv")
    filled = run(*arguments, "median").statics
    for row in given[given.lead_time.isna()].itertuples():
        mine = filled.loc[f"{row.sku}@{row.warehouse}"]
        assert mine.lead_time == round(given.lead_time.median())
        assert mine.shortage_cost == pytest.approx(given.shortage_cost.median())


def test_attributes_typo(refuse: Refuse) -> None:
    case = shared_case("attributes_typo")
    said = refuse(case / "sales.csv", "--attributes", case / "attributes.csv")
    for name, near in (
        ("leadtime", "lead_time"), ("ReviewPeriod", "review_period"), ("holding", "holding_cost")
    ):  # fmt: skip
        assert f"{name}: did you mean {near}?" in said


def test_closed_days(run: Import) -> None:
    done = run(shared_case("closed_days") / "sales.csv")
    assert "closed: W0 21 days, W1 21 days" in done.said
    first = done.manifest.first_day.weekday()
    sunday = np.array([(first + t) % 7 == 6 for t in range(done.manifest.num_days)])
    for quantities in done.series.values():
        np.testing.assert_array_equal(quantities["on_sale"] == 0, sunday)
        assert (quantities["known"][~sunday] == 1).all()


def test_column_names(run: Import, refuse: Refuse) -> None:
    path = shared_case("column_names") / "sales.csv"
    said = refuse(path)
    assert "sku, warehouse, demand are missing" in said
    assert "--columns sku=Item warehouse=Store demand=Sales" in said
    pairs = ("sku=Item", "warehouse=Store", "date=Date", "demand=Sales")
    done = run(path, "--columns", *pairs)
    assert done.demand == pd.read_csv(path).Sales.sum()
    assert run(path, "--columns", ",".join(pairs)).series.keys() == done.series.keys()


def test_date_format_dmy(run: Import, refuse: Refuse) -> None:
    path = shared_case("date_format_dmy") / "sales.csv"
    said = refuse(path)
    assert "01/01/2024" in said
    assert "is not YYYY-MM-DD" in said
    assert "--date-format '%d/%m/%Y'" in said
    assert "--date-format '%d/%m/%Y'" in refuse(path, "--max-bad-share", 1)
    manifest = run(path, "--date-format", "%d/%m/%Y").manifest
    assert (manifest.first_day, manifest.num_days) == (date(2024, 1, 1), 150)


def test_folder_new_column(run: Import, tmp_path: Path) -> None:
    case = shared_case("folder_new_column") / "months"
    turned = tmp_path / "turned"
    turned.mkdir()
    for i, path in enumerate(sorted(case.iterdir(), reverse=True)):
        (turned / f"{i}.csv").write_bytes(path.read_bytes())
    for folder in (case, turned):
        done = run(folder)
        assert "prices: lognormal" not in done.manifest.source
        assert done.manifest.num_days == 150
        for quantities in done.series.values():
            assert (quantities["price"] == 2.5).all()


def test_latin1(run: Import, refuse: Refuse) -> None:
    path = shared_case("latin1") / "sales.csv"
    said = refuse(path)
    assert "is not UTF-8 (line 2). Save it as UTF-8, or give --encoding" in said
    assert "München" in set(run(path, "--encoding", "latin-1").statics.warehouse)


def test_sales_rows_only(run: Import, refuse: Refuse) -> None:
    path = shared_case("sales_rows_only") / "sales.csv"
    done = run(path, "--absent-day", "zero")
    q0 = done.series["Q0@W1"]
    assert (q0["on_sale"].sum(), q0["known"].sum(), q0["demand"].sum()) == (150, 150, 16)
    assert "inventories end before the table does (2024-05-29)" in done.said
    ended = run(path, "--absent-day", "zero", "--after-last", "off-sale").series["Q0@W1"]
    last = np.flatnonzero(q0["demand"])[-1]
    assert ended["on_sale"].sum() == last + 1
    said = refuse(path)
    assert "--absent-day zero" in said
    assert "--max-bad-share" not in said


def test_thousands_dot(run: Import, refuse: Refuse) -> None:
    path = shared_case("thousands_dot") / "sales.csv"
    said = refuse(path)
    assert "1.250, 2.250, 3.250" in said
    assert "exactly three digits after it" in said
    assert "--thousands ." in said
    for options in (("--decimal", ","), ("--thousands", ".")):
        assert run(path, *options).demand == 7_530_000


def test_till_lines(run: Import, refuse: Refuse) -> None:
    path = shared_case("till_lines") / "till.csv"
    assert "--same-day sum" in refuse(path)
    assert run(path, "--same-day", "sum").demand == 2745
    ignored = run(path, "--same-day", "sum", "--returns", "ignore")
    assert ignored.demand == 2745
    assert "returns: 22 rows of 22 units ignored" in ignored.said
    subtracted = run(path, "--same-day", "sum", "--returns", "subtract")
    assert subtracted.demand == 2723
    assert "--returns ignore" in refuse(
        path, "--same-day", "sum", "--returns", "refuse", "--max-bad-share", 0
    )


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "America/Los_Angeles"])
def test_timezone_parquet(run: Import, monkeypatch: pytest.MonkeyPatch, zone: str) -> None:
    monkeypatch.setitem(os.environ, "TZ", zone)
    manifest = run(shared_case("timezone_parquet") / "sales.parquet").manifest
    assert (manifest.first_day, manifest.num_days) == (date(2024, 1, 1), 150)


def test_weekly_as_daily(run: Import, refuse: Refuse) -> None:
    path = shared_case("weekly_as_daily") / "sales.csv"
    for options in ((), ("--absent-day", "zero"), ("--max-bad-share", 1)):
        said = refuse(path, *options)
        assert "the rows are weekly" in said
        assert "a week apart" in said
        assert "--period week" in said
    done = run(path, "--period", "week")
    frame = pd.read_csv(path)
    assert done.demand == frame.demand.sum()
    assert "stands for a week" in done.manifest.source
    first = frame.iloc[0]
    spread = done.series[f"{first.sku}@{first.warehouse}"]["demand"][:7]
    assert spread.sum() == first.demand
    assert spread.max() - spread.min() <= 1


def test_discontinued(run: Import) -> None:
    case = shared_case("discontinued")
    done = run(case / "sales.csv", "--attributes", case / "attributes.csv")
    old = done.series["K-OLD@W1"]
    last = (date(2024, 3, 1) - done.manifest.first_day).days
    assert (old["on_sale"][: last + 1] == 1).all()
    assert (old["on_sale"][last + 1 :] == 0).all()
    assert "1 inventories end before the table does" in done.said


@pytest.mark.parametrize(
    "name",
    ["never_sold", "pack_rounding", "rolling_window_review", "stock_late_order",
     "stock_negative_row"],
)  # fmt: skip
def test_all_rows_of_a_complete_table_are_known(run: Import, name: str) -> None:
    case = shared_case(name)
    done = run(case / "sales.csv", "--attributes", case / "attributes.csv")
    assert done.demand == pd.read_csv(case / "sales.csv").demand.sum()
    assert done.manifest.order_multiple == 1
    for quantities in done.series.values():
        assert (quantities["known"] == 1).all()
        assert (quantities["on_sale"] == 1).all()
