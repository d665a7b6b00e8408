from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from envs.errors import ConfigError
from pipeline.comparison.results import (
    SweepResults,
    display_name,
    number,
    rounded,
    searched,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.9794, "0.979"), (3.3, "3.30"), (12.71, "12.7"), (146.2, "146"), (1234.5, "1,234"),
     (0.0, "0.00"), (math.nan, "–")],
)  # fmt: skip
def test_rounded(value: float, text: str) -> None:
    assert rounded(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(2.5263e-4, "0.000253"), (512, "512"), ([64, 64], "[64, 64]"), ("default", "default"),
     (True, "true"), (None, "null")],
)  # fmt: skip
def test_number(value: object, text: str) -> None:
    assert number(value) == text


def test_display_name() -> None:
    assert display_name("ddpg", "both") == "DDPG BOTH"
    assert display_name("perfect_hindsight") == "Perfect hindsight"
    assert display_name("my_rule") == "My rule"


def test_best_is_a_method_not_a_baseline(sweep_dir: Path) -> None:
    results = SweepResults.read(sweep_dir)
    assert results.best is not None
    assert results.best["name"] == "ppo-both"
    assert results.baseline_cost("perfect_hindsight") < results.best["cost"]


def test_costs_of_inventories_are_means_over_seeds(sweep_dir: Path) -> None:
    results = SweepResults.read(sweep_dir)
    costs = [
        pd.read_parquet(sweep_dir / "evaluation" / f"{name}.parquet")["cost"]
        for name in ("ds-base", "ds-base-c00-s1")
    ]
    np.testing.assert_allclose(results.rows["ds-base"], np.mean(costs, axis=0))
    row = results.table.set_index("name").loc["ds-base"]
    assert row["cost"] == pytest.approx(results.rows["ds-base"].mean())
    assert row["n_seeds"] == 2


def test_a_table_of_another_version_is_refused(build_sweep) -> None:
    sweep = build_sweep(algorithms=("ds",))
    table = pd.read_csv(sweep / "comparison.csv").drop(columns="fill_rate_pct")
    table.to_csv(sweep / "comparison.csv", index=False)
    with pytest.raises(ConfigError, match="lacks fill_rate_pct"):
        SweepResults.read(sweep)


def test_trials_know_their_configuration_and_seed(sweep_dir: Path) -> None:
    trials = {trial.key: trial for trial in SweepResults.read(sweep_dir).trials}
    assert len(trials) == 12 * 4
    trial = trials["ddpg-none-c00-s1"]
    assert (trial.method, trial.configuration, trial.seed) == ("ddpg-none", 0, 1)
    assert math.isfinite(trial.cost)
    assert math.isnan(trials["ddpg-none-c01-s0"].cost)


def test_history_keeps_the_later_of_two_validations(build_sweep) -> None:
    sweep = build_sweep(algorithms=("ds",))
    path = sweep / "trials" / "ds-base-c00-s0" / "history.jsonl"
    again = {"iteration": 4, "seconds": 99.0, "cost": 1.5}
    path.write_text(path.read_text() + json.dumps(again) + "\n")
    history = SweepResults.read(sweep).history("ds-base-c00-s0")
    assert history["iteration"].is_unique
    assert history.loc[history["iteration"] == 4, "cost"].tolist() == [1.5]


def test_history_drops_costs_that_are_not_finite(sweep_dir: Path) -> None:
    history = SweepResults.read(sweep_dir).history("ppo-coeff-c00-s0")
    assert len(history) == 1
    assert np.isfinite(history["cost"]).all()


def test_class_costs_are_means_of_the_evaluations(sweep_dir: Path) -> None:
    costs = SweepResults.read(sweep_dir).class_costs()
    rows = pd.read_parquet(sweep_dir / "evaluation" / "order_up_to_per_class.parquet")
    assert list(costs.columns) == ["A+", "A", "B", "C", "D", "Z", "all"]
    own = rows.loc[rows["sales_class"] == "C", "cost"].mean()
    assert costs.loc["order_up_to_per_class", "C"] == pytest.approx(own)
    assert costs.loc["order_up_to_per_class", "all"] == pytest.approx(rows["cost"].mean())
    assert "ppo-coeff" not in costs.index


def test_searched_ranges_in_words(sweep_dir: Path) -> None:
    ranges = searched(SweepResults.read(sweep_dir).sweep, "ppo")
    assert ranges == {"lr": "0.0001 to 0.01, log scale", "num_epochs": "3 or 5"}


def test_an_uncompared_sweep_is_refused(build_sweep) -> None:
    sweep = build_sweep(algorithms=("ds",))
    (sweep / "comparison.csv").unlink()
    with pytest.raises(ConfigError, match="pipeline compare"):
        SweepResults.read(sweep)


def test_an_unfinished_sweep_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no finished sweep"):
        SweepResults.read(tmp_path)


def test_a_data_set_that_is_gone_is_no_obstacle(build_sweep) -> None:
    sweep = build_sweep(algorithms=("ds",))
    shutil.rmtree(sweep.parent / "toy")
    assert SweepResults.read(sweep).manifest is None
