"""The example of docs/extending.md, "A new importer", as it stands there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.data.importing.common import ImportOptions
from pipeline.data.panel import Panel
from pipeline.data.terms import SupplyTerms

DOC = Path(__file__).resolve().parents[3] / "docs" / "extending.md"


def example(title: str) -> dict[str, Any]:
    """What the section's code defines."""
    section = DOC.read_text().split(f"## {title}\n")[1].split("\n## ")[0]
    defined: dict[str, Any] = {}
    for code in re.findall(r"```python\n(.*?)```", section, re.DOTALL):
        exec(compile(code, str(DOC), "exec"), defined)
    return defined


def test_a_wide_table_becomes_a_data_set(tmp_path: Path) -> None:
    days = pd.date_range("2024-01-01", periods=150).strftime("%Y-%m-%d")
    demand = np.random.default_rng(1).poisson(5.0, (4, 150)).astype(float)
    wide = pd.DataFrame(demand, columns=days)
    wide.insert(0, "warehouse", ["x", "x", "y", "y"])
    wide.insert(0, "sku", ["a", "b", "a", "b"])
    wide.to_parquet(tmp_path / "wide.parquet")
    options = ImportOptions(terms=SupplyTerms(max_lead_time=3, max_review_period=3))
    manifest = example("A new importer")["import_wide"](
        tmp_path / "wide.parquet", tmp_path / "data", options
    )
    assert (manifest.num_inventories, manifest.num_days) == (4, 150)
    panel = Panel(tmp_path / "data")
    found = {
        name: row
        for tile in panel.tiles()
        for raw in [panel.read(tile)]
        for name, row in zip(raw.inventory_id, raw.dynamic["demand"], strict=True)
    }
    assert np.array_equal(found["b@y"], demand[3])
