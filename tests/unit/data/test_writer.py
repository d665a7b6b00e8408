"""Writing: round trip, sales classes, weights, atomic replacement."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from envs.errors import DataError
from pipeline.data.draws import Draws
from pipeline.data.panel import Panel
from pipeline.data.parts import PanelSpec
from pipeline.data.schema import (
    QUANTITIES,
    SALES_CLASSES,
    STATIC_COLUMNS,
    TILES_PER_PART,
    UNKNOWN,
)
from pipeline.data.terms import SupplyTerms
from pipeline.data.writer import PanelWriter, sales_classes

SPEC = PanelSpec("tiny", "made by a test", 1, date(2024, 2, 27), 10, 2, 6, tile_rows=3)
Tile = tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]


def tile(number: int, rows: int = 3, demand: npt.NDArray[Any] | None = None) -> Tile:
    rng = np.random.default_rng(number)
    shape = (rows, SPEC.num_days)
    price = np.full(rows, 2.0, np.float32)
    ids = [f"{number}-{i}@W" for i in range(rows)]
    static = {
        "inventory_id": ids,
        "sku": [f"{number}-{i}" for i in range(rows)],
        "warehouse": ["W"] * rows,
        "category": ["c"] * rows,
        "price": price,
        **SupplyTerms(max_lead_time=1, max_review_period=1).draw(Draws(number, ids), price),
    }
    dynamic = {
        "demand": rng.poisson(3, shape) if demand is None else demand,
        "known": np.ones(shape),
        "on_sale": np.ones(shape),
        "price": np.full(shape, 2.0),
        "promotion": rng.integers(0, 2, shape),
        "event": np.zeros(shape),
        "snap": np.zeros(shape),
    }
    return static, dynamic


def test_round_trip_over_several_parts(tmp_path: Path) -> None:
    count = TILES_PER_PART + 2
    with PanelWriter(tmp_path / "set", SPEC) as writer:
        for number in range(count):
            split = "train" if number < count - 1 else "validation"
            writer.write(*tile(number, rows=1 + number % 3), split)
        manifest = writer.finish(note="And a note.")
    panel = Panel(tmp_path / "set")
    assert panel.manifest == manifest
    assert manifest.source == "made by a test And a note."
    assert manifest.day(2) == date(2024, 2, 29)
    assert len([name for name in manifest.files if name.startswith("panel/")]) == 2
    for ref in panel.tiles():
        static, dynamic = tile(ref.index, rows=ref.rows)
        raw = panel.read(ref)
        for name, values in dynamic.items():
            np.testing.assert_array_equal(raw.dynamic[name], values)
        for name in set(STATIC_COLUMNS) - {"split", "weight", "sales_class"}:
            np.testing.assert_array_equal(raw.static[name], static[name])
    assert [ref.split for ref in panel.tiles()][-2:] == ["train", "validation"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["set"]
    assert sorted(p.name for p in (tmp_path / "set").iterdir()) == [
        "inventories.parquet",
        "manifest.json",
        "panel",
    ]


def test_weight_is_mean_demand_on_known_training_days_on_sale(tmp_path: Path) -> None:
    demand = np.zeros((2, 10))
    demand[0] = [9, 9, 1, 2, 0, 0, 9, 9, 9, 9]
    static, dynamic = tile(0, rows=2, demand=demand)
    dynamic["on_sale"][0, 4] = 0
    dynamic["known"][0, 5] = 0
    dynamic["on_sale"][1] = 0
    with PanelWriter(tmp_path / "set", SPEC) as writer:
        writer.write(static, dynamic, "train")
        writer.finish()
    weight = Panel(tmp_path / "set").read_inventories(["weight"]).column(0).to_pylist()
    assert weight == pytest.approx([3 / 2, 0.0])


def test_days_ahead_of_the_demand(tmp_path: Path) -> None:
    spec = replace(SPEC, ahead_days=4)
    static, dynamic = tile(0)
    for name, quantity in QUANTITIES.items():
        if quantity.known_ahead:
            unknown = np.nan if name == "price" else UNKNOWN
            ahead = np.full((3, 4), unknown)
            ahead[:, 0] = 1
            dynamic[name] = np.concatenate((dynamic[name], ahead), axis=1)
    with PanelWriter(tmp_path / "set", spec) as writer:
        writer.write(static, dynamic, "train")
        manifest = writer.finish()
    panel = Panel(tmp_path / "set")
    assert panel.manifest.ahead_days == manifest.ahead_days == 4
    raw = panel.read(panel.tiles()[0])
    for name, values in dynamic.items():
        assert raw.dynamic[name].shape == (3, 14 if QUANTITIES[name].known_ahead else 10), name
        np.testing.assert_array_equal(raw.dynamic[name], values.astype(QUANTITIES[name].dtype))


def test_a_day_that_is_not_known_counts_as_the_mean_of_the_others(tmp_path: Path) -> None:
    # Training days 2 to 5: the first sells 10 a day and was seen on one of them.
    demand = np.zeros((3, 10))
    demand[:, 2:6] = [[10, 0, 0, 0], [9, 9, 9, 9], [1, 1, 1, 1]]
    static, dynamic = tile(0, demand=demand)
    dynamic["known"][0, 3:6] = 0
    with PanelWriter(tmp_path / "set", SPEC) as writer:
        writer.write(static, dynamic, "train")
        writer.finish()
    classes = Panel(tmp_path / "set").read_inventories(["sales_class"]).column(0).to_pylist()
    # 40, 36 and 4 of 80: the last comes after 95 %.
    assert classes == ["A+", "B", "D"]


def test_a_given_weight_is_kept(tmp_path: Path) -> None:
    static, dynamic = tile(0)
    static["weight"] = [1.0, 2.0, 3.0]
    with PanelWriter(tmp_path / "set", SPEC) as writer:
        writer.write(static, dynamic, "train")
        writer.finish()
    assert Panel(tmp_path / "set").read_inventories(["weight"]).column(0).to_pylist() == [1, 2, 3]


@pytest.mark.parametrize(("demand", "multiple"), [(3.0, 1.0), (2.5, 0.0)])
def test_demand_in_whole_units_means_orders_in_whole_units(
    tmp_path: Path, demand: float, multiple: float
) -> None:
    values = np.full((3, 10), 2.0)
    values[1, 7] = demand
    for name, asked in (("auto", None), ("zero", 0.0), ("pack", 6.0)):
        spec = replace(SPEC, order_multiple=asked)
        with PanelWriter(tmp_path / name, spec) as writer:
            writer.write(*tile(0, demand=np.full((3, 10), 1.0)), "train")
            writer.write(*tile(1, demand=values), "train")
            manifest = writer.finish()
        assert manifest.order_multiple == (multiple if asked is None else asked)


@pytest.mark.parametrize("multiple", [-1.0, np.nan, np.inf])
def test_an_order_multiple_that_is_no_size(multiple: float) -> None:
    with pytest.raises(DataError, match="order_multiple"):
        replace(SPEC, order_multiple=multiple)


def test_sales_classes_follow_the_cumulative_share() -> None:
    # In falling order 20, 20, 15, 15, 10, 10, 6, 4 % come after 0, 20, 40, 55, 70, 80, 90, 96 %.
    demand = np.array([4.0, 0.0, 20, 20, 15, 15, 10, 10, 6])
    names = [SALES_CLASSES[k] for k in sales_classes(demand)]
    assert names == ["D", "Z", "A+", "A", "A", "B", "B", "C", "C"]


def test_sales_classes_without_any_demand() -> None:
    assert {SALES_CLASSES[k] for k in sales_classes(np.zeros(3))} == {"Z"}


def test_nothing_is_left_after_a_failure(tmp_path: Path) -> None:
    def fail() -> None:
        with PanelWriter(tmp_path / "set", SPEC) as writer:
            writer.write(*tile(0), "train")
            raise KeyError("stop")

    with pytest.raises(KeyError):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_an_existing_set_stays_until_the_new_one_is_complete(tmp_path: Path) -> None:
    out = tmp_path / "set"
    with PanelWriter(out, SPEC) as writer:
        writer.write(*tile(0), "train")
        first = writer.finish()
    with pytest.raises(DataError, match="--overwrite"):
        PanelWriter(out, SPEC)
    with pytest.raises(DataError, match="empty"), PanelWriter(out, SPEC, overwrite=True) as writer:
        writer.finish()
    assert Panel(out).manifest == first
    with PanelWriter(out, SPEC, overwrite=True) as writer:
        writer.write(*tile(1), "train")
        second = writer.finish()
    assert Panel(out).manifest == second != first
    assert [p.name for p in tmp_path.iterdir()] == ["set"]


def test_only_a_data_set_is_overwritten(tmp_path: Path) -> None:
    out = tmp_path / "precious"
    out.mkdir()
    (out / "thesis.txt").write_text("years of work")
    with pytest.raises(DataError, match="not a data set"):
        PanelWriter(out, SPEC, overwrite=True)
    with pytest.raises(DataError, match="not a data set"):
        PanelWriter(out / "thesis.txt", SPEC, overwrite=True)
    assert (out / "thesis.txt").read_text() == "years of work"


def test_an_empty_folder_may_be_filled(tmp_path: Path) -> None:
    out = tmp_path / "empty"
    out.mkdir()
    with PanelWriter(out, SPEC) as writer:
        writer.write(*tile(0), "train")
        writer.finish()
    assert Panel(out).manifest.num_inventories == 3


def test_unwritable_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written"):
        PanelWriter(tmp_path / "file" / "set", SPEC)


@pytest.mark.parametrize(("history", "start"), [(-1, 6), (6, 6), (2, 10), (2, 11)])
def test_days_that_cannot_be_split(history: int, start: int) -> None:
    with pytest.raises(DataError, match=r"cannot be split.*--history-days 2\)"):
        PanelSpec("x", "x", 1, date(2024, 1, 1), 10, history, start)
