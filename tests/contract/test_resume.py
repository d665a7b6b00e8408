"""A run that was cut and resumed is the run that was not: same weights, same history."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipeline.runs.config import RunConfig
from pipeline.runs.result import RunResult
from pipeline.scenarios.dataset import DatasetSource
from pipeline.training.run import TrainingRun

pytestmark = pytest.mark.usefixtures("cluster")
SMALL: dict[str, dict[str, Any]] = {
    # The warm-up ends after the cut, and the replay (2 of 4 fragments) overwrites rows.
    "ddpg": {"hidden": [8], "critic_hidden": [8], "fragment_days": 40, "critic_warm_up": 10,
             "updates_per_iteration": 3, "train_batch_size_per_learner": 64,
             "replay_fragments": 2},
    "ppo": {"hidden": [8], "value_hidden": [8], "fragment_days": 40, "num_epochs": 2,
            "train_batch_size_per_learner": 256, "minibatch_size": 128, "entropy_coeff": 0.01},
    "ds": {"hidden": [8], "fragment_days": 30, "updates_per_iteration": 2,
           "train_batch_size_per_learner": 32},
}  # fmt: skip
TERMINAL = {"name": "service", "credit": "terminal"}


def ends_with(training: TrainingRun) -> tuple[dict[str, torch.Tensor], list[Any], RunResult | None]:
    """A learner's state, what was recorded (without times) and the result of a run that is
    trained on."""
    # What else draws random numbers in the process must not matter.
    torch.manual_seed(torch.seed() % 2**31)
    np.random.seed(None)  # noqa: NPY002
    while not training.done:
        training.step()
    state = training.algorithm.learner_group.get_state(components="learner")["learner"]
    training.close()
    records = [
        {key: value for key, value in json.loads(line).items() if "seconds" not in key}
        for name in ("history.jsonl", "losses.jsonl")
        for line in (training.directory / name).read_text().splitlines()
    ]
    result = RunResult.read(training.directory)
    assert result is not None
    result.seconds = result.cpu_seconds = 0.0
    return dict(tensors(state)), records, result


def tensors(state: Any, name: str = "") -> Iterator[tuple[str, torch.Tensor]]:
    """All numbers of a learner's state, networks and optimizers, by their path."""
    if isinstance(state, dict):
        for key, value in state.items():
            yield from tensors(value, f"{name}/{key}")
    elif isinstance(state, (torch.Tensor, np.ndarray, float)):
        yield name, torch.as_tensor(state)


def assert_same(one: Any, other: Any) -> None:
    assert one[1:] == other[1:]
    assert set(one[0]) == set(other[0])
    assert all(torch.equal(value, other[0][name]) for name, value in one[0].items())


@pytest.mark.parametrize(
    ("algorithm", "choices"),
    [
        *((algorithm, {}) for algorithm in SMALL),
        # The replay keeps the horizon's history beside its rows.
        *((algorithm, {"objective": TERMINAL}) for algorithm in ("ddpg", "ppo")),
        pytest.param("ddpg", {"num_env_runners": 2, "num_learners": 1}, marks=pytest.mark.slow),
        pytest.param("ppo", {"num_env_runners": 2, "num_learners": 1}, marks=pytest.mark.slow),
    ],
)
def test_a_run_that_was_cut_ends_as_one_that_was_not(
    source: DatasetSource, tmp_path: Path, algorithm: str, choices: dict[str, Any]
) -> None:
    run = RunConfig(
        algorithm=algorithm, action_model="both", iterations=6, validate_every=2,
        checkpoint_every=3, training=SMALL[algorithm], **choices,
    )  # fmt: skip
    through = ends_with(TrainingRun(run, source, tmp_path / "through"))
    cut = TrainingRun(run, source, tmp_path / "cut")
    for _ in range(4):  # dies one iteration after its checkpoint
        cut.step()
    cut.close()
    with (tmp_path / "cut" / "losses.jsonl").open("a") as record:
        record.write('{"iteration": 5, "los')  # died while it was writing
    resumed = TrainingRun(run, source, tmp_path / "cut")
    assert resumed.result.iterations == 3
    assert resumed.result.cpu_seconds > 0  # counts what was spent before
    assert_same(ends_with(resumed), through)
    assert len({line["cost"] for line in through[1] if "cost" in line}) == 3
    assert sum("averaged" in name for name in through[0]) > 2
    assert any(name.endswith("exp_avg_sq") for name in through[0])
    assert any("target_size" in name for name in through[0]) == (algorithm != "ds")
