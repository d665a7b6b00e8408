"""The command group `data`."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner, Result

from envs.errors import DataError
from pipeline.data.cli import data
from pipeline.data.panel import Panel


def run(*arguments: object) -> Result:
    return CliRunner().invoke(data, [str(a) for a in arguments], catch_exceptions=True)


def test_make_and_check(tmp_path: Path) -> None:
    out = tmp_path / "set"
    arguments = (
        "make", "--inventories", 60, "--days", 120, "--seed", 3, "--out", out,
        "--max-lead-time", 5, "--lead-time-jitter", 1, "--fill-min", 0.9, "--history-days", 28,
        "--warehouses", 3, "--backlog", "--order-multiple", 6, "--first-day", "2023-05-01",
        "--name", "mine", "--jobs", 1,
    )  # fmt: skip
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    assert "60 inventories × 120 days" in result.output
    manifest = Panel(out).manifest
    assert (manifest.name, manifest.backlog, manifest.order_multiple) == ("mine", True, 6.0)
    assert (manifest.history_days, manifest.test_start) == (28, 86)
    result = run("check", out)
    assert result.exit_code == 0, result.output
    assert "3 warehouses" in result.output
    assert "multiples of 6, unmet demand owed" in result.output
    assert isinstance(run(*arguments).exception, DataError)
    assert run(*arguments, "--overwrite").exit_code == 0


def test_import_long(tmp_path: Path) -> None:
    days = pd.date_range("2024-01-01", periods=120).strftime("%Y-%m-%d")
    frames = [
        pd.DataFrame({"sku": f"s{i}", "warehouse": "w", "date": days, "demand": i + 1.0})
        for i in range(20)
    ]
    source, out = tmp_path / "t.csv", tmp_path / "set"
    pd.concat(frames).to_csv(source, index=False)
    arguments = ("import", "long", source, "--out", out, "--history-days", 14)
    result = run(*arguments, "--last-day", "2024-04-19", "--max-bad-share", 0)
    assert result.exit_code == 0, result.output
    assert Panel(out).manifest.num_days == 110
    assert Panel(out).manifest.num_inventories == 20


def test_import_m5_names_what_is_missing(tmp_path: Path) -> None:
    result = run("import", "m5", tmp_path, "--out", tmp_path / "set")
    assert isinstance(result.exception, DataError)
    assert "sales_d" in str(result.exception)


@pytest.mark.parametrize("command", [("make", "--days", 3), ("import", "vn2", "x"), ("check",)])
def test_usage_errors_exit_with_2(command: tuple[object, ...]) -> None:
    assert run(*command).exit_code == 2
