"""`data check`: the summary, and damage that opening cannot see."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from envs.errors import DataError
from pipeline.data.check import check
from pipeline.data.parts import file_info
from pipeline.data.schema import INVENTORIES, MANIFEST, SALES_CLASSES, UNKNOWN

PART = "panel/part-00000.parquet"


def change_value(directory: Path, quantity: str, row: int, day: int, value: float) -> None:
    """Change one value of the panel, and make the manifest agree."""
    path = directory / PART
    footer = pq.read_metadata(path)
    table = pq.read_table(path)
    column = table.column(quantity).combine_chunks()
    values = column.flatten().to_numpy().reshape(len(table), -1).copy()
    values[row, day] = value
    index = table.schema.get_field_index(quantity)
    field = table.schema.field(quantity)
    array = pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), type=field.type)
    table = table.set_column(index, field, array)
    with pq.ParquetWriter(path, table.schema) as writer:
        first = 0
        for i in range(footer.num_row_groups):
            size = footer.row_group(i).num_rows
            writer.write_table(table.slice(first, size), row_group_size=size)
            first += size
    update_manifest(directory, PART)


def update_manifest(directory: Path, name: str) -> None:
    path = directory / MANIFEST
    manifest = json.loads(path.read_text())
    rows = manifest["files"][name]["rows"]
    manifest["files"][name] = file_info(directory / name, rows).model_dump()
    path.write_text(json.dumps(manifest))


def test_summary(generated: Path) -> None:
    text = check(generated)
    for part in (
        "300 inventories × 150 days in 6 warehouses",
        "checksums verified",
        "days 56..107 (2024-02-26 .. 2024-04-17): 270 inventories, validation 30",
        "days 108..149",
        "unmet demand lost",
        "b / h",
        "lead time",
        "review period   1:",
    ):
        assert part in text
    table = [line.split() for line in text.splitlines()[-len(SALES_CLASSES) :]]
    assert [line[0] for line in table] == list(SALES_CLASSES)
    assert sum(int(line[1]) for line in table) == 300
    assert sum(float(line[3].rstrip("%")) for line in table) == pytest.approx(100, abs=0.5)


def test_a_changed_byte(copied: Path) -> None:
    path = copied / PART
    content = bytearray(path.read_bytes())
    content[2000] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match=f"sha256 of .*{PART}"):
        check(copied)


@pytest.mark.parametrize(
    ("quantity", "value", "message"),
    [
        ("demand", -1.0, "demand of inventory .* on 2024-01-06 .* is negative"),
        ("demand", np.nan, "demand .* is not finite"),
        ("price", np.inf, "price .* is not finite"),
        ("price", 0.0, "price .* is not positive"),
        ("promotion", 2, "promotion .* neither 0 nor 1"),
        ("known", 255, "known .* neither 0 nor 1"),
        ("on_sale", 255, "on_sale .* neither 0 nor 1"),
    ],
)
def test_a_bad_value(copied: Path, quantity: str, value: Any, message: str) -> None:
    change_value(copied, quantity, 70, 5, value)
    with pytest.raises(DataError, match=message):
        check(copied)


def test_demand_off_sale(copied: Path) -> None:
    change_value(copied, "demand", 0, 5, 3.0)
    change_value(copied, "on_sale", 0, 5, 0)
    with pytest.raises(DataError, match="is not 0 while off sale"):
        check(copied)


@pytest.mark.parametrize(
    ("quantity", "value", "message"),
    [
        ("promotion", 7, "promotion .* neither 0, 1 nor 255"),
        ("price", 0.0, "price .* is not positive"),
        ("price", np.inf, "price .* is not positive"),
    ],
)
def test_a_bad_value_of_a_day_ahead(
    copied: Path, quantity: str, value: float, message: str
) -> None:
    change_value(copied, quantity, 70, 160, value)
    with pytest.raises(DataError, match=message):
        check(copied)


def test_days_ahead_may_be_unknown(copied: Path) -> None:
    assert "days ahead      price known in 100%, on_sale known in 100%" in check(copied)
    change_value(copied, "price", 70, 160, np.nan)
    for quantity in ("on_sale", "promotion", "event", "snap"):
        change_value(copied, quantity, 70, 160, UNKNOWN)
    assert check(copied)


def test_demand_that_is_not_known(copied: Path) -> None:
    change_value(copied, "demand", 0, 5, 3.0)
    change_value(copied, "known", 0, 5, 0)
    with pytest.raises(DataError, match="is not 0 and not known"):
        check(copied)


def test_ids_that_differ_or_are_there_twice(copied: Path) -> None:
    path = copied / INVENTORIES
    table = pq.read_table(path)
    sizes = [pq.read_metadata(path).row_group(i).num_rows for i in range(6)]
    ids = table.column("inventory_id").to_pylist()

    def rewrite(changed: list[str]) -> None:
        new = table.set_column(0, table.schema.field(0), [pa.array(changed)])
        with pq.ParquetWriter(path, new.schema) as writer:
            first = 0
            for size in sizes:
                writer.write_table(new.slice(first, size), row_group_size=size)
                first += size
        update_manifest(copied, INVENTORIES)

    rewrite([ids[1], ids[0], *ids[2:]])
    with pytest.raises(DataError, match="differs between"):
        check(copied)
    rewrite([ids[1], *ids[1:]])
    with pytest.raises(DataError, match=f"{ids[1]} is there twice"):
        check(copied)
