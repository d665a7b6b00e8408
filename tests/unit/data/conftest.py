"""Small data sets for the tests of the data layer."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from pipeline.data.panel import Panel
from pipeline.data.synthetic.generate import make
from pipeline.data.synthetic.parameters import RetailParameters
from tests.unit.data.long_tables import Import, Refuse, importing, refusing

SMALL: dict[str, Any] = {
    "inventories": 300, "days": 150, "seed": 5, "tile_rows": 64,
    # What a long table with a row for each day can say.
    "parameters": RetailParameters(unknown_share=0.0),
}  # fmt: skip


@pytest.fixture(scope="session")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A generated set of 300 inventories × 150 days; read-only."""
    out = tmp_path_factory.mktemp("generated") / "small"
    make(**SMALL, out=out)
    return out


@pytest.fixture
def copied(generated: Path, tmp_path: Path) -> Path:
    """A copy of `generated` that a test may damage."""
    return Path(shutil.copytree(generated, tmp_path / "copied"))


@pytest.fixture(scope="session")
def m5_folder() -> Path:
    """The real M5 tables."""
    folder = Path(os.environ.get("DEEPSTOCK_SHARED", "../shared")) / "data" / "m5"
    if not folder.is_dir():
        pytest.skip(f"the M5 data are not in {folder}: set DEEPSTOCK_SHARED")
    return folder


@pytest.fixture
def run(tmp_path: Path) -> Import:
    """Runs `data import long` into `tmp_path / "set"`."""
    return importing(tmp_path)


@pytest.fixture
def refuse(tmp_path: Path) -> Refuse:
    """Runs an import that must be refused; returns the error's words."""
    return refusing(tmp_path)


def frame_of(directory: Path) -> pd.DataFrame:
    """A data set as a long table, in panel order."""
    panel = Panel(directory)
    days = [panel.manifest.day(t).isoformat() for t in range(panel.manifest.num_days)]
    frames = []
    for tile in panel.tiles():
        raw = panel.read(tile)
        columns = {
            "sku": raw.static["sku"].repeat(len(days)),
            "warehouse": raw.static["warehouse"].repeat(len(days)),
            "date": days * tile.rows,
        }
        columns |= {name: values[:, : len(days)].ravel() for name, values in raw.dynamic.items()}
        frames.append(pd.DataFrame(columns))
    return pd.concat(frames, ignore_index=True)


@pytest.fixture(scope="session")
def long_frame(generated: Path) -> Callable[[], pd.DataFrame]:
    """Makes a fresh long table of the generated set."""
    frame = frame_of(generated)
    return frame.copy
