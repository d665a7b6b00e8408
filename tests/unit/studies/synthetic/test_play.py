"""A run's policy on given trajectories, through the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
import torch
from click.testing import CliRunner

from envs.errors import ConfigError, DataError
from envs.problems.settings import setting1_demand
from envs.state import ObservationLayout
from pipeline.cli.main import commands
from pipeline.evaluation.trajectories import play, play_file
from pipeline.policies.action_models import make_action_model
from pipeline.policies.networks import PolicyNetwork
from pipeline.policies.store import save_model
from pipeline.scenarios.trajectories import DATA, published
from pipeline.studies.synthetic.folder import StudyFolder
from pipeline.studies.synthetic.measuring.measure import measure
from pipeline.studies.synthetic.measuring.outputs import outputs_of
from pipeline.studies.synthetic.measuring.references import References
from pipeline.studies.synthetic.measuring.testing import TEST, play_runs


def constant(level_share: float, layout: ObservationLayout) -> PolicyNetwork:
    """A base stock of ``level_share`` times 100 units."""
    policy = PolicyNetwork(layout, make_action_model("base", layout.basis), [4], level_share)
    with torch.no_grad():
        policy.net[-1].weight.zero_()  # type: ignore[union-attr]
    return policy


@pytest.fixture
def run(tmp_path: Path) -> Path:
    save_model(tmp_path / "run" / "model", constant(0.4, ObservationLayout(1, 1, 1)), None)
    return tmp_path / "run"


def test_a_base_stock_costs_what_it_costs_by_hand(run: Path) -> None:
    """Order up to 40 on even days: arrives a day later, then two days of demand."""
    scenario = published("setting1", "train")
    rows = play(constant(0.4, scenario.layout), scenario)
    demand = scenario.demand
    total = torch.zeros(10)
    for day in range(2, 29, 2):
        for days in (2, 3):  # stock at the end of the days that the order governs
            end = 40.0 - demand[day : day + days].sum(0)
            total += 0.1 * end.clamp(min=0) + 0.9 * (-end).clamp(min=0)
    torch.testing.assert_close(torch.tensor(rows["cost"]).float(), total / 28, rtol=1e-4, atol=0)


@pytest.mark.parametrize("setting", ["setting1", "setting2", "setting3"])
def test_the_command_says_the_cost_and_writes_rows(run: Path, setting: str) -> None:
    out = run / "rows.parquet"
    file = DATA / setting / "val_demand.csv"
    result = CliRunner().invoke(
        commands, ["evaluate", "--run", str(run), "--data", f"{setting}:{file}", "--out", str(out)]
    )
    assert result.exit_code == 0, result.output
    rows = pd.read_parquet(out)
    assert f"mean cost {rows['cost'].mean():.4f}" in result.output
    assert "standard error" in result.output
    assert rows["trajectory"].tolist() == pd.read_csv(file).iloc[:, 0].astype(str).tolist()
    assert (rows["counted_days"] == 28).all()


def test_wrong_runs_are_refused(tmp_path: Path) -> None:
    file = DATA / "setting1" / "val_demand.csv"
    with pytest.raises(DataError, match="model"):
        play_file(tmp_path, "setting1", file)
    save_model(tmp_path / "model", constant(0.4, ObservationLayout(3, 5, 20)), None)
    with pytest.raises(ConfigError, match="other observations"):
        play_file(tmp_path, "setting1", file)


def test_a_constant_level_does_not_move_with_the_inventory(run: Path, tmp_path: Path) -> None:
    references = References(StudyFolder(tmp_path), trajectories=20, seed=0)
    table = outputs_of({("setting1", "ddpg-base"): run}, references)
    assert table["slope"].abs().max() < 1e-5
    assert table["output"].to_numpy() == pytest.approx(40.0, rel=1e-4)
    assert references.of("setting1").reference.mean() == pytest.approx(0.85, abs=0.2)
    assert setting1_demand(3, 1).shape == (31, 3)


def test_a_run_is_played_once_and_again_if_it_was_trained_again(run: Path, tmp_path: Path) -> None:
    test = References(StudyFolder(tmp_path), trajectories=20, seed=0).of("setting1")

    def cost() -> float:
        play_runs([run], test, lambda _: None)
        return float(json.loads((run / TEST).read_text())["cost"])

    first = cost()
    written = (run / TEST).stat().st_mtime_ns
    assert cost() == first
    assert (run / TEST).stat().st_mtime_ns == written
    save_model(run / "model", constant(0.2, ObservationLayout(1, 1, 1)), None)
    assert cost() > first + 1


def test_a_study_that_has_just_begun_cannot_be_measured(tmp_path: Path) -> None:
    StudyFolder(tmp_path).claim({"name": "s", "test": {"trajectories": 20, "seed": 0}})
    with pytest.raises(ConfigError, match="has not selected"):
        measure(tmp_path)
