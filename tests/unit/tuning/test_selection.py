"""Which trial of a method goes to test, and how failures are counted."""

from __future__ import annotations

from pathlib import Path

from pipeline.action_models import ActionModelKind
from pipeline.config import AlgorithmName, RunConfig
from pipeline.sweep_folder import PRESET, write_selection
from pipeline.train import RunResult
from tuning.preset import Preset, load_preset, trial_key
from tuning.sweep import further_seeds, select, with_earlier


def runs_with(directory: Path, costs: dict[tuple[int, int], float | str]) -> dict[str, RunConfig]:
    """Trials (configuration, seed) -> validation cost, or the cause of a failure."""
    runs = {}
    for (configuration, seed), outcome in costs.items():
        run = RunConfig(algorithm=AlgorithmName.DS, action_model=ActionModelKind.BASE, seed=seed)
        key = trial_key(run, configuration)
        folder = directory / "trials" / key
        folder.mkdir(parents=True)
        if isinstance(outcome, str):
            RunResult("failed", cause=outcome, seconds=1.0).write(folder)
        else:
            RunResult("finished", validation={"cost": outcome}, seconds=2.0).write(folder)
        runs[key] = run
    return runs


def test_the_best_configuration_is_chosen(tmp_path: Path) -> None:
    runs = runs_with(tmp_path, {(0, 0): 3.0, (1, 0): 2.0, (2, 0): "boom"})
    choice = select(runs, tmp_path)["ds-base"]
    assert choice.trial == "ds-base-c01-s0"
    assert (choice.configurations, choice.failed, choice.seconds) == (3, 1, 5.0)
    assert choice.causes == {"ds-base-c02-s0": "boom"}


def test_a_lucky_seed_does_not_beat_a_mean_and_the_median_seed_is_taken(tmp_path: Path) -> None:
    costs = {(0, 0): 1.0, (0, 1): 4.0, (0, 2): 4.0, (1, 0): 2.0, (1, 1): 2.2, (1, 2): 2.4,
             (2, 0): 0.5}  # fmt: skip
    choice = select(runs_with(tmp_path, costs), tmp_path)["ds-base"]
    assert choice.trial == "ds-base-c01-s1"
    assert choice.validation_cost == (2.0 + 2.2 + 2.4) / 3


def test_a_method_without_a_finished_trial_stays_in_the_table(tmp_path: Path) -> None:
    choice = select(runs_with(tmp_path, {(0, 0): "boom"}), tmp_path)["ds-base"]
    assert choice.trial is None
    assert choice.failed == 1


def test_only_the_finalists_get_further_seeds(tmp_path: Path) -> None:
    runs = runs_with(tmp_path, {(0, 0): 3.0, (1, 0): 2.0, (2, 0): 4.0, (3, 0): "boom"})
    preset = Preset(
        name="p",
        data={"inventories": 1, "days": 1},
        configurations=4,
        finalists=2,
        seeds=3,
        algorithms={},
    )
    further = further_seeds(preset, runs, tmp_path)
    assert set(further) == {f"ds-base-c{c:02d}-s{s}" for c in (0, 1) for s in (1, 2)}
    assert all(run.seed == int(key[-1]) for key, run in further.items())


def test_methods_of_earlier_calls_stay_selected(tmp_path: Path) -> None:
    """METHODS=ddpg-both, and later METHODS=ds-base in the same folder."""
    preset = load_preset("smoke")
    chosen = select(runs_with(tmp_path, {(0, 0): 3.0}), tmp_path)
    (tmp_path / PRESET).write_text("name: smoke\n")
    assert with_earlier(chosen, preset, tmp_path) == chosen
    write_selection(tmp_path, {"ddpg-both": chosen["ds-base"]})
    assert list(with_earlier(chosen, preset, tmp_path)) == ["ddpg-both", "ds-base"]
    newer = select(runs_with(tmp_path / "newer", {(0, 0): 1.0}), tmp_path / "newer")
    write_selection(tmp_path, chosen)
    assert with_earlier(newer, preset, tmp_path) == newer
