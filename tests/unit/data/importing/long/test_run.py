"""The long-table import: round trip, each quality rule, attributes, options."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from envs.errors import DataError
from pipeline.data.check import check
from pipeline.data.importing.common import ImportOptions
from pipeline.data.importing.long.options import LongOptions
from pipeline.data.importing.long.run import import_long
from pipeline.data.panel import Panel
from tests.unit.data.long_tables import ahead_of, series

LongFrame = Callable[[], pd.DataFrame]
LENIENT = ImportOptions(max_bad_share=0.5, tile_rows=64)


def statics(directory: Path) -> pd.DataFrame:
    return Panel(directory).read_inventories().to_pandas().set_index("inventory_id")


def write(frame: pd.DataFrame, tmp_path: Path, kind: str = "parquet") -> Path:
    path = tmp_path / f"table.{kind}"
    if kind == "csv":
        frame.to_csv(path, index=False)
    else:
        frame.to_parquet(path)
    return path


def rules(out: Path) -> Counter[str]:
    table = pq.read_table(out.with_name(f"{out.name}.quarantine.parquet"))
    return Counter(table.column("rule").to_pylist())


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_round_trip_in_any_row_order(
    generated: Path, long_frame: LongFrame, tmp_path: Path, kind: str
) -> None:
    table = pd.concat([long_frame(), ahead_of(generated)])
    shuffled = table.sample(frac=1, random_state=0, ignore_index=True)
    out = tmp_path / "set"
    manifest = import_long(write(shuffled, tmp_path, kind), out, ImportOptions(tile_rows=64))
    assert (manifest.num_inventories, manifest.num_days) == (300, 150)
    assert manifest.first_day == date(2024, 1, 1)
    expected, actual = series(generated), series(out)
    assert expected.keys() == actual.keys()
    for name, quantities in expected.items():
        for quantity, values in quantities.items():
            np.testing.assert_array_equal(actual[name][quantity], values, err_msg=quantity)
    assert sum(t.rows for t in Panel(out).tiles("validation")) == 30
    assert "45,000 rows passed" in manifest.source
    assert "lead times: lognormal" in manifest.source
    assert check(out)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["set", f"table.{kind}"]


def test_row_order_does_not_matter_and_the_seed_does(long_frame: LongFrame, tmp_path: Path) -> None:
    frame = long_frame()
    one = import_long(write(frame, tmp_path), tmp_path / "one")
    two = import_long(write(frame.iloc[::-1], tmp_path), tmp_path / "two")
    three = import_long(write(frame, tmp_path), tmp_path / "three", ImportOptions(seed=2))
    assert one.files == two.files
    assert one.files != three.files


def test_a_folder_of_files(long_frame: LongFrame, tmp_path: Path) -> None:
    frame = long_frame()
    folder = tmp_path / "parts"
    folder.mkdir()
    frame.iloc[:20_000].to_parquet(folder / "a.parquet")
    frame.iloc[20_000:].to_parquet(folder / "b.parquet")
    assert import_long(folder, tmp_path / "set").num_inventories == 300


def test_every_rule(long_frame: LongFrame, tmp_path: Path) -> None:
    """One bad row of each kind, each in another inventory, in a CSV file."""
    frame = long_frame().astype({"demand": str, "promotion": str, "price": str})
    frame["demand"] = frame["demand"].where(frame.on_sale == 1, "0")
    frame.loc[frame.on_sale == 0, "on_sale"] = 1
    row = {i: 150 * i + 100 for i in range(12)}  # day 100 of inventory i
    frame.loc[row[0], "demand"] = "-3"
    frame.loc[row[1], "demand"] = ""
    frame.loc[row[2], "demand"] = "many"
    frame.loc[row[3], "demand"] = "2e7"
    frame.loc[row[4], "demand"] = "900000"
    frame.loc[row[5], "price"] = "0"
    frame.loc[row[6], "promotion"] = "maybe"
    frame.loc[row[7], ["demand", "on_sale"]] = ["4", 0]
    frame.loc[row[8], "date"] = "2024-02-31"
    frame.loc[row[9], "sku"] = ""
    twice = frame.loc[[row[10]]]
    frame = pd.concat([frame.drop(index=row[11]), twice], ignore_index=True)
    ids = (frame.sku + "@" + frame.warehouse).iloc[[150 * i for i in range(12)]].tolist()
    out = tmp_path / "set"
    manifest = import_long(write(frame, tmp_path, "csv"), out, LENIENT)
    # Rows without date or id also leave a gap.
    assert rules(out) == {
        "negative_demand": 1, "missing_demand": 2, "absurd_demand": 2, "bad_price": 1,
        "bad_flag": 1, "demand_off_sale": 1, "bad_date": 1, "unknown_id": 1,
        "duplicate_day": 2, "gap": 3,
    }  # fmt: skip
    assert "13 were quarantined" in manifest.source
    assert "Values of bad_price 1, bad_flag 1 rows" in manifest.source
    for i, name in enumerate(ids):
        lost = i not in (5, 6)  # a bad price or flag does not erase the day's demand
        assert series(out)[name]["known"][100] == (not lost)
    for name, quantities in series(out).items():
        assert (quantities["on_sale"] == 1).all(), "the assortment is known all the same"
        assert quantities["known"].sum() == (149 if name in ids else 150) + (name in ids[5:7])
        assert (quantities["demand"][quantities["known"] == 0] == 0).all()
        assert (quantities["price"] > 0).all()
    assert check(out)
    quarantined = pq.read_table(tmp_path / "set.quarantine.parquet").to_pandas()
    negative = quarantined[quarantined.rule == "negative_demand"].iloc[0]
    assert negative.row == row[0] + 1
    assert negative.date == "2024-04-10"
    assert json.loads(negative["values"])["demand"] == "-3"
    gap = quarantined[(quarantined.rule == "gap") & (quarantined.date == "2024-04-10")].iloc[0]
    assert json.loads(gap["values"])["days"] == 1
    assert np.isnan(gap.row)


def test_a_return_beside_a_sale_on_one_day_makes_both_suspect(
    long_frame: LongFrame, tmp_path: Path
) -> None:
    frame = long_frame()
    returned = frame.loc[[5]].assign(demand=-1.0, on_sale=1)
    name = f"{frame.sku[5]}@{frame.warehouse[5]}"
    out = tmp_path / "set"
    import_long(write(pd.concat([frame, returned]), tmp_path), out, LENIENT)
    assert rules(out) == {"negative_demand": 1, "duplicate_day": 1}
    assert (series(out)[name]["on_sale"][5], series(out)[name]["known"][5]) == (1, 0)


def test_too_many_bad_rows_stop_the_import(long_frame: LongFrame, tmp_path: Path) -> None:
    frame = long_frame()
    frame.loc[:499, "demand"] = -1.0
    out = tmp_path / "set"
    with pytest.raises(DataError, match=r"1\.11% \(negative_demand 500\)"):
        import_long(write(frame, tmp_path), out)
    assert not out.exists()
    assert rules(out) == {"negative_demand": 500}
    import_long(write(frame, tmp_path), out, ImportOptions(max_bad_share=0.02))
    assert out.exists()


def test_too_many_duplicates_stop_the_import(long_frame: LongFrame, tmp_path: Path) -> None:
    frame = long_frame()
    out = tmp_path / "set"
    with pytest.raises(DataError, match="duplicate_day 600"):
        import_long(write(pd.concat([frame, frame.iloc[:300]]), tmp_path), out)
    assert not out.exists()


def test_absent_days_are_gaps_unless_said_to_be_zero(long_frame: LongFrame, tmp_path: Path) -> None:
    sparse = long_frame().query("demand > 0")
    path = write(sparse, tmp_path)
    with pytest.raises(DataError, match="gap"):
        import_long(path, tmp_path / "gap")
    out = tmp_path / "zero"
    import_long(path, out, None, LongOptions(absent_day="zero"))
    first = sparse.iloc[0]
    own = sparse[(sparse.sku == first.sku) & (sparse.warehouse == first.warehouse)]
    values = series(out)[f"{first.sku}@{first.warehouse}"]
    days = pd.to_datetime(own.date)
    span = (days.max() - days.min()).days + 1
    assert (values["on_sale"] * values["known"]).sum() == span
    assert values["demand"].sum() == own.demand.sum()
    assert (values["demand"] > 0).sum() == len(own)


def test_optional_columns_may_be_missing(long_frame: LongFrame, tmp_path: Path) -> None:
    frame = long_frame()[["sku", "warehouse", "date", "demand"]]
    out = tmp_path / "set"
    manifest = import_long(write(frame, tmp_path), out)
    assert "prices: lognormal" in manifest.source
    table = statics(out)
    assert np.log(table.price).std() == pytest.approx(0.7, abs=0.1)
    for name, values in series(out).items():
        assert (values["on_sale"] == 1).all()
        assert values["promotion"].sum() == values["event"].sum() == values["snap"].sum() == 0
        assert (values["price"] == table.price[name]).all()


def test_missing_prices_are_carried(long_frame: LongFrame, tmp_path: Path) -> None:
    frame = long_frame()
    frame["price"] = np.nan
    frame.loc[10, "price"] = 2.5
    frame.loc[20, "price"] = 3.5
    out = tmp_path / "set"
    import_long(write(frame, tmp_path), out)
    price = series(out)[f"{frame.sku[0]}@{frame.warehouse[0]}"]["price"]
    assert price.tolist() == [2.5] * 20 + [3.5] * 130


def test_attributes(long_frame: LongFrame, tmp_path: Path) -> None:
    frame = long_frame()
    attributes = frame[["sku", "warehouse"]].drop_duplicates(ignore_index=True)
    attributes["lead_time"] = np.arange(len(attributes)) % 5
    attributes["holding_cost"] = 0.25
    attributes["category"] = "tools"
    attributes["weight"] = 2.0
    attributes.loc[0, "holding_cost"] = np.nan
    path = tmp_path / "attributes.csv"
    attributes.to_csv(path, index=False)
    out = tmp_path / "set"
    manifest = import_long(write(frame, tmp_path), out, None, LongOptions(attributes=path))
    table = statics(out)
    for row in attributes.itertuples():
        mine = table.loc[f"{row.sku}@{row.warehouse}"]
        assert mine.lead_time == row.lead_time
        assert (mine.holding_cost == 0.25) == (row.Index > 0)
        assert mine.holding_cost > 0
        assert 0.15 <= mine.shortage_cost / mine.price <= 0.45
        assert (mine.category, mine.weight) == ("tools", 2.0)
    assert "review_period" in manifest.source
    assert manifest.weight_meaning == "as given for each inventory"
    assert "(lead_time," not in manifest.source


def test_inventory_without_attributes_is_unknown(long_frame: LongFrame, tmp_path: Path) -> None:
    frame = long_frame()
    attributes = frame[["sku", "warehouse"]].drop_duplicates(ignore_index=True).iloc[1:]
    path = tmp_path / "attributes.csv"
    attributes.to_csv(path, index=False)
    out = tmp_path / "set"
    import_long(write(frame, tmp_path), out, LENIENT, LongOptions(attributes=path))
    assert rules(out) == {"unknown_id": 150}
    assert Panel(out).manifest.num_inventories == 299


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("lead_time", 100, r"lead_time \+ .*does not fit"),
        ("lead_time", -2, "lead_time of inventory .*negative"),
        ("review_offset", 40, "review_offset of inventory"),
        ("holding_cost", -1, "holding_cost of inventory"),
        ("review_period", "weekly", r"review_period .* in attributes\.csv = weekly is not"),
        ("lead_time", 2.5, r"lead_time .* in attributes\.csv = 2\.5 is not a whole number"),
        ("review_period", 100_000, "is not a whole number"),
        ("price", 0, "price .* is not a positive number"),
        ("weight", -1, "weight of inventory"),
    ],
)
def test_bad_attributes(
    long_frame: LongFrame, tmp_path: Path, column: str, value: object, message: str
) -> None:
    frame = long_frame()
    attributes = frame[["sku", "warehouse"]].drop_duplicates(ignore_index=True)
    attributes[column] = value
    path = tmp_path / "attributes.csv"
    attributes.to_csv(path, index=False)
    with pytest.raises(DataError, match=message):
        import_long(write(frame, tmp_path), tmp_path / "set", None, LongOptions(attributes=path))
    assert not (tmp_path / "set").exists()


def test_attributes_with_an_inventory_twice(long_frame: LongFrame, tmp_path: Path) -> None:
    frame = long_frame()
    path = tmp_path / "attributes.csv"
    frame[["sku", "warehouse"]].iloc[[0, 1]].to_csv(path, index=False)
    with pytest.raises(DataError, match="has several rows"):
        import_long(write(frame, tmp_path), tmp_path / "set", None, LongOptions(attributes=path))


def test_window_of_days(long_frame: LongFrame, tmp_path: Path) -> None:
    long = LongOptions(first_day=date(2024, 1, 11), last_day=date(2024, 5, 19))
    out = tmp_path / "set"
    manifest = import_long(write(long_frame(), tmp_path), out, None, long)
    assert (manifest.first_day, manifest.num_days) == (date(2024, 1, 11), 130)


def test_one_wild_date_is_refused(long_frame: LongFrame, tmp_path: Path) -> None:
    frame = long_frame()
    frame.loc[0, "date"] = "1924-01-01"
    with pytest.raises(DataError, match="--first-day"):
        import_long(write(frame, tmp_path), tmp_path / "set")


@pytest.mark.parametrize("column", ["sku", "warehouse", "date", "demand"])
def test_missing_column(long_frame: LongFrame, tmp_path: Path, column: str) -> None:
    frame = long_frame().drop(columns=column)
    with pytest.raises(DataError, match=f"{column} is missing"):
        import_long(write(frame, tmp_path), tmp_path / "set")
    assert not (tmp_path / "set").exists()


def test_truncated_source(long_frame: LongFrame, tmp_path: Path) -> None:
    path = write(long_frame(), tmp_path)
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(DataError, match=r"table\.parquet.*cannot be read"):
        import_long(path, tmp_path / "set")


def test_absent_or_empty_source(long_frame: LongFrame, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        import_long(tmp_path / "none.csv", tmp_path / "set")
    with pytest.raises(DataError, match="is empty"):
        import_long(write(long_frame().iloc[:0], tmp_path), tmp_path / "set")


def test_unusable_memory_limit(long_frame: LongFrame, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="memory_limit"):
        import_long(
            write(long_frame(), tmp_path), tmp_path / "set", None, LongOptions(memory_limit="lots")
        )


def test_memory_limit_that_is_too_small(long_frame: LongFrame, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="--memory-limit"):
        import_long(
            write(long_frame(), tmp_path), tmp_path / "set", None, LongOptions(memory_limit="1MB")
        )
    assert [p.name for p in tmp_path.iterdir()] == ["table.parquet"]


def test_attributes_without_an_id(long_frame: LongFrame, tmp_path: Path) -> None:
    frame = long_frame()
    attributes = frame[["sku", "warehouse"]].drop_duplicates(ignore_index=True)
    attributes.loc[3, "sku"] = None
    path = tmp_path / "attributes.parquet"
    attributes.to_parquet(path)
    with pytest.raises(DataError, match=r"attributes\.parquet has rows without one"):
        import_long(write(frame, tmp_path), tmp_path / "set", None, LongOptions(attributes=path))


def test_existing_out_and_unwritable_out(long_frame: LongFrame, tmp_path: Path) -> None:
    path = write(long_frame(), tmp_path)
    with pytest.raises(DataError, match="not a data set"):
        import_long(path, tmp_path, ImportOptions(overwrite=True))
    with pytest.raises(DataError, match="cannot be written"):
        import_long(path, path / "set")
