"""One training, a whole trade-off: a goal is met by turning it, and the orders follow."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from envs.errors import ConfigError
from pipeline.policies.store import load_goal, load_model
from pipeline.runs.config import RunConfig
from pipeline.runs.run import Run
from pipeline.serving.day import decide, snapshot
from pipeline.training.session import meet_goal, train_run

TRAINING = {
    "ds": {"hidden": [16], "updates_per_iteration": 8, "train_batch_size_per_learner": 256},
    "ddpg": {"hidden": [16], "critic_hidden": [16], "updates_per_iteration": 32},
    "ppo": {"hidden": [16], "train_batch_size_per_learner": 2048, "minibatch_size": 256},
}


@pytest.fixture(scope="module")
def run(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    config = RunConfig(
        algorithm="ds", action_model="base", iterations=30, validate_every=5, seed=1,
        training=TRAINING["ds"], shortage_factors=(0.003, 3.0),
    )  # fmt: skip
    return train_run(dataset, config, tmp_path_factory.mktemp("goal") / "run")


def test_a_goal_is_met_on_validation_and_kept_for_the_orders(run: Run, dataset: Path) -> None:
    (found,) = meet_goal(run, dataset, "test", "stockout<=8%")
    assert 7.0 < found.validation["stockout_rate_pct"] <= 8.0
    assert 0.003 < found.factor < 3.0
    assert found.later["stockout_rate_pct"] > 0
    model = load_model(Path(run) / "model")
    assert load_goal(Path(run) / "model", "stockout<=8%", model.version) == {"all": found.factor}


def test_a_stricter_goal_orders_more(run: Run, dataset: Path) -> None:
    easy, hard = "stockout<=20%", "stockout<=4%"
    factors = [meet_goal(run, dataset, "test", goal)[0].factor for goal in (easy, hard)]
    assert factors[0] < factors[1]
    morning = snapshot(dataset, model=run)
    totals = [decide(run, morning, goal=goal).frame()["wanted"].sum() for goal in (easy, hard)]
    assert totals[0] < totals[1]


def test_a_goal_for_each_class(run: Run, dataset: Path) -> None:
    found = {met.group: met for met in meet_goal(run, dataset, "test", "fill>=90% per class")}
    assert len(found) > 1
    assert all(met.validation["fill_rate_pct"] >= 90 for met in found.values())
    orders = decide(run, snapshot(dataset, model=run), goal="fill>=90% per class").frame()
    assert isinstance(orders, pd.DataFrame)
    assert len(orders) == 600


def test_a_goal_that_was_not_looked_for_is_refused(run: Run, dataset: Path) -> None:
    with pytest.raises(ConfigError, match="evaluate --run"):
        decide(run, snapshot(dataset, model=run), goal="stockout<=1.5%")


@pytest.mark.parametrize("algorithm", ["ddpg", "ppo"])
def test_every_algorithm_learns_under_weighed_shortages(
    algorithm: str, dataset: Path, tmp_path: Path
) -> None:
    config = RunConfig(
        algorithm=algorithm, action_model="both", iterations=2, validate_every=2,
        training=TRAINING[algorithm], shortage_factors=(0.03, 3.0), objective="service",
    )  # fmt: skip
    trained = load_model(Path(train_run(dataset, config, tmp_path / "run")) / "model")
    assert trained.shortage_factors == (0.03, 3.0)
    assert trained.objective.name == "service"


def test_a_policy_for_one_trade_off_has_none_to_turn(dataset: Path, tmp_path: Path) -> None:
    config = RunConfig(
        algorithm="ds", action_model="base", iterations=1, validate_every=1, training=TRAINING["ds"]
    )
    plain = train_run(dataset, config, tmp_path / "run")
    with pytest.raises(ConfigError, match="shortage_factors"):
        meet_goal(plain, dataset, "test", "stockout<=8%")
