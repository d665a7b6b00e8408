"""A long table in memory: the same data set as from a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from envs.errors import DataError
from pipeline.data.importing.common import ImportOptions
from pipeline.data.importing.long.frame import import_frame
from pipeline.data.importing.long.options import LongOptions
from pipeline.data.importing.long.run import import_long
from pipeline.data.panel import Panel


@pytest.fixture
def sales() -> pd.DataFrame:
    days = pd.date_range("2024-01-01", periods=120)
    demand = np.random.default_rng(2).poisson(3.0, (10, len(days)))
    return pd.DataFrame(
        [(f"s{i}", day, demand[i, t]) for i in range(10) for t, day in enumerate(days)],
        columns=["item", "date", "demand"],
    )


def read(panel: Panel) -> dict[str, np.ndarray]:
    (tile,) = (panel.read(tile) for tile in panel.tiles("train"))
    return {**tile.static, **tile.dynamic}


def test_it_is_what_a_file_gives(sales: pd.DataFrame, tmp_path: Path) -> None:
    terms = pd.DataFrame({"item": [f"s{i}" for i in range(10)], "lead_time": [3, 5] * 5})
    options: dict[str, Any] = {"columns": {"sku": "item"}, "warehouse": "w"}
    indexed = sales.set_index(["item", "date"])
    made = import_frame(
        indexed, tmp_path / "frame", attributes=terms, seed=4, test_start=90, **options
    )
    sales.to_parquet(tmp_path / "sales.parquet")
    terms.to_csv(tmp_path / "terms.csv", index=False)
    long = LongOptions(attributes=tmp_path / "terms.csv", **options)
    import_long(
        tmp_path / "sales.parquet", tmp_path / "file", ImportOptions(seed=4, test_start=90), long
    )
    one, other = read(made), read(Panel(tmp_path / "file"))
    assert one.keys() == other.keys()
    for name, values in one.items():
        np.testing.assert_array_equal(values, other[name], err_msg=name)
    assert (made.manifest.seed, made.manifest.test_start) == (4, 90)
    assert Path(made) == tmp_path / "frame"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"colums": {}}, "option colums = {} is not known. Use one of seed, name"),
        ({"attributes": 3}, "attributes"),
        ({"frame": {"sku": []}}, "frame = dict is none. Give a pandas data frame"),
        ({"frame": pd.DataFrame({"sku": ["a", 1]})}, "frame = DataFrame is no table"),
    ],
)
def test_what_is_wrong_is_said(
    sales: pd.DataFrame, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError) as error:
        import_frame(**{"frame": sales, "out": tmp_path / "d", "warehouse": "w", **change})
    assert message in str(error.value)
    assert not (tmp_path / "d").exists()
