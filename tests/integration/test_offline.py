"""The offline study's smoke run: every piece, end to end on a local cluster, and again."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from envs.errors import ConfigError
from pipeline.data.panel import Panel
from pipeline.studies.offline.data import check_source, make_data
from pipeline.studies.offline.folder import OfflineFolder
from pipeline.studies.offline.pieces import PIECES
from tests.commands import run_cluster


def test_data_are_made_once_or_asked_for(tmp_path: Path) -> None:
    folder = OfflineFolder(tmp_path)
    with pytest.raises(ConfigError, match=r"sell_prices.*SOURCE="):
        check_source(folder, "pool", None)
    made = make_data(folder, "pool", None, smoke=True)
    assert {span.name for span in Panel(made).spans} == {"m5", "fresh"}
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.parquet")}
    check_source(folder, "pool", None)
    assert make_data(folder, "pool", None, smoke=True) == made
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.parquet")} == before


def run(piece: str, out: Path) -> str:
    arguments = "offline", "--piece", piece, "--smoke", "--out", out / "study"
    return run_cluster(*arguments, folder=out, timeout=900)


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_every_piece_runs_and_resumes(tmp_path: Path) -> None:
    study = tmp_path / "study"
    for piece in PIECES:
        said = run(piece, tmp_path)
        assert str(study / "offline.html") in said
        tables = {path.stem: pd.read_csv(path) for path in study.glob(f"tables/{piece}-*.csv")}
        assert tables, piece
        for name, table in tables.items():
            assert len(table), name
            assert "failed" not in table or not table["failed"].any()
    assert set(pd.read_csv(study / "tables" / "pool-alone.csv")["data"]) == {"m5", "fresh"}
    points = pd.read_csv(study / "tables" / "conditioning-conditioning.csv")
    assert len(points) == 2 * 5
    results = {path: path.stat().st_mtime for path in study.glob("*/*/trials/*/result.json")}
    assert "to train" not in run("conditioning", tmp_path)
    assert all(path.stat().st_mtime == before for path, before in results.items())
