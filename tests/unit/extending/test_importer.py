"""The example of docs/extending.md, "A new importer", as it stands there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from pipeline.cli.data import IMPORTERS, data
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


def test_its_line_makes_a_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (line,) = re.findall(r'^```\n"(wide)": "[\w.]+:(\w+)",\n```$', DOC.read_text(), re.M)
    section = DOC.read_text().split("## A new importer\n")[1]
    (code,) = re.findall(r"```python\n(.*?)```", section.split("\n## ")[0], re.DOTALL)
    (tmp_path / "example_wide.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(IMPORTERS, line[0], f"example_wide:{line[1]}")
    listed = CliRunner().invoke(data, ["import", "--help"]).output
    assert re.search(r"wide +Import SOURCE, Parquet with", listed)
    assert re.search(r"m5 +Import the folder SOURCE", listed)
    wide_table().to_parquet(tmp_path / "wide.parquet")
    arguments = ["import", "wide", tmp_path / "wide.parquet", "--out", tmp_path / "data",
                 "--max-lead-time", 3, "--max-review-period", 3]  # fmt: skip
    done = CliRunner().invoke(data, [str(a) for a in arguments], catch_exceptions=False)
    assert "4 inventories × 150 days" in done.output
    assert Panel(tmp_path / "data").manifest.num_inventories == 4


def wide_table() -> pd.DataFrame:
    """Skus a and b in warehouses x and y."""
    days = pd.date_range("2024-01-01", periods=150).strftime("%Y-%m-%d")
    wide = pd.DataFrame(np.random.default_rng(1).poisson(5.0, (4, 150)) * 1.0, columns=days)
    wide.insert(0, "warehouse", ["x", "x", "y", "y"])
    wide.insert(0, "sku", ["a", "b", "a", "b"])
    return wide


def test_a_wide_table_becomes_a_data_set(tmp_path: Path) -> None:
    wide = wide_table()
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
    assert np.array_equal(found["b@y"], wide.iloc[3, 2:].astype(float))
