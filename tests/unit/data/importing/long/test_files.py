"""Long tables as other programs write them: names of columns, files, encodings."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.unit.data.long_tables import Import, Refuse, csv, table

# --- names ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "names",
    [
        ["store_nbr", "item_nbr", "date", "unit_sales"],
        ["location", "product", "ds", "y"],
        ["Branch ID", "Article", "Order Date", "Qty"],
        ["plant", "material", "day", "quantity"],
    ],
)
def test_the_error_holds_the_option_that_imports_it(
    run: Import, refuse: Refuse, tmp_path: Path, names: list[str]
) -> None:
    ours = ["warehouse", "sku", "date", "demand"]
    path = csv(table()[ours].set_axis(names, axis=1), tmp_path / "t.csv")
    said = refuse(path)
    missing = [name for name in ours if name not in names]
    for name in missing:
        assert f"{name}={names[ours.index(name)]}" in said.replace("'", "")
    pairs = [f"{a}={b}" for a, b in zip(ours, names, strict=True) if a != b]
    assert run(path, "--columns", *pairs).demand == table().demand.sum()


def test_two_likely_names_are_not_guessed(refuse: Refuse, tmp_path: Path) -> None:
    frame = table().rename(columns={"demand": "units"}).assign(sales=1.5)
    said = refuse(csv(frame, tmp_path / "t.csv"))
    assert "demand=NAME" in said


def test_case_and_blanks_do_not_matter(run: Import, tmp_path: Path) -> None:
    frame = (
        table().set_axis([" SKU", "Warehouse ", "DATE", "Demand"], axis=1).assign(**{"On Sale": 1})
    )
    done = run(csv(frame, tmp_path / "t.csv"))
    assert done.demand == table().demand.sum()
    assert "not used" not in done.said


def test_two_columns_that_differ_in_case_are_not_guessed(refuse: Refuse, tmp_path: Path) -> None:
    frame = table().rename(columns={"demand": "Demand"}).assign(DEMAND=0)
    assert "could be any of Demand, DEMAND" in refuse(csv(frame, tmp_path / "t.csv"))


def test_a_table_without_warehouses(run: Import, refuse: Refuse, tmp_path: Path) -> None:
    frame = table(warehouses=1).drop(columns="warehouse")
    frame = frame.set_axis(["unique_id", "ds", "y"], axis=1)
    path = csv(frame, tmp_path / "t.csv")
    names = ("--columns", "sku=unique_id", "date=ds", "demand=y")
    assert "--warehouse NAME" in refuse(path, *names)
    assert set(run(path, *names, "--warehouse", "O'Hare").statics.warehouse) == {"O'Hare"}
    both = csv(table(), tmp_path / "both.csv")
    assert "has a column for it" in refuse(both, "--warehouse", "W9")


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        (("Item=sku",), r"Write our name first: --columns sku=Item"),
        (("item=Item",), r"OURS is one of sku"),
        (("sku=Nothing",), r"names no column of t\.csv"),
        (("sku",), r"Write OURS=THEIRS"),
    ],
)
def test_wrong_pairs(refuse: Refuse, tmp_path: Path, pairs: tuple[str, ...], message: str) -> None:
    path = csv(table().rename(columns={"sku": "Item"}), tmp_path / "t.csv")
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(refuse(path, "--columns", *pairs))


def test_a_name_with_a_comma_or_an_equals_sign(run: Import, tmp_path: Path) -> None:
    frame = table().rename(columns={"demand": "Units, sold (a=b)", "sku": "Item"})
    path = csv(frame, tmp_path / "t.csv")
    done = run(path, "--columns=sku=Item,demand=Units, sold (a=b)")
    assert done.demand == table().demand.sum()


@pytest.mark.parametrize("pairs", [("sku=demand",), ("sku=Item", "price=item")])
def test_one_column_is_not_two_of_ours(
    refuse: Refuse, tmp_path: Path, pairs: tuple[str, ...]
) -> None:
    path = csv(table().rename(columns={"sku": "Item"}), tmp_path / "t.csv")
    assert "Give each a column of its own" in refuse(path, "--columns", *pairs)


def test_unused_columns_are_named_unless_ignored(run: Import, tmp_path: Path) -> None:
    path = csv(table().assign(note="x", price=0), tmp_path / "t.csv")
    assert "columns not used: note" in run(path, "--ignore-columns", "price").said
    done = run(path, "--ignore-columns", "Note,price")
    assert "not used" not in done.said
    assert "prices: lognormal" in done.manifest.source


# --- files ---------------------------------------------------------------------------------


def test_characters_of_patterns_in_a_name(run: Import, refuse: Refuse, tmp_path: Path) -> None:
    other = csv(table(seed=2), tmp_path / "sales1.csv")
    for name in ("sales[1].csv", "sales*.csv", "sales?.csv"):
        assert run(csv(table(), tmp_path / name)).demand == table().demand.sum()
    table().to_parquet(tmp_path / "p[12].parquet")
    assert run(tmp_path / "p[12].parquet").demand == table().demand.sum()
    assert run(tmp_path / "sales[12].csv").demand == table(seed=2).demand.sum()
    other.unlink()
    assert "holds no Parquet or CSV file" in refuse(tmp_path / "sales[12].csv")


def test_a_folder_of_both_kinds_is_refused(refuse: Refuse, tmp_path: Path) -> None:
    folder = tmp_path / "both"
    folder.mkdir()
    csv(table(), folder / "a.csv")
    table(seed=2).to_parquet(folder / "b.parquet")
    assert "mixes Parquet and CSV files (b.parquet, a.csv)" in refuse(folder)


def months(folder: Path, kind: str, price_in: tuple[int, ...], extra: str = "price") -> Path:
    """Six months; some have another column."""
    folder.mkdir()
    frame = table(days=180)
    for i in range(6):
        part = frame[pd.to_datetime(frame.date).dt.month == i + 1]
        part = part.assign(**{extra: 2.5 + i}) if i in price_in else part
        path = folder / f"m{i}.{kind}"
        if kind == "csv":
            # Separators and the order of columns may change too.
            part[part.columns[:: -1 if i % 2 else 1]].to_csv(path, index=False, sep=",;"[i % 2])
        else:
            part.to_parquet(path)
    return folder


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize("price_in", [(0, 1), (2,), (4, 5), (0, 3)])
def test_a_column_that_only_some_files_have(
    run: Import, tmp_path: Path, kind: str, price_in: tuple[int, ...]
) -> None:
    done = run(months(tmp_path / "months", kind, price_in))
    frame = table(days=180)
    assert done.demand == frame[pd.to_datetime(frame.date).dt.month <= 6].demand.sum()
    day = [31, 29, 31, 30, 31, 28]
    expected = np.repeat([2.5 + i if i in price_in else np.nan for i in range(6)], day)
    filled = pd.Series(expected).ffill().bfill().to_numpy()
    for quantities in done.series.values():
        np.testing.assert_allclose(quantities["price"], filled)


def test_a_file_without_a_required_column_is_named(refuse: Refuse, tmp_path: Path) -> None:
    folder = months(tmp_path / "months", "csv", ())
    path = folder / "m3.csv"
    frame = pd.read_csv(path, sep=";").rename(columns={"demand": "units"})
    frame.to_csv(path, index=False)
    said = refuse(folder)
    assert "column of m3.csv = demand" in said
    assert "units" in said


def test_types_that_differ_between_files(run: Import, tmp_path: Path) -> None:
    folder = tmp_path / "types"
    folder.mkdir()
    frame = table()
    half = frame.date < "2024-03-01"
    frame[half].to_parquet(folder / "a.parquet")
    second = frame[~half].assign(date=pd.to_datetime(frame[~half].date).dt.date)
    second.assign(demand=second.demand.astype(float), promotion=True).to_parquet(
        folder / "b.parquet"
    )
    done = run(folder)
    assert done.demand == frame.demand.sum()
    one = done.series["K0@W0"]["promotion"]
    assert (one[:60].sum(), one[60:].sum()) == (0, 60)


def test_a_list_for_a_value_is_refused(refuse: Refuse, tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    table().assign(demand=[[1, 2]] * len(table())).to_parquet(path)
    assert "holds lists or records" in refuse(path)


def test_folders_that_carry_a_column(run: Import, tmp_path: Path) -> None:
    for kind in ("csv", "parquet"):
        root = tmp_path / kind
        for name, part in table().groupby("warehouse"):
            folder = root / f"warehouse={name}"
            folder.mkdir(parents=True)
            part = part.drop(columns="warehouse")
            if kind == "csv":
                csv(part, folder / "x.csv")
            else:
                part.to_parquet(folder / "x.parquet")
        assert set(run(root).statics.warehouse) == {"W0", "W1"}


def test_ragged_and_empty_files(refuse: Refuse, tmp_path: Path) -> None:
    path = csv(table(), tmp_path / "t.csv")
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:50], lines[50] + ",9", *lines[51:]]))
    said = refuse(path)
    assert "has 5 values in line 51 and 4 columns" in said
    (tmp_path / "none.csv").write_text("")
    assert "is empty" in refuse(tmp_path / "none.csv")
    (tmp_path / "head.csv").write_text("sku,warehouse,date,demand\n")
    assert "is empty" in refuse(tmp_path / "head.csv")
    (tmp_path / "book.xlsx").write_bytes(b"PK")
    assert "Save the sheet as CSV" in refuse(tmp_path / "book.xlsx")


# --- encodings -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("encoding", "option"),
    [
        ("cp1252", "cp1252"),
        ("cp1250", "cp1250"),
        ("utf-16", None),
        ("utf-16-le", "utf-16-le"),
        ("utf-8-sig", None),
        ("utf-8", "latin-1"),
        ("utf-16", "cp1252"),
    ],
)
def test_encodings(run: Import, tmp_path: Path, encoding: str, option: str | None) -> None:
    frame = table().replace({"warehouse": {"W0": "Łódź" if encoding == "cp1250" else "Zürich–Süd"}})
    path = csv(frame, tmp_path / "t.csv", encoding=encoding, sep=";", lineterminator="\r\n")
    done = run(path, *(("--encoding", option) if option else ()))
    assert set(done.statics.warehouse) == set(frame.warehouse)
    assert done.demand == frame.demand.sum()


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16-le", "shift_jis"])
def test_another_encoding_is_refused_with_its_line(
    refuse: Refuse, tmp_path: Path, encoding: str
) -> None:
    frame = table()
    name = "東京" if encoding == "shift_jis" else "Málaga"
    frame.loc[40:, "warehouse"] = name
    said = refuse(csv(frame, tmp_path / "t.csv", encoding=encoding))
    line = 1 if encoding == "utf-16-le" else 42
    assert f"is not UTF-8 (line {line}). Save it as UTF-8, or give --encoding" in said


def test_a_wrong_encoding(refuse: Refuse, tmp_path: Path) -> None:
    frame = table().replace({"warehouse": {"W0": "Málaga"}})
    path = csv(frame, tmp_path / "t.csv", encoding="latin-1")
    assert "does not fit" in refuse(path, "--encoding", "ascii")
    assert "is unknown" in refuse(path, "--encoding", "klingon")


def test_compressed_and_in_pieces(run: Import, refuse: Refuse, tmp_path: Path) -> None:
    folder = tmp_path / "pieces"
    folder.mkdir()
    frame = table().replace({"warehouse": {"W0": "Málaga"}})
    frame[:700].to_csv(folder / "a.csv.gz", index=False)
    frame[700:].to_csv(folder / "B.CSV", index=False, encoding="cp1252")
    assert run(folder, "--encoding", "cp1252").demand == frame.demand.sum()
    path = tmp_path / "cut.csv.gz"
    path.write_bytes(gzip.compress((folder / "B.CSV").read_bytes())[:-40])
    assert "cannot be read" in refuse(path)
