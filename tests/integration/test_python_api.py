"""docs/python-api.md: its code, in its order."""

from __future__ import annotations

import io
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

PAGE = Path(__file__).parents[2] / "docs" / "python-api.md"


@pytest.fixture(scope="module")
def notebook(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What the page's code defines, and ``printed``; run once."""
    folder = tmp_path_factory.mktemp("notebook")
    defined: dict[str, Any] = {"folder": folder}
    log = logging.getLogger("deepstock")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr("sys.stdout", printed := io.StringIO())
        for code in re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.M | re.S):
            exec(compile(code, str(PAGE), "exec"), defined)
        patch.undo()
        yield {**defined, "printed": printed.getvalue()}
    log.setLevel(logging.NOTSET)


def test_a_frame_becomes_a_data_set(notebook: dict[str, Any]) -> None:
    assert repr(notebook["data"]).endswith("60 inventories x 200 days)")


def test_the_table_holds_the_run_and_the_baselines(notebook: dict[str, Any]) -> None:
    table = notebook["table"].set_index("algorithm")
    assert table.loc["ds", ["n_configs", "n_seeds", "n_failed"]].tolist() == [1, 2, 0]
    assert {"order_up_to_per_class", "perfect_hindsight"} < set(table.index)
    assert table["cost"].notna().all()


def test_figures_are_those_of_the_run(notebook: dict[str, Any]) -> None:
    run, rows = notebook["run"], notebook["rows"]
    assert run.method == "ds-base"
    assert run.history()["cost"].notna().all()
    assert len(rows) == 60
    figure = notebook["pipeline"].summarize(rows)["cost"]
    of_seeds = notebook["table"].set_index("algorithm").loc["ds", "cost"]
    assert figure == pytest.approx(of_seeds, rel=0.5)
    assert run.validation["cost"] > 0


def test_orders_are_a_frame(notebook: dict[str, Any]) -> None:
    frame = notebook["orders"].frame()
    assert len(frame) == 60
    assert set(frame["model"]) == {"ds-base"}
    assert (frame["order"] > 0).any()
    best = pd.read_parquet(notebook["folder"] / "orders.parquet")
    assert list(best["inventory_id"]) == list(frame["inventory_id"])


def test_nothing_is_printed_but_what_the_page_prints(notebook: dict[str, Any]) -> None:
    (line,) = notebook["printed"].splitlines()
    assert "action_model = bass is not valid" in line
    assert "Use one of none, base, coeff, both" in line


def test_a_report_is_written(notebook: dict[str, Any]) -> None:
    assert "DS BASE" in (notebook["folder"] / "runs/both/report.html").read_text()
