"""From a terminal credit alone the learners get better than their start, within seconds."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from envs.objective import objective_of
from envs.problems.poisson import poisson_scenario
from envs.state import InventoryState, Scenario
from pipeline.evaluation.play import summarize_source
from pipeline.runs.config import RunConfig
from pipeline.scenarios.given import GivenScenarios
from pipeline.scenarios.start import training_start
from pipeline.training.run import TrainingRun
from pipeline.training.session import ray_session

SERVICE = {"name": "service", "turnover_weight": 5.0, "credit": "terminal"}
TRAINING: dict[str, dict[str, Any]] = {
    # A decision's share in what a horizon is charged with is small: it must stand out.
    "ddpg": {"critic_hidden": [32], "tau": 0.1, "lr": 1e-3, "exploration_noise": 1.0,
             "fragment_days": 12},
    "ppo": {"value_hidden": [32], "lambda_": 1.0, "train_batch_size_per_learner": 4096,
            "minibatch_size": 512, "fragment_days": 24},
}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def ray_here() -> Iterator[None]:
    """One Ray for the module."""
    with ray_session(1):
        yield


class RandomStarts(GivenScenarios):
    """Training starts with random stock."""

    def training_start(self, scenario: Scenario, generator: torch.Generator) -> InventoryState:
        """As on data sets."""
        return training_start(scenario, generator)


def lost_sales(rows: int, seed: int) -> Scenario:
    """Poisson demand of 5 a day, delivered on the next."""
    return poisson_scenario(rows, 60, mean=5.0, lead_time=1, shortage_cost=9.0, seed=seed)


@pytest.mark.parametrize(("algorithm", "iterations"), [("ddpg", 14), ("ppo", 20)])
def test_the_policy_learns_from_what_horizons_are_charged_with(
    tmp_path: Path, algorithm: str, iterations: int
) -> None:
    """It starts with too little stock, and the end of its range is too much."""
    tiles = [lost_sales(128, 1), lost_sales(128, 2)]
    source = RandomStarts({"train": tiles, "validation": [lost_sales(512, 9)]})
    run = RunConfig(
        algorithm=algorithm, action_model="base", iterations=iterations, validate_every=iterations,
        objective=SERVICE,
        training={"hidden": [16], "weight_power": 0.0, **TRAINING[algorithm]},
    )  # fmt: skip
    objective = objective_of(run.objective)

    def figure(module: Any) -> float:
        play = module.averaged.decide
        return objective.figure(
            summarize_source(source, "validation", play, objective=objective)[0]
        )

    training = TrainingRun(run, source, tmp_path / "run")
    module = training.algorithm.get_module().unwrapped()
    first = figure(module)
    untrained = copy.deepcopy(module)
    with torch.no_grad():
        untrained.averaged.net[-1].bias.fill_(20.0)
    most = figure(untrained)
    while not training.done:
        training.step()
    last = figure(training.algorithm.get_module().unwrapped())
    training.close()
    assert last < 0.4 * first
    assert last < 0.75 * most
