"""The table of what each baseline brings, without a sweep."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from pipeline.baselines.base import BASELINES, PER_CLASS
from pipeline.baselines.tuned import read_baselines
from pipeline.cli.main import commands
from pipeline.comparison.refinements import PLAIN
from pipeline.evaluation.play import summarize_source
from pipeline.scenarios.dataset import DatasetSource


def test_every_baseline_has_a_row_against_the_plain_one(
    source: DatasetSource, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in set(BASELINES) - {PLAIN, PER_CLASS}:
        monkeypatch.delitem(BASELINES.known, name)  # type: ignore[attr-defined]
    command = ["baselines", str(dataset), "--out", str(tmp_path / "out")]
    printed = CliRunner().invoke(commands, command, catch_exceptions=False).output
    table = pd.read_csv(tmp_path / "out" / "refinements.csv").set_index("baseline")
    assert list(table.index) == [*BASELINES, "perfect_hindsight"]
    rule = read_baselines(tmp_path / "out").rules[PER_CLASS]
    expected, _, _ = summarize_source(source, "validation", rule)
    own, plain = table.loc[PER_CLASS], table.loc[PLAIN]
    for name in ("cost", "turnover_days", "fill_rate_pct"):
        assert own[name] == pytest.approx(expected[name], rel=1e-4)
    assert own["cost_pct_vs_plain"] == pytest.approx(100 * (own["cost"] / plain["cost"] - 1))
    assert own["cost_pct_vs_plain_low"] < own["cost_pct_vs_plain"] < own["cost_pct_vs_plain_high"]
    assert plain["fill_rate_pp_vs_plain"] == 0
    assert table["cost"].idxmin() == "perfect_hindsight"
    assert "| Order-up-to per class |" in printed
    assert printed.rstrip().endswith((tmp_path / "out" / "refinements.md").read_text().rstrip())
