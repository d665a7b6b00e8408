"""Which iteration's model a run keeps: the one with the least mean of the last validations."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from ray.rllib.utils.metrics import ENV_RUNNER_RESULTS

from envs.metrics import metric_names
from envs.objective import DEFAULT_OBJECTIVE
from envs.state import ObservationLayout
from pipeline.policies.action_models import make_action_model
from pipeline.policies.networks import PolicyNetwork
from pipeline.policies.store import load_model
from pipeline.runs.config import RunConfig
from pipeline.runs.result import RunResult, read_history
from pipeline.training.run import TrainingRun

LUCKY = [5.0, 4.0, 0.5, 9.0, 3.0, 2.0, 2.2, 2.6, 3.0]
"""The least single one is lucky: 9 came right after it."""


class Judged:
    """A run whose validations are given; its policy's first weight is the iteration."""

    def __init__(self, directory: Path) -> None:
        layout = ObservationLayout(1, 1, 1)
        self.policy = PolicyNetwork(layout, make_action_model("base", 1), (4,))
        module = SimpleNamespace(averaged=self.policy, policy=None)
        wrapped = SimpleNamespace(unwrapped=lambda: module)
        self.run = object.__new__(TrainingRun)
        self.run.directory = directory
        self.run.run = RunConfig(algorithm="ds", action_model="base")
        self.run.objective = DEFAULT_OBJECTIVE
        self.run.source = SimpleNamespace()  # type: ignore[assignment]
        self.run.algorithm = SimpleNamespace(get_module=lambda: wrapped)
        self.run.result = RunResult("finished")
        self.run._best = math.inf

    def validate(self, cost: float) -> dict[str, float]:
        self.run.result.iterations += 1
        with torch.no_grad():
            self.policy.net[-1].bias.fill_(self.run.result.iterations)  # type: ignore[operator, union-attr]
        figures: dict[str, Any] = dict.fromkeys(metric_names(), 10 * cost) | {"cost": cost}
        return self.run._judge({ENV_RUNNER_RESULTS: figures})


@torch.no_grad()
def iteration_of_model(directory: Path) -> float:
    return float(load_model(directory / "model").policy.net[-1].bias[0])  # type: ignore[index, union-attr]


def test_the_model_kept_has_the_least_trailing_mean(tmp_path: Path) -> None:
    judged = Judged(tmp_path)
    kept = []
    for cost in LUCKY:
        assert judged.validate(cost)["cost"] == cost
        kept.append(judged.run.result.best_iteration)
    # Means of up to three: 5, 4.5, 3.17, 4.5, 4.17, 4.67, 2.4, 2.27, 2.6.
    assert kept == [1, 2, 3, 3, 3, 3, 7, 8, 8]
    assert iteration_of_model(tmp_path) == 8
    result = judged.run.result
    assert result.validation["cost"] == pytest.approx((2.0 + 2.2 + 2.6) / 3)
    assert result.validation["stockout_rate_pct"] == pytest.approx(10 * (2.0 + 2.2 + 2.6) / 3)
    # The record holds each as it was.
    assert [line["cost"] for line in read_history(tmp_path)] == LUCKY


def test_a_resumed_run_remembers_the_last_validations(tmp_path: Path) -> None:
    first = Judged(tmp_path)
    for cost in LUCKY[:6]:
        first.validate(cost)
    resumed = Judged(tmp_path)
    resumed.run.result, resumed.run._best = first.run.result, first.run._best
    for cost in LUCKY[6:]:
        resumed.validate(cost)
    assert resumed.run.result.best_iteration == 8
    assert resumed.run.result.validation["cost"] == pytest.approx((2.0 + 2.2 + 2.6) / 3)


def test_a_validation_that_is_no_number_ends_the_run(tmp_path: Path) -> None:
    judged = Judged(tmp_path)
    judged.validate(1.0)
    judged.validate(math.nan)
    assert judged.run.result.status == "diverged"
    assert judged.run.result.best_iteration == 1
    assert iteration_of_model(tmp_path) == 1
