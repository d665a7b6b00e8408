"""What docs/extending.md adds works as the page has it: trained, resumed, loaded, deciding."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import ray
import torch
import yaml

from envs.errors import ConfigError
from envs.objective import OBJECTIVES, CostObjective, objective_of
from envs.registry import Registry
from envs.state import InventoryState
from pipeline.baselines.rules import BaseStockPerClass
from pipeline.baselines.tuned import tuned_baselines
from pipeline.policies.action_models import ACTION_MODELS
from pipeline.policies.networks import PolicyNetwork
from pipeline.policies.store import load_model
from pipeline.runs.config import RunConfig
from pipeline.scenarios.dataset import DatasetSource
from pipeline.serving.decide import decide, find_decider
from pipeline.serving.snapshot import make_snapshot
from pipeline.tracking.door import SweepRun
from pipeline.tracking.publish import example_inputs
from pipeline.training.run import RunResult, TrainingRun, read_history
from tuning.preset import load_preset, merged

PAGE = Path(__file__).parents[2] / "docs" / "extending.md"
TINY: dict[str, dict[str, Any]] = {
    "ds": {"hidden": [8], "fragment_days": 30, "updates_per_iteration": 2,
           "train_batch_size_per_learner": 32},
    "ddpg": {"hidden": [8], "critic_hidden": [8], "fragment_days": 40, "updates_per_iteration": 3,
             "critic_warm_up": 1, "train_batch_size_per_learner": 64},
    "ppo": {"hidden": [8], "value_hidden": [8], "fragment_days": 40, "num_epochs": 1,
            "train_batch_size_per_learner": 512, "minibatch_size": 256},
}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    """Training looks for a Ray, even where it stays in its own process."""
    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield
    ray.shutdown()


@pytest.fixture
def examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The page's files, importable by their bare names; short name -> ``module:Class``."""
    folder = tmp_path / "modules"
    folder.mkdir()
    text = PAGE.read_text()
    for path, code in re.findall(r"^`([\w/]+\.py)`\n\n```python\n(.*?)^```$", text, re.M | re.S):
        (folder / f"example_{Path(path).name}").write_text(code)
    monkeypatch.syspath_prepend(folder)
    lines = re.findall(r'^```\n"(\w+)": "([\w.]+):(\w+)",\n```$', text, re.M)
    return {name: f"example_{path.split('.')[-1]}:{cls}" for name, path, cls in lines}


def train(source: DatasetSource, folder: Path, algorithm: str, **content: Any) -> TrainingRun:
    """Two iterations, the run cut and resumed between them."""
    run = RunConfig(
        algorithm=algorithm, iterations=2, validate_every=1, checkpoint_every=1,
        training=TINY[algorithm], **content,
    )  # fmt: skip
    for _ in range(2):
        training = TrainingRun(run, source, folder)
        training.step()
        training.close()
    return training


def register(
    monkeypatch: pytest.MonkeyPatch, registry: Registry[Any], name: str, path: str
) -> None:
    """The page's line."""
    monkeypatch.setitem(registry.known, name, path)  # type: ignore[arg-type]


@pytest.mark.parametrize("registered", [True, False])
def test_an_action_model(
    source: DatasetSource,
    tmp_path: Path,
    examples: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    registered: bool,
) -> None:
    path = written = examples["capped"]
    if registered:
        register(monkeypatch, ACTION_MODELS, "capped", path)
        written = "capped"
    training = train(source, tmp_path / "run", "ds", action_model=path)
    assert (training.run.method, training.run.action_model) == ("ds-capped", written)
    assert yaml.safe_load((tmp_path / "run/config.yaml").read_text())["action_model"] == written
    assert training.algorithm.get_module().unwrapped().play.by_hand
    assert torch.load(tmp_path / "run/model/policy.pt")["action_model"]["kind"] == written

    make_snapshot(source, tmp_path / "day.parquet")
    decider = find_decider(tmp_path / "run")
    decide(decider, tmp_path / "day.parquet", tmp_path / "orders.parquet")
    orders = pd.read_parquet(tmp_path / "orders.parquet")
    scale = pd.read_parquet(tmp_path / "day.parquet")["scale"]
    assert set(orders["model"]) == {"ds-capped"}
    assert (orders["order"] > 0).any()
    assert (orders["order"] <= 0.6 * scale * (1 + 1e-6)).all()
    # With empty shelves everyone lacks more than the cap.
    scenario = source.load("validation", 0)
    nothing = InventoryState.empty(
        scenario.num_inventories, scenario.max_lead_time, like=scenario.demand
    )
    seen = scenario.observe(0, nothing)
    with torch.no_grad():
        order = load_model(tmp_path / "run" / "model").policy.decide(seen).order
    torch.testing.assert_close(order, 0.6 * seen.scale)

    preset = load_preset(
        "smoke", {"action_models": ["both", path], "methods": ["ds-both", "ds-capped"]}
    )
    assert list(preset.first_round()) == ["ds-both-c00-s0", "ds-capped-c00-s0"]


def test_an_action_model_of_ones_own_is_tracked(
    source: DatasetSource,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    path = "tests.own_action_models:NearStock"
    training = train(source, tmp_path / "run", "ds", action_model=path)
    assert training.algorithm.get_module().unwrapped().play.by_hand
    policy = load_model(tmp_path / "run" / "model").policy
    with SweepRun(tmp_path) as run:
        assert run.log_model(training.run.method, policy, example_inputs(source))


@pytest.mark.parametrize("algorithm", list(TINY))
def test_projected_stock_goes_all_the_way(
    source: DatasetSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, algorithm: str
) -> None:
    """From training to orders and the tracked model."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    training = train(source, tmp_path / "run", algorithm, action_model="projboth")
    assert training.run.method == f"{algorithm}-projboth"
    make_snapshot(source, tmp_path / "day.parquet")
    decide(find_decider(tmp_path / "run"), tmp_path / "day.parquet", tmp_path / "orders.parquet")
    orders = pd.read_parquet(tmp_path / "orders.parquet")
    assert (orders["order"] > 0).any()
    policy = load_model(tmp_path / "run" / "model").policy
    with SweepRun(tmp_path) as run:
        assert run.log_model(training.run.method, policy, example_inputs(source))


@pytest.mark.parametrize("algorithm", list(TINY))
def test_an_objective(
    source: DatasetSource,
    tmp_path: Path,
    examples: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    algorithm: str,
) -> None:
    register(monkeypatch, OBJECTIVES, "days", examples["days"])
    (options,) = re.findall(r"^objective: .*$", PAGE.read_text(), re.M)
    choice = yaml.safe_load(options)["objective"]
    training = train(source, tmp_path / "run", algorithm, action_model="base", objective=choice)
    result, objective = RunResult.read(tmp_path / "run"), objective_of(choice)
    assert result is not None
    assert result.status == "finished"
    for line in read_history(tmp_path / "run"):
        expected = line["turnover_days"] + 80.0 * line["stockout_rate_pct"] / 100
        assert line["weighted_days"] == pytest.approx(expected)
    assert result.validation["weighted_days"] > 0
    assert training.run.objective == {"name": "days", "stockout_weight": 80.0}
    assert objective_of(objective.written()) == objective


@pytest.mark.slow
def test_baselines_are_tuned_for_the_objective(
    source: DatasetSource, tmp_path: Path, examples: dict[str, str]
) -> None:
    for_cost = tuned_baselines(source, tmp_path, CostObjective())
    light, heavy = (
        tuned_baselines(
            source, tmp_path, objective_of({"name": examples["days"], "stockout_weight": weight})
        )
        for weight in (1.0, 300.0)
    )
    assert light[BaseStockPerClass.name] != for_cost[BaseStockPerClass.name]
    rule, figure = heavy.best_rule()
    assert figure == heavy.validation[rule.name]["weighted_days"]
    stockouts = [
        tuned.validation[BaseStockPerClass.name]["stockout_rate_pct"] for tuned in (light, heavy)
    ]
    assert stockouts[0] > 2 * stockouts[1]


def test_a_sweep_has_one_objective(examples: dict[str, str]) -> None:
    preset = load_preset("smoke", {"objective": examples["days"]})
    assert {str(run.objective) for run in preset.first_round().values()} == {examples["days"]}
    assert merged({}, json.loads(preset.model_dump_json()))["objective"] == examples["days"]


def test_an_object_or_a_class_stands_for_its_name() -> None:
    base = ACTION_MODELS.find("base")
    run = RunConfig(algorithm="ds", action_model=base, objective=CostObjective())  # type: ignore[arg-type]
    assert run == RunConfig(algorithm="ds", action_model="base")


@pytest.mark.parametrize(
    ("registry", "choice", "message"),
    [
        (ACTION_MODELS, "tests.own_action_models:NoName", "name = None is not fit"),
        (ACTION_MODELS, "tests.own_action_models:Missing", "cannot be imported"),
        (ACTION_MODELS, "no.such.module:Missing", "PYTHONPATH"),
        (ACTION_MODELS, "envs.objective:CostObjective", "is no ActionModel"),
        (OBJECTIVES, "margin", "Use one of cost"),
    ],
)
def test_what_is_wrong_is_said(registry: Registry[Any], choice: str, message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        registry.written(choice)


def test_a_class_that_others_cannot_import_is_refused() -> None:
    class Local(CostObjective):
        name = "local"

    class Taken(CostObjective):
        name = "cost"

    with pytest.raises(ConfigError, match="top level of a module"):
        OBJECTIVES.written(Local)
    with pytest.raises(ConfigError, match="is taken"):
        OBJECTIVES.written(Taken)


def test_an_unknown_option_of_an_objective_is_refused() -> None:
    with pytest.raises(ConfigError, match="knows these options: none"):
        objective_of({"name": "cost", "weight": 2})


def test_a_models_folder_of_before_still_loads(tmp_path: Path, source: DatasetSource) -> None:
    settings = {"kind": "coeff", "low": 0.0, "high": 2.0, "coefficient_high": 2.0}
    layout = source.layout
    policy = PolicyNetwork(layout, ACTION_MODELS.find("coeff")(layout.basis), [4])
    torch.save(
        {
            "layout": {"max_lead_time": layout.max_lead_time, "basis": layout.basis,
                       "features": layout.features},
            "action_model": settings,
            "hidden": [4],
            "state": policy.state_dict(),
        },
        tmp_path / "policy.pt",
    )  # fmt: skip
    assert load_model(tmp_path).policy.action_model.settings["coefficient_high"] == 2.0
