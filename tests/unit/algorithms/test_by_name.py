"""No algorithm is known by its name: what differs is in its file, and runs it by what it brings."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
import torch
from torch import Tensor

from pipeline.algorithms.build import ALGORITHMS, build_config
from pipeline.algorithms.ds import DS, DSConfig
from pipeline.algorithms.runner import Rows, ShardRunner
from pipeline.runs.config import RunConfig
from pipeline.runs.method import AlgorithmName
from pipeline.scenarios.dataset import DatasetSource
from tests.runners import SMALL

ROOT = Path(__file__).resolve().parents[3]
MAY_NAME = {
    "pipeline/runs/method.py",  # there they are named
    "pipeline/comparison/style.py",  # their marks in plots
    "pipeline/data/importing/long/columns.py",  # a column may be called ds
    "tuning/studies/plan.py", "tuning/studies/run.py",  # the paper's experiments
}  # fmt: skip


def names(source: str) -> list[str]:
    """Algorithms that code names: as text, as AlgorithmName.X, or by importing their files."""
    known = {str(name) for name in AlgorithmName}
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and node.value in known:
            found.append(str(node.value))
        elif isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == "AlgorithmName":
            found.append(node.attr)
        elif isinstance(node, ast.ImportFrom) and node.module:
            last = node.module.rpartition("pipeline.algorithms.")[2]
            found += [last] if last in known else []
    return found


def test_nobody_asks_for_an_algorithms_name() -> None:
    paths = [
        path
        for package in ("pipeline", "tuning", "cluster")
        for path in sorted((ROOT / package).rglob("*.py"))
        if not str(path.relative_to(ROOT)).startswith("pipeline/studies/")
    ]
    found = {str(path.relative_to(ROOT)): names(path.read_text()) for path in paths}
    assert len(found) > 100
    assert {path for path, named in found.items() if named} <= MAY_NAME


@pytest.mark.parametrize(
    "source",
    [
        "if algorithm == 'ddpg': pass",
        "if algorithm is AlgorithmName.PPO: pass",
        "def f():\n    from pipeline.algorithms.ds import DSConfig",
    ],
)
def test_the_check_sees_a_name(source: str) -> None:
    assert len(names(source)) == 1


@pytest.mark.parametrize("name", AlgorithmName)
def test_an_algorithm_is_the_file_of_its_name(name: AlgorithmName) -> None:
    config = ALGORITHMS.find(name)
    assert config.__module__ == f"pipeline.algorithms.{name}"
    parts = config().algo_class
    assert parts.config_class is config
    assert {part.__module__ for part in (parts, parts.module_class, parts.rows_class)} == {
        config.__module__
    }
    assert len((ROOT / "pipeline" / "algorithms" / f"{name}.py").read_text().splitlines()) <= 350


class Counted(Rows):
    """Rows that the project has not seen."""

    def sample(self, runner: ShardRunner, iteration: int) -> dict[str, Tensor]:
        """The days of a fragment, once for each inventory that this runner is to give."""
        fragment = runner.fragment(iteration)
        runner.play(fragment)
        return {"days": torch.full((runner.share(8),), fragment.scenario.num_days)}


class Counting(DS):
    """DS with other rows."""

    rows_class = Counted


def test_a_runner_gives_whatever_rows_it_is_told_to(source: DatasetSource) -> None:
    run = RunConfig(algorithm="ds", action_model="base", training=SMALL["ds"])
    config: DSConfig = build_config(run, source).copy(copy_frozen=False)
    config.algo_class = Counting
    runner = ShardRunner(config=config, worker_index=1, num_workers=2)
    (batch,) = runner.sample()
    assert {name: column.tolist() for name, column in batch.items()} == {"days": [40] * 4}
    assert runner.num_env_steps_sampled_lifetime > 0
