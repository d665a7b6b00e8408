"""The study, end to end on a local cluster: all parts, best models, page, resume."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from tests.commands import run_cluster

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
PLAN = """
extends: smoke
test: {trajectories: 50}
sweeps: [study-setting1, study-setting3]
sweep_override:
  configurations: 2
  seeds: 2
  algorithms:
    ddpg: {iterations: 2}
    ppo: {iterations: 1}
    ds: {iterations: 2}
reference: {settings: [setting3], run: {iterations: 2}}
horizon: {trajectories: [5], counted_days: [4, 16], seeds: 1, run: {iterations: 2}}
critic: {seeds: 1, run: {iterations: 2}}
growth: {settings: [setting1], trajectories: [5], seeds: 1}
"""


def run(folder: Path) -> str:
    (folder / "tiny.yaml").write_text(PLAN)
    arguments = "study", "--study", folder / "tiny.yaml", "--out", folder / "study"
    return run_cluster(*arguments, folder=folder, timeout=800)


def test_the_study_runs_reports_and_resumes(tmp_path: Path) -> None:
    output = run(tmp_path)
    study = tmp_path / "study"
    assert str(study / "study.html") in output
    trials = pd.read_csv(study / "measured" / "trials.csv")
    assert (trials["status"] == "finished").all()
    assert trials["test"].notna().all()
    # 2 settings x 6 methods x (2 configurations + 1 further seed of the best)
    assert len(trials) == 36
    for setting in ("setting1", "setting3"):
        for method in trials["method"].unique():
            assert (study / setting / method / "best" / "model" / "policy.pt").exists()
    for name, rows in (("horizon", 2), ("growth", 6), ("q_error", 2), ("references", 3)):
        table = pd.read_csv(study / "measured" / f"{name}.csv")
        assert len(table) == rows, name
        assert table.iloc[:, -3:].notna().any().all(), name
    assert (study / "figures" / "3-horizon.png").exists()

    results = {path: path.stat().st_mtime for path in study.glob("*/trials/*/result.json")}
    assert "to train" not in run(tmp_path)
    assert all(path.stat().st_mtime == before for path, before in results.items())
