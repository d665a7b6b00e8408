"""The MLflow records of a sweep: complete, idempotent, resumable."""

from __future__ import annotations

import contextlib
import io
import os
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
import torch
from mlflow import MlflowClient

from envs.errors import ConfigError
from pipeline.tracking import store
from pipeline.tracking.door import EXPERIMENT, SweepRun, experiment_id

HISTORY = {"validation_cost": [(1, 3.0), (2, 2.5)], "critic_loss": [(1, 0.9), (2, 0.4)]}
FINAL = {"validation_cost": 2.5, "validation_stockout_pct": 4.0}
PARAMS = {"lr": 1e-3, "training": {"tau": 0.005, "hidden": [64, 64]}}


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    """One SQLite store for all tests here: making its tables takes seconds."""
    folder = tmp_path_factory.mktemp("store")
    store = f"sqlite:///{folder}/mlflow.db"
    noise = io.StringIO()
    with contextlib.redirect_stderr(noise):
        experiment_id(store)
    assert noise.getvalue() == ""
    return store


@pytest.fixture
def client(uri: str) -> MlflowClient:
    return MlflowClient(uri)


def children(client: MlflowClient, sweep: SweepRun) -> list:
    clause = f"tags.`mlflow.parentRunId` = '{sweep.run_id}'"
    return list(client.search_runs([sweep.experiment_id], clause))


def test_a_sweep_is_one_parent_with_one_child_per_trial(
    uri: str, client: MlflowClient, tmp_path: Path
) -> None:
    with SweepRun(tmp_path / "sweep", uri=uri) as sweep:
        sweep.log_params({"preset": "smoke", "data": {"inventories": 100}})
        first = sweep.log_trial("ddpg-both-c00-s0", PARAMS, HISTORY, FINAL, "finished")
        sweep.log_trial("ddpg-both-c01-s0", PARAMS, HISTORY, FINAL, "finished")
    parent = client.get_run(sweep.run_id)
    assert parent.info.status == "FINISHED"
    assert parent.data.params == {"preset": "smoke", "data.inventories": "100"}
    assert {run.info.run_name for run in children(client, sweep)} == {
        "ddpg-both-c00-s0",
        "ddpg-both-c01-s0",
    }
    trial = client.get_run(first)
    assert trial.info.status == "FINISHED"
    assert trial.data.params == {
        "lr": "0.001",
        "training.tau": "0.005",
        "training.hidden": "[64, 64]",
    }
    assert trial.data.metrics == {**FINAL, "critic_loss": 0.4}
    costs = client.get_metric_history(first, "validation_cost")
    assert [(point.step, point.value) for point in costs] == [(1, 3.0), (2, 2.5)]


def test_the_experiment_is_not_one_for_language_models(uri: str, client: MlflowClient) -> None:
    experiment = client.get_experiment_by_name(EXPERIMENT)
    assert experiment.tags["mlflow.experimentKind"] == "custom_model_development"
    assert experiment.artifact_location.endswith("/mlartifacts")


def test_resuming_continues_the_same_runs_and_adds_nothing(
    uri: str, client: MlflowClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)  # for load_table, which ignores the client's
    ids = []
    for _ in range(2):
        with SweepRun(tmp_path / "sweep", uri=uri) as sweep:
            sweep.log_params({"preset": "smoke"})
            sweep.log_metrics({"best_cost": 2.5})
            trial = sweep.log_trial("ppo-base-c00-s0", PARAMS, HISTORY, FINAL, "finished")
            sweep.log_table(pd.DataFrame({"method": ["ppo"], "cost": [2.5]}), "comparison.json")
        ids.append((sweep.run_id, trial))
    assert ids[0] == ids[1]
    assert len(children(client, sweep)) == 1
    assert len(client.get_metric_history(ids[0][0], "best_cost")) == 1
    assert len(client.get_metric_history(ids[0][1], "critic_loss")) == 2
    table = client.load_table(sweep.experiment_id, "comparison.json", [sweep.run_id])
    assert table.to_dict("records") == [{"method": "ppo", "cost": 2.5}]


def test_a_failed_trial_is_visible_with_its_cause_and_replaced_when_it_works(
    uri: str, client: MlflowClient, tmp_path: Path
) -> None:
    with SweepRun(tmp_path / "sweep", uri=uri) as sweep:
        sweep.log_trial("ds-none-c00-s0", PARAMS, {}, {}, "failed", "ValueError: lr is NaN")
        (failed,) = children(client, sweep)
        assert failed.info.status == "FAILED"
        assert failed.data.tags["deepstock.cause"] == "ValueError: lr is NaN"
        sweep.log_trial("ds-none-c00-s0", PARAMS, HISTORY, FINAL, "finished")
    (run,) = children(client, sweep)
    assert run.info.status == "FINISHED"
    assert "deepstock.cause" not in run.data.tags


def test_no_run_is_left_running_after_a_crash(
    uri: str, client: MlflowClient, tmp_path: Path
) -> None:
    def crash() -> None:
        with SweepRun(tmp_path / "sweep", uri=uri) as sweep:
            tags = {"mlflow.parentRunId": sweep.run_id}  # cut while a trial was being logged
            client.create_run(sweep.experiment_id, tags=tags)
            raise RuntimeError("disk full")

    with pytest.raises(RuntimeError, match="disk full"):
        crash()
    experiment = experiment_id(uri)
    assert client.search_runs([experiment], "attributes.status = 'RUNNING'") == []
    with SweepRun(tmp_path / "sweep", uri=uri) as resumed:
        assert client.get_run(resumed.run_id).info.status == "RUNNING"
    assert client.get_run(resumed.run_id).info.status == "FINISHED"


def test_interrupting_marks_the_sweep_killed(
    uri: str, client: MlflowClient, tmp_path: Path
) -> None:
    sweep = SweepRun(tmp_path / "sweep", uri=uri)
    with pytest.raises(KeyboardInterrupt), sweep:
        raise KeyboardInterrupt
    assert client.get_run(sweep.run_id).info.status == "KILLED"


def test_another_setting_in_the_same_sweep_is_refused(uri: str, tmp_path: Path) -> None:
    with SweepRun(tmp_path / "sweep", uri=uri) as sweep:
        sweep.log_params({"data": {"seed": 1}})
        with pytest.raises(ConfigError, match=r"data\.seed = 2 was 1"):
            sweep.log_params({"data": {"seed": 2}})


class Orders(torch.nn.Module):
    """A base-stock policy: the first column is the level, the rest the inventory position."""

    def __init__(self, factor: float = 1.0) -> None:
        super().__init__()
        self.factor = torch.nn.Parameter(torch.tensor(factor))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.clamp(self.factor * x[:, 0] - x[:, 1:].sum(dim=1), min=0.0)


def test_a_logged_model_gives_the_orders_of_the_policy_for_any_number_of_rows(
    uri: str, client: MlflowClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with SweepRun(tmp_path / "sweep", uri=uri) as sweep:
        example = np.ones((1, 4), np.float32)
        model = sweep.log_model("ddpg-base", Orders(2.0), example)
        assert sweep.log_model("ddpg-base", Orders(2.0), example) == model
    (logged,) = client.search_logged_models([sweep.experiment_id])
    assert (logged.name, logged.source_run_id) == ("ddpg-base", sweep.run_id)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    loaded = mlflow.pyfunc.load_model(model)
    x = np.random.default_rng(0).uniform(0, 10, (37, 4)).astype(np.float32)
    np.testing.assert_allclose(
        loaded.predict(x), np.maximum(2 * x[:, 0] - x[:, 1:].sum(axis=1), 0), rtol=1e-5
    )
    assert loaded.metadata.signature.inputs.input_types() == [np.dtype("float32")]


def test_another_model_under_the_same_name_replaces_the_first(
    uri: str, client: MlflowClient, tmp_path: Path
) -> None:
    with SweepRun(tmp_path / "sweep", uri=uri) as sweep:
        sweep.log_model("ds-base", Orders(1.0), np.ones((2, 4), np.float32))
        second = sweep.log_model("ds-base", Orders(2.0), np.ones((2, 4), np.float32))
    found = client.search_logged_models(
        [sweep.experiment_id], filter_string=f"source_run_id = '{sweep.run_id}'"
    )
    assert [model.model_uri for model in found] == [second]


def test_files_are_logged_and_logging_prints_nothing(
    uri: str, client: MlflowClient, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    plot = tmp_path / "cost.png"
    plot.write_bytes(b"not really a picture")
    with SweepRun(tmp_path / "sweep", uri=uri) as sweep:
        sweep.log_text("seed: 1\n", "configuration.yaml")
        sweep.log_artifact(plot, "plots")
        sweep.log_metrics({"best_cost": 2.5})
    assert {f.path for f in client.list_artifacts(sweep.run_id)} == {"configuration.yaml", "plots"}
    assert [f.path for f in client.list_artifacts(sweep.run_id, "plots")] == ["plots/cost.png"]
    assert client.get_run(sweep.run_id).data.metrics == {"best_cost": 2.5}
    assert capfd.readouterr() == ("", "")


def test_the_environment_names_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow:5000")
    assert store.tracking_uri() == "http://mlflow:5000"
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    monkeypatch.chdir(tmp_path)
    assert store.tracking_uri() == f"sqlite:///{tmp_path}/mlflow.db"


@pytest.mark.parametrize(
    ("uri", "problem"),
    [("http://127.0.0.1:1", "does not answer"), ("postgres-typo://x", "cannot be used")],
)
def test_a_store_that_cannot_be_used_is_named_with_a_remedy(
    uri: str, problem: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=problem) as caught, SweepRun(tmp_path, uri=uri):
        pass
    assert uri in str(caught.value)
    assert "MLFLOW_TRACKING_URI" not in os.environ
