"""Evaluation on Ray workers: one dies in the middle, and nothing is missing."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd

from envs.rollout import Policy
from envs.state import Scenario
from pipeline.baselines.rules import ForecastSafetyStock
from pipeline.evaluation.play import play_policy
from pipeline.evaluation.tiles import Candidate, evaluate_policies
from pipeline.scenarios.dataset import DatasetSource
from pipeline.training.session import ray_session
from tests.rows import evaluate_dataset


def test_the_tiles_of_a_worker_that_dies_are_evaluated_again(
    source: DatasetSource, tmp_path: Path
) -> None:
    mark = tmp_path / "died"
    policy = ForecastSafetyStock(1.0)

    def deadly(scenario: Scenario) -> tuple[Scenario, Policy]:
        if not mark.exists():
            mark.write_text(str(os.getpid()))
            os._exit(1)
        return scenario, policy

    out = tmp_path / "rows.parquet"
    with ray_session(2):
        evaluate_policies(source, "test", {out: Candidate(deadly, "deadly")})
    assert int(mark.read_text()) != os.getpid()
    expected = pd.concat(evaluate_dataset(source, "test", play_policy(policy)), ignore_index=True)
    pd.testing.assert_frame_equal(pd.read_parquet(out).drop(columns="split"), expected)
