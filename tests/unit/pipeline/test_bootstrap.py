"""Intervals over inventories: estimates, pairing, and groups of inventories."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline import bootstrap as module
from pipeline.bootstrap import bootstrap
from pipeline.evaluate import METRICS, summarize


def rows(n: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(
        {
            "cost": rng.lognormal(0, 1, n),
            "stockout_rate_pct": rng.uniform(0, 20, n),
            "turnover_days": np.where(rng.random(n) < 0.1, np.nan, rng.uniform(3, 30, n)),
            "weight": rng.lognormal(0, 1, n),
        }
    )
    table.loc[3, ["cost", "stockout_rate_pct"]] = np.nan
    return table


def test_the_estimate_is_the_summary(tmp_path: Path) -> None:
    table = rows(5000, 1)
    table.to_parquet(tmp_path / "rows.parquet")
    result = bootstrap({"frame": table, "file": tmp_path / "rows.parquet"}, seed=0)
    for metric, value in summarize(table).items():
        assert result["frame"][metric][0] == pytest.approx(value)
        # Paired: the same inventories are drawn for every policy.
        np.testing.assert_allclose(result["file"][metric], result["frame"][metric], rtol=1e-12)


def test_groups_vary_as_inventories_do(monkeypatch: pytest.MonkeyPatch) -> None:
    table = rows(12_000, 2)
    one_by_one = bootstrap({"a": table}, seed=0)["a"]
    monkeypatch.setattr(module, "GROUPS", 1500)
    grouped = bootstrap({"a": table}, seed=0)["a"]
    for metric in METRICS:
        assert grouped[metric][0] == pytest.approx(one_by_one[metric][0])
        assert grouped[metric][1:].std() == pytest.approx(one_by_one[metric][1:].std(), rel=0.1)
