"""The command group `data`."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner, Result

from envs.errors import DataError
from pipeline.cli.data import data
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


MAKE = ("make", "--inventories", 30, "--days", 120, "--history-days", 28, "--jobs", 1,
        "--max-lead-time", 5, "--max-review-period", 2)  # fmt: skip


@pytest.mark.parametrize(
    ("given", "multiple"), [((), 1.0), (("auto",), 1.0), ((0,), 0.0), ((12,), 12.0)]
)
def test_order_multiple(tmp_path: Path, given: tuple[object, ...], multiple: float) -> None:
    option = ("--order-multiple", *given) if given else ()
    result = run(*MAKE, "--out", tmp_path / "set", *option)
    assert result.exit_code == 0, result.output
    assert Panel(tmp_path / "set").manifest.order_multiple == multiple


@pytest.mark.parametrize("value", ["-1", "nan", "inf"])
def test_an_order_multiple_that_is_no_size(tmp_path: Path, value: str) -> None:
    result = run(*MAKE, "--out", tmp_path / "set", "--order-multiple", value)
    assert isinstance(result.exception, DataError)
    assert result.exception.field == "order_multiple"
    assert run(*MAKE, "--out", tmp_path / "set", "--order-multiple", "some").exit_code == 2


def test_costs_and_days_ahead(tmp_path: Path) -> None:
    ratios = {}
    for costs in ("margin", "ratio"):
        out = tmp_path / costs
        result = run(*MAKE, "--out", out, "--costs", costs, "--ahead-days", 9)
        assert result.exit_code == 0, result.output
        panel = Panel(out)
        assert panel.manifest.ahead_days == 9
        table = panel.read_inventories()
        shortage, holding = (table[f"{name}_cost"].to_numpy() for name in ("shortage", "holding"))
        ratios[costs] = shortage / holding
    assert ratios["margin"].min() > 136
    assert ratios["ratio"].max() < 41
    assert run(*MAKE, "--out", tmp_path / "default").exit_code == 0
    default = Panel(tmp_path / "default")
    # Twice lead time 5 and review period 2.
    assert default.manifest.ahead_days == 14
    table = default.read_inventories()
    assert (table["shortage_cost"].to_numpy() / table["holding_cost"].to_numpy()).min() > 136
