"""The main job, end to end on a local cluster: all methods, resume, failures, MLflow."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path

import mlflow
import pandas as pd
import pytest

from pipeline.baselines.base import BASELINES
from tests.commands import run_cluster

pytestmark = pytest.mark.timeout(600)  # the job runs inside a fixture, twice
PRESET = """
extends: smoke
data: {inventories: 600, days: 180, seed: 2}
algorithms:
  ppo: {training: {minibatch_size: 256}}
"""


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("job")
    (folder / "tiny.yaml").write_text(PRESET)
    return folder


def train(job: Path) -> str:
    arguments = "train", "--preset", job / "tiny.yaml", "--out", job / "sweep"
    return run_cluster(*arguments, folder=job, timeout=400)


@pytest.fixture(scope="module")
def output(job: Path) -> str:
    return train(job)


def test_twelve_methods_and_the_baselines_are_compared(job: Path, output: str) -> None:
    sweep = job / "sweep"
    table = pd.read_csv(sweep / "comparison.csv")
    methods = table[table["action_model"] != "-"]
    assert len(methods) == 12
    assert methods["cost"].notna().all()
    assert (table["ci_low"] <= table["cost"]).all()
    assert (table["cost"] <= table["ci_high"]).all()
    bound = table.loc[table["algorithm"] == "perfect_hindsight", "cost"].item()
    assert (table["cost"] >= bound).all()
    # Every method met the same inventories, row by row.
    files = sorted((sweep / "evaluation").glob("*.parquet"))
    ids = [pd.read_parquet(path, columns=["inventory_id"])["inventory_id"] for path in files]
    ids = [list(own) for own in ids]
    assert len(ids) == 12 + len(BASELINES.known) + 1  # the bound
    assert all(other == ids[0] for other in ids)
    for name in ("comparison.md", "comparison.html", "report.html"):
        assert "DDPG" in (sweep / name).read_text()


def test_the_best_method_orders_for_the_next_day(job: Path, output: str) -> None:
    sweep = job / "sweep"
    orders = pd.read_parquet(sweep / "orders.parquet")
    rows = pd.read_parquet(sweep / "evaluation" / "ddpg-both.parquet")
    assert orders["inventory_id"].tolist() == rows["inventory_id"].tolist()
    assert set(orders["date"].astype(str)) == {"2024-06-29"}  # 180 days from 2024-01-01
    assert (orders["order"] > 0).any()
    assert f"{len(orders)} inventories" in output


def test_mlflow_holds_the_sweep(job: Path, output: str) -> None:
    client = mlflow.MlflowClient(f"sqlite:///{job / 'mlflow.db'}")
    (experiment,) = client.search_experiments(filter_string="name = 'deepstock'")
    runs = client.search_runs([experiment.experiment_id])
    parents = [r for r in runs if "mlflow.parentRunId" not in r.data.tags]
    children = [r for r in runs if "mlflow.parentRunId" in r.data.tags]
    assert len(parents) == 1
    assert len(children) == 12
    assert {r.info.status for r in runs} == {"FINISHED"}
    artifacts = {a.path for a in client.list_artifacts(parents[0].info.run_id)}
    assert {"comparison.json", "comparison.csv", "report.html", "plots"} <= artifacts
    models = client.search_logged_models([experiment.experiment_id])
    assert {m.name for m in models} == {
        f"{a}-{m}" for a in ("ddpg", "ppo", "ds") for m in ("none", "base", "coeff", "both")
    }


def test_the_same_command_resumes_and_trains_only_what_is_missing(job: Path, output: str) -> None:
    trials = job / "sweep" / "trials"
    before = {p: p.stat().st_mtime_ns for p in trials.glob("*/result.json")}
    table = (job / "sweep" / "comparison.csv").read_text()
    lost = trials / "ds-base-c00-s0" / "result.json"
    kept = json.loads(lost.read_text())
    lost.unlink()
    train(job)
    again = json.loads(lost.read_text())
    # Deterministic: the trial that was trained again came to the same figures.
    assert again["validation"] == kept["validation"]
    assert all(p.stat().st_mtime_ns == t for p, t in before.items() if p != lost)
    kept_columns = [c for c in pd.read_csv(job / "sweep" / "comparison.csv") if "seconds" not in c]
    pd.testing.assert_frame_equal(
        pd.read_csv(job / "sweep" / "comparison.csv")[kept_columns],
        pd.read_csv(StringIO(table))[kept_columns],
    )
