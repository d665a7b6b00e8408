"""What a user gets wrong: one paragraph with the remedy, exit code 2, nothing half-written."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.data.synthetic.generate import make
from pipeline.data.terms import SupplyTerms

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bad-input") / "data"
    make(300, 180, 1, folder, tile_rows=128)
    return folder


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def assert_refused(answer: subprocess.CompletedProcess[str], *words: str) -> None:
    assert answer.returncode == 2, answer.stderr
    assert "Traceback" not in answer.stderr + answer.stdout
    # Progress lines aside, the message is one paragraph.
    message = answer.stderr.strip().split("\n\n")[-1]
    for word in words:
        assert word in message, message


def long_table() -> pd.DataFrame:
    days = pd.date_range("2024-01-01", periods=150)
    skus = [f"s{number}" for number in range(20)]
    table = pd.MultiIndex.from_product([skus, days], names=["sku", "date"]).to_frame(index=False)
    return table.assign(warehouse="w1", demand=3.0)


def import_long(
    table: pd.DataFrame, tmp_path: Path
) -> tuple[subprocess.CompletedProcess[str], Path]:
    source, out = tmp_path / "sales.csv", tmp_path / "out"
    table.to_csv(source, index=False)
    return run("pipeline", "data", "import", "long", source, "--out", out), out


def test_missing_column(tmp_path: Path) -> None:
    answer, out = import_long(long_table().drop(columns="demand"), tmp_path)
    assert_refused(answer, "demand")
    assert not out.exists()


def test_negative_demand(tmp_path: Path) -> None:
    table = long_table()
    table.loc[:200, "demand"] = -1.0
    answer, out = import_long(table, tmp_path)
    assert_refused(answer, "negative_demand")
    assert not out.exists()


def test_duplicate_days(tmp_path: Path) -> None:
    table = long_table()
    answer, out = import_long(pd.concat([table, table.head(300)]), tmp_path)
    assert_refused(answer, "duplicate")
    assert not out.exists()


def test_lead_time_longer_than_the_panel(tmp_path: Path) -> None:
    out = tmp_path / "out"
    answer = run("pipeline", "data", "make", "--inventories", 50, "--days", 90, "--out", out)
    assert_refused(answer, "days", "lead time")
    assert not out.exists()


def test_training_refuses_a_lead_time_longer_than_its_days(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    make(200, 180, 1, folder, tile_rows=128, terms=SupplyTerms())
    inventories = folder / "inventories.parquet"
    file = pq.ParquetFile(inventories)
    groups = [file.read_row_group(g) for g in range(file.num_row_groups)]
    with pq.ParquetWriter(inventories, file.schema_arrow) as writer:
        for group in groups:
            frame = group.to_pandas()
            frame["lead_time"] = 170
            writer.write_table(pa.Table.from_pandas(frame, schema=group.schema))
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"]["inventories.parquet"]["bytes"] = inventories.stat().st_size
    (folder / "manifest.json").write_text(json.dumps(manifest))
    out = tmp_path / "run"
    answer = run(
        "pipeline", "train", "--data", folder, "--algorithm", "ds", "--action-model", "base",
        "--out", out,
    )  # fmt: skip
    assert_refused(answer, "lead_time", "171", "74 training days")
    assert not out.exists()


def test_unknown_algorithm(data: Path, tmp_path: Path) -> None:
    answer = run(
        "pipeline", "train", "--data", data, "--algorithm", "dqn", "--action-model", "base",
        "--out", tmp_path / "run",
    )  # fmt: skip
    assert_refused(answer, "dqn", "ddpg")
    assert not (tmp_path / "run").exists()


def test_config_key_with_a_typo(data: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("iterations: 2\ntraining: {fragment_day: 28}\n")
    answer = run(
        "pipeline", "train", "--data", data, "--algorithm", "ds", "--action-model", "base",
        "--config", config, "--out", tmp_path / "run",
    )  # fmt: skip
    assert_refused(answer, "fragment_day", "Did you mean fragment_days?")
    assert not (tmp_path / "run").exists()


def test_preset_key_with_a_typo(data: Path, tmp_path: Path) -> None:
    preset = tmp_path / "mine.yaml"
    preset.write_text("extends: smoke\nconfiguratons: 2\n")
    out = tmp_path / "sweep"
    answer = run("tuning", "sweep", "--preset", preset, "--data", data, "--out", out)
    assert_refused(answer, "configuratons", "Did you mean configurations?")
    assert not out.exists()


def test_unwritable_folder(data: Path, tmp_path: Path) -> None:
    # A folder below a file: not even root can make it.
    (tmp_path / "file").write_text("")
    answer = run(
        "pipeline", "train", "--data", data, "--algorithm", "ds", "--action-model", "base",
        "--out", tmp_path / "file" / "run",
    )  # fmt: skip
    assert_refused(answer, "out", "cannot be written")


def test_truncated_parquet(data: Path, tmp_path: Path) -> None:
    broken = tmp_path / "data"
    shutil.copytree(data, broken)
    part = broken / "panel" / "part-00000.parquet"
    part.write_bytes(part.read_bytes()[:-1000])
    answer = run(
        "pipeline", "train", "--data", broken, "--algorithm", "ds", "--action-model", "base",
        "--out", tmp_path / "run",
    )  # fmt: skip
    assert_refused(answer, "part-00000.parquet", "truncated")
    assert not (tmp_path / "run").exists()


def test_a_folder_that_is_no_data_set(tmp_path: Path) -> None:
    answer = run("pipeline", "data", "check", tmp_path)
    assert_refused(answer, "manifest.json")


def test_evaluating_a_folder_without_a_model(data: Path, tmp_path: Path) -> None:
    answer = run(
        "pipeline", "evaluate", "--run", tmp_path, "--data", data, "--out", tmp_path / "f.parquet"
    )
    assert_refused(answer, "model")
    assert not (tmp_path / "f.parquet").exists()


def test_deciding_without_a_model_and_without_a_snapshot(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "orders.parquet"
    day = tmp_path / "day.parquet"
    made = run("pipeline", "data", "snapshot", "--data", data, "--day", 170, "--out", day)
    assert made.returncode == 0, made.stderr
    assert "300 inventories" in made.stdout
    answer = run("pipeline", "decide", "--model", tmp_path, "--snapshot", day, "--out", out)
    assert_refused(answer, "model", "holds no readable policy")
    answer = run("pipeline", "data", "snapshot", "--data", data, "--day", 999, "--out", day)
    assert_refused(answer, "day = 999", "1 to 180")
    assert not out.exists()


def test_comparing_an_unfinished_sweep(tmp_path: Path) -> None:
    assert_refused(run("pipeline", "compare", tmp_path), "sweep", "python -m tuning sweep")
