"""A planner's stock table: what cannot be right is counted, and the rest is ordered."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd
import pytest

from envs.errors import DataError
from pipeline.scenarios.dataset import DatasetSource
from pipeline.serving.snapshot import make_snapshot
from pipeline.serving.stock import BadStock

Spoil = Callable[[pd.DataFrame], pd.DataFrame]


@pytest.fixture(scope="module")
def table(source: DatasetSource) -> pd.DataFrame:
    """5 on hand and 1 arriving tomorrow, of each inventory of the data set."""
    ids = source.panel.read_inventories(["inventory_id"]).column(0).to_pylist()
    return pd.DataFrame({"inventory_id": ids, "on_hand": 5.0, "on_order": [[1.0]] * len(ids)})


def put(column: str, value: Any, rows: int = 3) -> Spoil:
    """The first rows with another value."""

    def spoil(table: pd.DataFrame) -> pd.DataFrame:
        values = table[column].tolist()
        return table.assign(**{column: [value] * rows + values[rows:]})

    return spoil


def written(
    source: DatasetSource, tmp_path: Path, table: pd.DataFrame, bad: BadStock = "zero"
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    table.to_parquet(tmp_path / "stock.parquet", index=False)
    made = make_snapshot(
        source, tmp_path / "s.parquet", stock=tmp_path / "stock.parquet", bad_stock=bad
    )
    return pd.read_parquet(tmp_path / "s.parquet").set_index("inventory_id"), made.stock


LATE = [1.0] + [0.0] * 20 + [7.0, 2.0]
ODD: dict[str, tuple[Spoil, str, float, float, bool]] = {
    # what is spoiled, the line's words, on hand and on order then, whether skip leaves it out
    "negative": (put("on_hand", -2.0), "3 have stock below 0", 0.0, 1.0, True),
    "missing number": (put("on_hand", None), "3 have no number on hand", 0.0, 1.0, True),
    "infinite": (put("on_hand", float("inf")), "3 have no number on hand", 0.0, 1.0, True),
    "no row": (lambda t: t.iloc[3:], "3 have no row", 0.0, 0.0, True),
    "late": (put("on_order", LATE), "3 have arrivals in more than 14 days", 5.0, 10.0, False),
    "negative arrival": (
        put("on_order", [1.0, -3.0]), "3 have arrivals that are no quantities", 5.0, 1.0, True),
    "missing arrival": (
        put("on_order", [1.0, None]), "3 have arrivals that are no quantities", 5.0, 1.0, True),
}  # fmt: skip


@pytest.mark.parametrize("what", list(ODD))
def test_odd_rows_stop_nobody(
    source: DatasetSource, table: pd.DataFrame, tmp_path: Path, what: str
) -> None:
    spoil, words, on_hand, on_order, left_out = ODD[what]
    odd, ids = spoil(table), table["inventory_id"]
    got, notes = written(source, tmp_path, odd)
    assert len(got) == len(table)
    assert len(notes) == 1
    assert words in notes[0]
    for name in ids[:3]:
        assert got.loc[name, "on_hand"] == on_hand
        assert np.sum(got.loc[name, "on_order"]) == on_order
    if what == "late":
        assert got.loc[ids[0], "on_order"][-1] == 9.0
    rest = got.loc[ids[3:]]
    assert (rest["on_hand"] == 5.0).all()
    assert (np.stack(rest["on_order"]).sum(1) == 1.0).all()

    got, notes = written(source, tmp_path, odd, "skip")
    assert set(ids) - set(got.index) == (set(ids[:3]) if left_out else set())
    assert ("left out" in notes[0]) == left_out
    with pytest.raises(DataError, match=f"{words}.*--bad-stock zero or skip"):
        written(source, tmp_path, odd, "refuse")


def test_a_row_that_is_there_twice_counts_once(
    source: DatasetSource, table: pd.DataFrame, tmp_path: Path
) -> None:
    got, notes = written(source, tmp_path, pd.concat([table, table.head(4)]))
    assert not notes
    assert (got["on_hand"] == 5.0).all()


@pytest.mark.parametrize("bad", ["zero", "skip"])
def test_rows_that_contradict_are_left_out(
    source: DatasetSource, table: pd.DataFrame, tmp_path: Path, bad: BadStock
) -> None:
    """No stock is likelier than another, and a guess may be a truckload too much."""
    odd = pd.concat([table, table.head(2).assign(on_hand=90.0)])
    got, (note,) = written(source, tmp_path, odd, bad)
    assert set(table["inventory_id"]) - set(got.index) == set(table["inventory_id"][:2])
    assert "2 have several rows that differ" in note
    assert "left out" in note


def test_inventories_of_elsewhere_are_counted(
    source: DatasetSource, table: pd.DataFrame, tmp_path: Path
) -> None:
    more = pd.concat([table, table.head(5).assign(inventory_id=[f"x{i}@y" for i in range(5)])])
    got, (note,) = written(source, tmp_path, more)
    assert len(got) == len(table)
    assert "5 are not in the data set (e.g. x0@y)" in note
    with pytest.raises(DataError, match="5 are not in the data set"):
        written(source, tmp_path, more, "refuse")


def test_a_table_of_right_rows_has_no_notes(
    source: DatasetSource, table: pd.DataFrame, tmp_path: Path
) -> None:
    for bad in ("zero", "skip", "refuse"):
        assert written(source, tmp_path, table, bad)[1] == ()  # type: ignore[arg-type]


def test_csv_is_read_as_parquet_is(
    source: DatasetSource, table: pd.DataFrame, tmp_path: Path
) -> None:
    expected, _ = written(source, tmp_path, table)
    table.to_csv(tmp_path / "stock.csv", index=False)
    summary = make_snapshot(source, tmp_path / "s.parquet", stock=tmp_path / "stock.csv")
    got = pd.read_parquet(tmp_path / "s.parquet").set_index("inventory_id")
    assert summary.stock == ()
    assert got["on_hand"].equals(expected["on_hand"])
    assert (np.stack(got["on_order"]) == np.stack(expected["on_order"])).all()
    # Words and dashes are what a spreadsheet leaves where somebody did not know.
    text = (tmp_path / "stock.csv").read_text().replace("5.0,[1.0]", "-,[1.0]", 2)
    (tmp_path / "stock.csv").write_text(text.replace("5.0,[1.0]", "5.0,soon", 1))
    summary = make_snapshot(source, tmp_path / "s.parquet", stock=tmp_path / "stock.csv")
    assert [note.split(": ")[1].split(" (")[0] for note in summary.stock] == [
        "2 have no number on hand", "1 have arrivals that are no quantities"
    ]  # fmt: skip


def test_names_and_ids_as_other_systems_write_them(
    source: DatasetSource, table: pd.DataFrame, tmp_path: Path
) -> None:
    expected, _ = written(source, tmp_path, table)
    padded = table.assign(inventory_id=table["inventory_id"] + "  ").rename(columns=str.upper)
    parts = table["inventory_id"].str.split("@", expand=True)
    apart = table.drop(columns="inventory_id").assign(sku=parts[0], Warehouse=parts[1])
    for same in (padded, apart):
        got, notes = written(source, tmp_path, same)
        assert notes == ()
        assert got["on_hand"].equals(expected["on_hand"])


def test_a_number_that_cannot_be_read_is_not_taken_for_zero(
    source: DatasetSource, table: pd.DataFrame, tmp_path: Path
) -> None:
    """The marks between thousands are in the largest stocks: 0 would order for them again."""
    odd = put("on_hand", "1,250", 2)(table).astype({"on_hand": str})
    for bad in get_args(BadStock):
        if bad != "refuse":
            got, (note,) = written(source, tmp_path, odd, bad)
            assert "2 have an on_hand that is no number" in note
            assert "left out" in note
            assert set(table["inventory_id"]) - set(got.index) == set(table["inventory_id"][:2])
    with pytest.raises(DataError, match=r"on_hand .*= 5,5 \(all rows\) holds no number.*a point"):
        written(source, tmp_path, table.assign(on_hand="5,5"))


HOPELESS: dict[str, tuple[Spoil, str]] = {
    "no on_hand": (lambda t: t.drop(columns="on_hand"), "on_hand is missing"),
    "other ids": (lambda t: t.assign(inventory_id=range(len(t))), "neither is any other"),
    "one arrival": (lambda t: t.assign(on_order=1.0), "on_order .*list"),
    "no number at all": (lambda t: t.assign(on_hand="many"), "on_hand .*holds no number"),
    "nobody left": (lambda t: t.assign(on_hand=-1.0), "leaves no inventory"),
}


@pytest.mark.parametrize("what", list(HOPELESS))
def test_a_table_that_is_none_is_named(
    source: DatasetSource, table: pd.DataFrame, tmp_path: Path, what: str
) -> None:
    spoil, message = HOPELESS[what]
    with pytest.raises(DataError, match=message):
        written(source, tmp_path, spoil(table), "skip")
    assert not (tmp_path / "s.parquet").exists()
    (tmp_path / "text.parquet").write_text("hello")
    with pytest.raises(DataError, match="cannot be read"):
        make_snapshot(source, tmp_path / "s.parquet", stock=tmp_path / "text.parquet")
