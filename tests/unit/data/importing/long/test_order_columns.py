"""Pack sizes, minima and largest orders as attributes of inventories."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from envs.errors import DataError
from pipeline.data.importing.common import ImportOptions
from pipeline.data.importing.long.options import LongOptions
from pipeline.data.importing.long.run import import_long
from pipeline.data.panel import Panel
from pipeline.data.playable import validate_inventories
from pipeline.data.schema import Manifest
from pipeline.data.terms import SupplyTerms
from pipeline.scenarios.dataset import DatasetSource
from pipeline.serving.snapshot import make_snapshot


def imported(tmp_path: Path, order_multiple: float | None = 2.0, **attributes: object) -> Manifest:
    dates = pd.date_range("2024-01-01", periods=150).strftime("%Y-%m-%d")
    sales = pd.DataFrame({"sku": list("abc")}).merge(pd.DataFrame({"date": dates}), how="cross")
    sales = sales.assign(warehouse="x", demand=np.random.default_rng(0).poisson(4, len(sales)))
    sales.to_parquet(tmp_path / "sales.parquet")
    own = pd.DataFrame({"sku": list("abc"), "warehouse": "x"}).assign(**attributes)
    own.to_csv(tmp_path / "own.csv", index=False)
    options = ImportOptions(
        terms=SupplyTerms(max_lead_time=3, max_review_period=3),
        order_multiple=order_multiple,
        overwrite=True,
    )
    long = LongOptions(attributes=tmp_path / "own.csv")
    return import_long(tmp_path / "sales.parquet", tmp_path / "data", options, long)


def test_each_inventory_has_its_own(tmp_path: Path) -> None:
    imported(tmp_path, Pack_Size=[6, None, 0], MOQ=[10, 3, None], max_order=[20, None, 50])
    source = DatasetSource(tmp_path / "data")
    validate_inventories(source.panel)
    found = {}
    for tile in source.panel.tiles():
        raw = source.panel.read(tile)
        sizes = (raw.static[name] for name in ("order_multiple", "order_min", "order_max"))
        found |= dict(zip(raw.static["sku"], zip(*sizes, strict=True), strict=True))
    # Blank: the manifest's pack size, no minimum, no largest order.
    assert found == {"a": (6, 10, 20), "b": (2, 3, np.inf), "c": (0, 0, 50)}
    make_snapshot(source, tmp_path / "snapshot.parquet")
    rows = pd.read_parquet(tmp_path / "snapshot.parquet").set_index("inventory_id")
    assert rows.loc["a@x", ["order_multiple", "order_min", "order_max"]].tolist() == [6, 10, 20]


def test_the_scenario_plays_by_them(tmp_path: Path) -> None:
    imported(tmp_path, order_min=[10, 4, 4])
    source = DatasetSource(tmp_path / "data")
    scenarios = [source.load("test", tile) for tile in range(source.num_tiles("test"))]
    minima = [torch.as_tensor(s.order_min).expand(s.num_inventories) for s in scenarios]
    assert sorted(torch.cat(minima).tolist()) == [4.0, 4.0, 10.0]
    assert {s.order_multiple for s in scenarios} == {2.0}


def test_without_them_a_data_set_is_what_it_was(tmp_path: Path) -> None:
    imported(tmp_path, category="food")
    columns = pd.read_parquet(tmp_path / "data" / "inventories.parquet").columns
    assert not {"order_multiple", "order_min", "order_max"} & set(columns)
    static = Panel(tmp_path / "data").read(Panel(tmp_path / "data").tiles()[0]).static
    assert set(static["order_multiple"]) == {2.0}
    assert set(static["order_max"]) == {np.inf}


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"moq": [7, 0, 0], "order_max": [7, 9, 9]}, r"order_max of inventory a@x = 7.*8 or more"),
        ({"pack_size": [6, 2, 2], "order_max": [5, 9, 9]}, r"below the smallest order .* 6"),
        # Whole demand makes packs of 1, which is known at the end only.
        ({"order_multiple": None, "order_max": [9, 0.5, 9]}, r"order_max of inventory b@x = 0.5"),
        ({"moq": [-1, 0, 0]}, r"order_min of inventory a@x = -1.*out of range"),
        ({"moq": 1, "order_min": 2}, "both mean order_min"),
    ],
)
def test_what_no_order_fits_is_refused(
    tmp_path: Path, attributes: dict[str, object], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        imported(tmp_path, **attributes)
    assert not (tmp_path / "data").exists()
