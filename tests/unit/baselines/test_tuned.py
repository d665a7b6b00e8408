"""Baselines are tuned once, compete on validation, and can make the orders."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd
import pytest
import yaml

from envs.errors import DataError
from envs.objective import DEFAULT_OBJECTIVE
from pipeline.baselines import tuned as module
from pipeline.baselines.base import BASELINES, PER_CLASS, Baseline, DayRule, day_rules
from pipeline.baselines.per_class import OrderUpToPerClass
from pipeline.baselines.rules import BaseStockPerClass, ForecastSafetyStock
from pipeline.baselines.tuned import (
    FILE,
    TunedBaselines,
    lost_methods,
    read_baselines,
    tuned_baselines,
)
from pipeline.evaluation.play import evaluate_scenario, summarize_source
from pipeline.features.build import FEATURES
from pipeline.policies.action_models import make_action_model
from pipeline.policies.networks import PolicyNetwork
from pipeline.policies.store import save_model
from pipeline.runs.sweep import Selected, read_sweep, write_selection
from pipeline.scenarios.dataset import DatasetSource
from pipeline.serving.decide import decide_sweep, find_decider


@pytest.fixture(scope="module")
def folder(source: DatasetSource, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep of one method whose baselines are tuned. Read only."""
    directory = tmp_path_factory.mktemp("sweep")
    model = PolicyNetwork(source.layout, make_action_model("both", source.layout.basis), [4])
    save_model(directory / "trials" / "ddpg-both-c00-s0" / "model", model, source.factors)
    source.factors.save(directory / "forecast.json")
    plan = {"data_directory": str(source.directory), "name": "tiny"}
    (directory / "preset.yaml").write_text(yaml.safe_dump(plan))
    tuned_baselines(source, directory, DEFAULT_OBJECTIVE)
    finish(directory, 1e9)
    return directory


@pytest.fixture
def sweep(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "sweep"))


@pytest.fixture
def asked(folder: Path) -> Iterator[list[str]]:
    """Tuning finds at once what it found before; says which baselines were tuned."""
    names: list[str] = []

    def finds(name: str, found: Baseline) -> classmethod[Any, Any, Baseline]:
        return classmethod(lambda cls, source, objective: names.append(name) or found)

    with pytest.MonkeyPatch.context() as patched:
        for name, found in read_baselines(folder).items():
            patched.setattr(BASELINES.find(name), "tune", finds(name, found))
        yield names


def finish(directory: Path, cost: float) -> None:
    """The method's validation cost."""
    trial = "ddpg-both-c00-s0"
    write_selection(directory, {"ddpg-both": Selected(trial, cost, 1, 0, 1.0, {}, [trial])})


def test_what_was_tuned_is_kept(source: DatasetSource, folder: Path) -> None:
    kept = read_baselines(folder)
    with patch.object(OrderUpToPerClass, "tune", side_effect=AssertionError):
        assert tuned_baselines(source, folder, DEFAULT_OBJECTIVE) == kept
    scenario = source.load("test", 0)
    again = OrderUpToPerClass.tune(source, DEFAULT_OBJECTIVE)
    one, other = (
        evaluate_scenario(scenario, rule.policy_for)["cost"] for rule in (kept[PER_CLASS], again)
    )
    np.testing.assert_allclose(one, other)
    assert list(kept.policies()) == [*BASELINES, "perfect_hindsight"]
    assert "perfect_hindsight" not in kept.validation


@pytest.mark.parametrize("name", list(BASELINES))
def test_a_baseline_is_called_what_the_registry_calls_it(folder: Path, name: str) -> None:
    found, tuned = BASELINES.find(name), read_baselines(folder)[name]
    assert (BASELINES.label(found), type(tuned)) == (name, found)
    assert found.of_written(json.loads(json.dumps(tuned.written()))) == tuned
    assert isinstance(tuned, DayRule) == (name in day_rules())
    assert BaseStockPerClass.name not in day_rules()


def test_a_new_baseline_is_tuned_with_the_others(
    source: DatasetSource, sweep: Path, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(BASELINES.known, PER_CLASS)  # type: ignore[attr-defined]
    assert PER_CLASS not in tuned_baselines(source, sweep, DEFAULT_OBJECTIVE)
    monkeypatch.undo()
    assert list(tuned_baselines(source, sweep, DEFAULT_OBJECTIVE)) == list(BASELINES)


def test_other_data_are_tuned_for_again(
    source: DatasetSource, sweep: Path, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "mark_of", lambda source: "other")
    tuned_baselines(source, sweep, DEFAULT_OBJECTIVE)
    assert asked == list(BASELINES)


def test_they_are_validated_as_methods_are(source: DatasetSource, folder: Path) -> None:
    tuned = read_baselines(folder)
    for name, rule in tuned.rules.items():
        expected, _, _ = summarize_source(source, "validation", rule)
        assert tuned.validation[name] == pytest.approx(expected)


@pytest.mark.parametrize("content", ["", "{}", '{"tuned": {}}'])
def test_a_damaged_file_is_named(sweep: Path, content: str) -> None:
    (sweep / FILE).write_text(content)
    with pytest.raises(DataError, match="no tuned baselines"):
        read_baselines(sweep)


@pytest.mark.parametrize("content", ["", "{}", '{"data": "MARK", "tuned": {}}'])
def test_a_damaged_file_is_made_again(
    source: DatasetSource, sweep: Path, asked: list[str], content: str
) -> None:
    kept = json.loads((sweep / FILE).read_text())
    (sweep / FILE).write_text(content.replace("MARK", kept["data"]))
    tuned_baselines(source, sweep, DEFAULT_OBJECTIVE)
    assert asked == list(BASELINES)
    assert json.loads((sweep / FILE).read_text()) == kept


def of_cost(folder: Path, per_class: float, safety_stock: float) -> TunedBaselines:
    content = json.loads((folder / FILE).read_text())
    for figures in content["validation"].values():
        figures["cost"] = 1e3
    content["validation"][PER_CLASS]["cost"] = per_class
    content["validation"][ForecastSafetyStock.name]["cost"] = safety_stock
    (folder / FILE).write_text(json.dumps(content))
    return read_baselines(folder)


def test_a_method_that_loses_says_so(sweep: Path) -> None:
    tuned = of_cost(sweep, 2.0, 3.0)
    assert tuned.lost_to("ddpg-both", 1.9) == ""
    lost = tuned.lost_to("ddpg-both", 2.5)
    assert lost == (
        "ddpg-both is worse than class-tuned order-up-to on validation (cost 2.5 against 2): do "
        "not order with it."
    )
    both = tuned.lost_to("ddpg-both", 3.5)
    assert "than class-tuned order-up-to and forecast + safety stock on" in both
    assert "(cost 3.5 against 2 and 3)" in both
    diverged = tuned.lost_to("ddpg-both", float("nan"))
    assert "forecast + safety stock, newsvendor on learned quantiles, capped" in diverged
    assert "(cost nan against 2, 3, 1000, 1000, 1000 and 1000)" in diverged
    finish(sweep, 2.5)
    assert lost_methods(read_sweep(sweep), tuned) == [lost]


def test_the_cheapest_on_validation_makes_the_orders(sweep: Path) -> None:
    of_cost(sweep, 2.0, 3.0)
    finish(sweep, 1.9)
    learned = find_decider(sweep)
    assert learned.action_model is not None
    assert learned.action_model.outputs == 5
    assert "best validation cost of all methods (1.9; class-tuned order-up-to 2)" in learned.why
    finish(sweep, 2.5)
    rule = find_decider(sweep)
    assert (rule.name, len(rule.version)) == (PER_CLASS, 12)
    assert rule.why == (
        "it was better on validation than every learned method (cost 2 against 2.5 of ddpg-both)"
    )
    of_cost(sweep, 2.0, 1.0)
    assert find_decider(sweep).name == ForecastSafetyStock.name
    assert find_decider(sweep).version != rule.version


def test_a_baselines_orders_name_it(sweep: Path, source: DatasetSource) -> None:
    orders = decide_sweep(sweep)
    assert orders is not None
    assert "by order_up_to_per_class" in str(orders) or "by forecast_safety_stock" in str(orders)
    assert "better on validation than every learned method" in str(orders)
    rows = pd.read_parquet(sweep / "orders.parquet")
    snapshot = pd.read_parquet(sweep / "snapshot.parquet")
    assert set(rows["model"]) == {find_decider(sweep).name}
    # The coefficients are those of forecast and error, and explain the level.
    seen = np.stack(snapshot["features"])
    error = seen[:, FEATURES.index("forecast_error")] * snapshot["scale"]
    weights = np.stack(rows["coefficients"])
    level = weights[:, 0] * np.stack(snapshot["basis"])[:, 2] + weights[:, 1] * error
    np.testing.assert_allclose(rows["base_stock_level"], level, rtol=1e-4, atol=1e-4)
    assert (rows["order"] > 0).any()


def test_a_sweep_without_a_model_has_the_baselines(sweep: Path) -> None:
    write_selection(sweep, {"ddpg-both": Selected(None, None, 1, 1, 1.0, {"a": "nan"})})
    assert find_decider(sweep).why == "no learned method finished"


def test_a_sweep_that_was_not_compared_has_its_methods(sweep: Path) -> None:
    (sweep / FILE).unlink()
    assert find_decider(sweep).name == "both"  # the trial's folder holds no configuration
