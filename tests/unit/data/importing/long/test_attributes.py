"""The inventory attributes of an import."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from pipeline.data.panel import Panel
from tests.unit.data.long_tables import Import, Refuse, table


@pytest.fixture
def sales(tmp_path: Path) -> Path:
    path = tmp_path / "sales.csv"
    table().to_csv(path, index=False)
    return path


def attributes(path: Path, sep: str = ",", **columns: object) -> Path:
    frame = table()[["sku", "warehouse"]].drop_duplicates(ignore_index=True)
    frame.assign(**columns).to_csv(path, index=False, sep=sep)
    return path


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("Lead Time (Days)", "did you mean lead_time?"),
        ("lead-time", "did you mean lead_time?"),
        ("Holding Cost per Unit", "did you mean holding_cost?"),
        ("shortagecost", "did you mean shortage_cost?"),
        ("fillmin", "did you mean fill_min?"),
        ("supplier code", "leave them out with --ignore-columns supplier code"),
        ("supplier", "leave them out with --ignore-columns supplier"),
    ],
)
def test_unknown_columns(
    run: Import, refuse: Refuse, sales: Path, tmp_path: Path, name: str, hint: str
) -> None:
    path = attributes(tmp_path / "a.csv", **{name: 3})
    assert hint in refuse(sales, "--attributes", path)
    assert run(sales, "--attributes", path, "--ignore-columns", name).demand > 0


def test_case_and_blanks_do_not_matter(run: Import, sales: Path, tmp_path: Path) -> None:
    path = attributes(tmp_path / "a.csv", **{"Lead Time": 3, "HOLDING_COST": 0.5})
    statics = run(sales, "--attributes", path).statics
    assert statics.lead_time.eq(3).all()
    assert statics.holding_cost.eq(0.5).all()


def test_the_names_of_the_sales_hold_here_too(run: Import, sales: Path, tmp_path: Path) -> None:
    renamed = {"sku": "Item", "warehouse": "Store"}
    table().rename(columns=renamed).to_csv(sales, index=False)
    path = attributes(tmp_path / "a.csv", lead_time=3)
    names = ("--columns", "sku=Item", "warehouse=Store")
    for columns in ({}, renamed):
        pd.read_csv(path).rename(columns=columns).to_csv(path, index=False)
        assert run(sales, *names, "--attributes", path).statics.lead_time.eq(3).all()


def test_the_inventories_of_a_data_set_are_attributes(
    run: Import, sales: Path, tmp_path: Path
) -> None:
    first = run(sales, "--seed", 3).statics
    path = tmp_path / "inventories.parquet"
    Panel(tmp_path / "set").read_inventories().to_pandas().to_parquet(path)
    again = run(sales, "--seed", 4, "--attributes", path).statics.loc[first.index]
    for name in ("lead_time", "review_period", "shortage_cost", "price"):
        assert again[name].tolist() == first[name].tolist()


def test_marks_in_costs(run: Import, refuse: Refuse, sales: Path, tmp_path: Path) -> None:
    path = attributes(tmp_path / "a.csv", ";", holding_cost="0,25", shortage_cost="1.250,5")
    said = refuse(sales, "--attributes", path)
    assert "0,25" in said
    assert "--decimal ," in said
    statics = run(sales, "--attributes", path, "--decimal", ",").statics
    assert statics.holding_cost.eq(0.25).all()
    assert statics.shortage_cost.eq(1250.5).all()
    path = attributes(tmp_path / "a.csv", ";", shortage_cost="1.250")
    assert "exactly three digits" in refuse(sales, "--attributes", path)


def test_blanks_of_every_kind_are_counted(run: Import, sales: Path, tmp_path: Path) -> None:
    lead = ["3", "", "NA", " ", *["4"] * 8]
    path = attributes(tmp_path / "a.csv", lead_time=lead, review_period=1)
    done = run(sales, "--attributes", path)
    assert "lead_time: 3 of 12 drawn" in done.said
    assert "review_period:" not in done.said
    median = run(sales, "--attributes", path, "--fill-missing", "median")
    assert "lead_time: 3 of 12 filled with the median" in median.manifest.source
    assert median.statics.lead_time.value_counts().to_dict() == {4: 11, 3: 1}


def test_the_manifest_says_what_was_drawn_and_nothing_else(
    run: Import, sales: Path, tmp_path: Path
) -> None:
    terms = {"lead_time_jitter": 0, "fill_min": 1, "review_period": 1, "review_offset": 0}
    given: dict[str, object] = {**terms, "holding_cost": 0.1, "shortage_cost": 2.0, "price": 10}
    lead = [*["3"] * 11, ""]
    path = attributes(tmp_path / "a.csv", lead_time=lead, **given)
    drawn = run(sales, "--attributes", path).manifest.source
    assert "not in the source but drawn (lead_time; seed 1)" in drawn
    median = run(sales, "--attributes", path, "--fill-missing", "median").manifest.source
    assert "nothing drawn; lead_time: 1 of 12 filled with the median" in median
    path = attributes(tmp_path / "a.csv", lead_time=3, **{**given, "price": ""})
    assert (
        "drawn (price; seed 1): prices: lognormal"
        in run(sales, "--attributes", path).manifest.source
    )
    path = attributes(tmp_path / "a.csv", lead_time=3, **given)
    assert "; nothing drawn." in run(sales, "--attributes", path).manifest.source
