"""Reading: opening checks, tiles, splits, damaged files."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from envs.errors import DataError
from pipeline.data.panel import Panel
from pipeline.data.playable import validate_inventories
from pipeline.data.schema import (
    INVENTORIES,
    MANIFEST,
    ORDER_COLUMNS,
    QUANTITIES,
    STATIC_COLUMNS,
)

PART = "panel/part-00000.parquet"


def edit_manifest(directory: Path, **changes: Any) -> None:
    path = directory / MANIFEST
    content = json.loads(path.read_text())
    content.update(changes)
    path.write_text(json.dumps(content))


def rewrite(directory: Path, name: str, table: pa.Table) -> None:
    """Replace a Parquet file, keeping its row groups, and make the manifest agree."""
    path = directory / name
    sizes = [
        pq.read_metadata(path).row_group(i).num_rows
        for i in range(pq.read_metadata(path).num_row_groups)
    ]
    with pq.ParquetWriter(path, table.schema) as writer:
        first = 0
        for size in sizes:
            writer.write_table(table.slice(first, size), row_group_size=size)
            first += size
    manifest = json.loads((directory / MANIFEST).read_text())
    manifest["files"][name]["bytes"] = path.stat().st_size
    edit_manifest(directory, files=manifest["files"])


def test_tiles_cover_the_set_once_and_never_mix_splits(generated: Path) -> None:
    panel = Panel(generated)
    tiles = panel.tiles()
    assert [t.index for t in tiles] == list(range(len(tiles)))
    assert [t.first_row for t in tiles] == np.cumsum([0, *[t.rows for t in tiles]])[:-1].tolist()
    assert sum(t.rows for t in tiles) == 300
    assert sum(t.rows for t in panel.tiles("validation")) == 30
    assert panel.tiles("train") + panel.tiles("validation") == tiles
    for tile in tiles:
        assert set(panel.read(tile).static["split"]) == {tile.split}


def test_read_gives_the_contracted_shapes_and_types(generated: Path) -> None:
    panel = Panel(generated)
    tile = panel.tiles()[1]
    raw = panel.read(tile)
    assert set(raw.static) == {*STATIC_COLUMNS, *ORDER_COLUMNS}
    assert set(raw.dynamic) == set(QUANTITIES)
    for name, values in raw.dynamic.items():
        days = 150 + (42 if QUANTITIES[name].known_ahead else 0)
        assert values.shape == (tile.rows, days)
        assert values.dtype == QUANTITIES[name].dtype
    assert raw.static["lead_time"].dtype == np.int16
    assert raw.inventory_id.shape == (tile.rows,)
    assert all(
        i == f"{s}@{w}"
        for i, s, w in zip(
            raw.inventory_id, raw.static["sku"], raw.static["warehouse"], strict=True
        )
    )
    np.testing.assert_array_equal(panel.read_ids(tile), raw.inventory_id)


def test_dynamic_arrays_are_views_of_the_arrow_buffers(generated: Path) -> None:
    panel = Panel(generated)
    demand = panel.read(panel.tiles()[0], ["demand"]).dynamic["demand"]
    assert not demand.flags.owndata
    assert not demand.flags.writeable


def test_read_only_what_is_asked_for(generated: Path) -> None:
    panel = Panel(generated)
    raw = panel.read(panel.tiles()[0], ["price", "demand"])
    assert set(raw.dynamic) == {"price", "demand"}
    assert panel.read_inventories(["weight"]).column_names == ["weight"]


def test_a_pickled_panel_reads_the_same(generated: Path) -> None:
    panel = Panel(generated)
    panel.read(panel.tiles()[0])
    data = pickle.dumps(panel)
    assert len(data) < 20_000
    other = pickle.loads(data)
    tile = other.tiles("validation")[0]
    np.testing.assert_array_equal(
        other.read(tile).dynamic["demand"], panel.read(tile).dynamic["demand"]
    )


@pytest.mark.parametrize("bad", ["test", "training"])
def test_unknown_split(generated: Path, bad: Any) -> None:
    with pytest.raises(DataError, match=bad):
        Panel(generated).tiles(bad)


def test_unknown_quantity_and_column(generated: Path) -> None:
    panel = Panel(generated)
    with pytest.raises(DataError, match="sales"):
        panel.read(panel.tiles()[0], ["sales"])
    with pytest.raises(DataError, match="colour"):
        panel.read_inventories(["colour"])


def test_not_a_data_set(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"manifest\.json"):
        Panel(tmp_path)
    with pytest.raises(DataError, match="nowhere"):
        Panel(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema_version": 1}, "schema_version"),
        ({"colour": "red"}, "colour"),
        ({"test_start": 150}, "test_start"),
        ({"quantities": {}}, "demand"),
        ({"num_inventories": 299}, "num_inventories"),
        ({"num_days": 151}, "demand"),
        ({"files": {}}, INVENTORIES),
    ],
)
def test_wrong_manifest(copied: Path, changes: dict[str, Any], message: str) -> None:
    edit_manifest(copied, **changes)
    with pytest.raises(DataError, match=message):
        Panel(copied)


def test_manifest_that_is_not_json(copied: Path) -> None:
    (copied / MANIFEST).write_text("{")
    with pytest.raises(DataError, match="not JSON"):
        Panel(copied)


@pytest.mark.parametrize("name", [PART, INVENTORIES])
def test_missing_file(copied: Path, name: str) -> None:
    (copied / name).unlink()
    with pytest.raises(DataError, match=name):
        Panel(copied)


@pytest.mark.parametrize("name", [PART, INVENTORIES])
def test_truncated_parquet_is_named_when_opening(copied: Path, name: str) -> None:
    path = copied / name
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match=f"{name}.*truncated"):
        Panel(copied)


@pytest.mark.parametrize("name", [PART, INVENTORIES])
def test_truncated_parquet_is_named_when_the_manifest_does_not_tell(
    copied: Path, name: str
) -> None:
    path = copied / name
    path.write_bytes(path.read_bytes()[:-100])
    manifest = json.loads((copied / MANIFEST).read_text())
    manifest["files"][name]["bytes"] = path.stat().st_size
    edit_manifest(copied, files=manifest["files"])
    with pytest.raises(DataError, match=f"{name}.*cannot be read"):
        Panel(copied)


def test_parquet_truncated_after_opening(copied: Path) -> None:
    panel = Panel(copied)
    path = copied / PART
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(DataError, match=f"{PART}.*cannot be read"):
        panel.read(panel.tiles()[-1])


def test_missing_column(copied: Path) -> None:
    table = pq.read_table(copied / PART)
    rewrite(copied, PART, table.drop_columns(["price"]))
    with pytest.raises(DataError, match=r"price is missing"):
        Panel(copied)


def test_wrong_column_type(copied: Path) -> None:
    table = pq.read_table(copied / INVENTORIES)
    index = table.schema.get_field_index("lead_time")
    table = table.set_column(index, "lead_time", table.column("lead_time").cast(pa.int64()))
    rewrite(copied, INVENTORIES, table)
    with pytest.raises(DataError, match=r"lead_time is int64"):
        Panel(copied)


def test_tile_with_mixed_splits(copied: Path) -> None:
    table = pq.read_table(copied / INVENTORIES)
    split = ["validation", *table.column("split").to_pylist()[1:]]
    index = table.schema.get_field_index("split")
    rewrite(copied, INVENTORIES, table.set_column(index, table.schema.field(index), [split]))
    with pytest.raises(DataError, match="mixes"):
        Panel(copied)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("lead_time", 200, r"lead_time \+ lead_time_jitter \+ review_period.*does not fit"),
        ("lead_time_jitter", 60, "does not fit"),
        ("lead_time", -1, "lead_time of inventory.*negative"),
        ("review_period", 0, "review_period of inventory"),
        ("review_offset", 7, "review_offset of inventory"),
        ("fill_min", 1.5, "fill_min of inventory"),
        ("shortage_cost", float("nan"), "shortage_cost of inventory"),
        ("holding_cost", -0.1, "holding_cost of inventory"),
    ],
)
def test_validate_inventories(copied: Path, column: str, value: float, message: str) -> None:
    validate_inventories(Panel(copied))
    table = pq.read_table(copied / INVENTORIES)
    field = table.schema.field(column)
    values = [*table.column(column).to_pylist()[:-1], value]
    index = table.schema.get_field_index(column)
    rewrite(copied, INVENTORIES, table.set_column(index, field, [pa.array(values, field.type)]))
    with pytest.raises(DataError, match=message):
        validate_inventories(Panel(copied))
