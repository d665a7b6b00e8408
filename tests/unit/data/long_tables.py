"""Long tables written and imported by tests."""

from __future__ import annotations

import io
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from click.testing import CliRunner

from envs.errors import DataError
from pipeline.cli.data import data
from pipeline.data.check import check
from pipeline.data.panel import Panel
from pipeline.tools.progress import LOG

Series = dict[str, dict[str, npt.NDArray[Any]]]


def series(directory: Path) -> Series:
    """inventory_id -> quantity -> [T], or [T + A] if known ahead."""
    panel = Panel(directory)
    result: Series = {}
    for tile in panel.tiles():
        raw = panel.read(tile)
        for row, name in enumerate(raw.inventory_id):
            result[name] = {key: values[row] for key, values in raw.dynamic.items()}
    return result


def ahead_of(directory: Path) -> pd.DataFrame:
    """The days ahead of a data set as rows without demand."""
    m = Panel(directory).manifest
    frames = []
    for name, quantities in series(directory).items():
        sku, warehouse = name.split("@")
        planned = {k: v[m.num_days :] for k, v in quantities.items() if len(v) > m.num_days}
        days = [m.day(m.num_days + t).isoformat() for t in range(m.ahead_days)]
        frames.append(pd.DataFrame({"sku": sku, "warehouse": warehouse, "date": days, **planned}))
    return pd.concat(frames, ignore_index=True)


class Imported:
    """A data set that `data import long` made, checked, and what was said on the way."""

    def __init__(self, out: Path, said: str) -> None:
        self.out, self.said = out, said
        self.manifest = Panel(out).manifest
        self.series = series(out)
        assert check(out)

    @property
    def demand(self) -> float:
        return float(sum(s["demand"].sum() for s in self.series.values()))

    @property
    def statics(self) -> pd.DataFrame:
        return Panel(self.out).read_inventories().to_pandas().set_index("inventory_id")


Import = Callable[..., Imported]
Refuse = Callable[..., str]


def run(out: Path, *arguments: object) -> tuple[BaseException | None, str]:
    """Run `data import long`; the error it ends with, and what it printed and logged."""
    words = ["import", "long", *(str(a) for a in arguments), "--out", str(out), "--overwrite"]
    log = io.StringIO()
    handler = logging.StreamHandler(log)
    LOG.addHandler(handler)
    result = CliRunner().invoke(data, words)
    LOG.removeHandler(handler)
    return result.exception, log.getvalue() + result.output


def importing(tmp_path: Path) -> Import:
    def run_import(*arguments: object) -> Imported:
        error, said = run(tmp_path / "set", *arguments)
        assert error is None, (error, said)
        return Imported(tmp_path / "set", said)

    return run_import


def refusing(tmp_path: Path) -> Refuse:
    def run_refused(*arguments: object) -> str:
        error, _ = run(tmp_path / "refused", *arguments)
        assert isinstance(error, DataError), error
        assert not (tmp_path / "refused").exists()
        return str(error)

    return run_refused


def table(
    skus: int = 6, warehouses: int = 2, days: int = 120, first: str = "2024-01-01", seed: int = 1
) -> pd.DataFrame:
    """A complete table of whole demand, about 4 a day."""
    rng = np.random.default_rng(seed)
    dates = pd.date_range(first, periods=days)
    frame = pd.MultiIndex.from_product(
        [[f"K{i}" for i in range(skus)], [f"W{i}" for i in range(warehouses)], dates],
        names=["sku", "warehouse", "date"],
    ).to_frame(index=False)
    frame["date"] = frame.date.dt.strftime("%Y-%m-%d")
    frame["demand"] = rng.poisson(4, len(frame))
    return frame


def csv(frame: pd.DataFrame, path: Path, **options: Any) -> Path:
    """Writes a table as CSV."""
    frame.to_csv(path, index=False, **options)
    return path


def shared_case(name: str) -> Path:
    """The folder of a shared case."""
    folder = Path(os.environ.get("DEEPSTOCK_SHARED", "../shared")) / "cases" / name
    if not folder.is_dir():
        pytest.skip(f"the shared case is not in {folder}: set DEEPSTOCK_SHARED")
    return folder
