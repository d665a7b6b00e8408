"""Which trial of a method goes to test, and how failures are counted."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from pipeline.runs.config import RunConfig
from pipeline.runs.method import AlgorithmName
from pipeline.runs.result import RunResult
from pipeline.runs.selection import select
from pipeline.runs.sweep import PRESET, write_selection
from tuning.preset import Preset, load_preset
from tuning.stages import SweepStages
from tuning.sweep import with_earlier
from tuning.trials import TrialPlan


def runs_with(directory: Path, costs: dict[tuple[int, int], float | str]) -> dict[str, RunConfig]:
    """Trials (configuration, seed) -> validation cost, or the cause of a failure."""
    runs = {}
    for (configuration, seed), outcome in costs.items():
        run = RunConfig(algorithm=AlgorithmName.DS, action_model="base", seed=seed)
        key = run.key(configuration)
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
    assert choice.validation == (2.0 + 2.2 + 2.4) / 3
    assert choice.trials == [f"ds-base-c01-s{seed}" for seed in range(3)]


def test_a_method_without_a_finished_trial_stays_in_the_table(tmp_path: Path) -> None:
    choice = select(runs_with(tmp_path, {(0, 0): "boom"}), tmp_path)["ds-base"]
    assert (choice.trial, choice.trials) == (None, [])
    assert choice.failed == 1


def test_what_was_stopped_is_neither_selected_nor_a_failure(tmp_path: Path) -> None:
    runs = runs_with(tmp_path, {(0, 0): 3.0, (1, 0): 2.0})
    stopped = RunResult("stopped", validation={"cost": 2.0}, cause="worse", cpu_seconds=1.5)
    stopped.write(tmp_path / "trials" / "ds-base-c01-s0")
    choice = select(runs, tmp_path)["ds-base"]
    assert choice.trials == ["ds-base-c00-s0"]
    assert (choice.configurations, choice.failed, choice.stopped) == (2, 0, 1)
    assert (choice.causes, choice.cpu_seconds) == ({}, 1.5)


def stages(directory: Path, runs: dict[str, RunConfig], **settings: Any) -> SweepStages:
    preset = Preset(name="p", data={"inventories": 1, "days": 1}, algorithms={}, **settings)
    return SweepStages(preset, runs, lambda k, run: TrialPlan(k, directory / "trials" / k, run))


def test_only_the_finalists_get_further_seeds(tmp_path: Path) -> None:
    runs = runs_with(tmp_path, {(0, 0): 3.0, (1, 0): 2.0, (2, 0): 4.0, (3, 0): "boom"})
    further = stages(tmp_path, runs, configurations=4, finalists=2, seeds=3).further()
    assert set(further) == {f"ds-base-c{c:02d}-s{s}" for c in (0, 1) for s in (1, 2)}
    assert all(run.seed == int(key[-1]) for key, run in further.items())


def test_seeds_go_to_the_best_method_of_each_algorithm_and_the_reference(tmp_path: Path) -> None:
    costs: dict[str, float | str | None] = {
        "ddpg-base": 2.0, "ddpg-coeff": 4.0, "ddpg-both": 3.0, "ppo-none": 5.0, "ppo-both": None,
        "ds-base": "boom",
    }  # fmt: skip
    runs: dict[str, RunConfig] = {}
    for method, cost in costs.items():
        algorithm, model = method.split("-")
        run = RunConfig(algorithm=algorithm, action_model=model)
        key = run.key(4)
        runs[key] = run
        folder = tmp_path / "trials" / key
        folder.mkdir(parents=True)
        if isinstance(cost, float):
            RunResult("finished", validation={"cost": cost}).write(folder)
        elif cost is not None:
            RunResult("failed", cause=cost).write(folder)
    sweep = stages(tmp_path, runs, configurations=5, seeds=3, seeds_for="best_methods")
    seeds = [f"{method}-c04-s{s}" for method in ("ddpg-base", "ddpg-both") for s in (1, 2)]
    # PPO's best is not known before PPO BOTH has ended; DS has none.
    assert [trial.key for trial in sweep.pending()] == [*seeds, "ppo-both-c04-s0"]
    assert sweep.remaining() == 1 + 3 * 2  # two rows of DDPG, one of PPO
    RunResult("finished", validation={"cost": 4.0}).write(tmp_path / "trials/ppo-both-c04-s0")
    expected = [*seeds, "ppo-both-c04-s1", "ppo-both-c04-s2"]
    assert [trial.key for trial in sweep.pending()] == list(sweep.further()) == expected
    for key in expected:
        (tmp_path / "trials" / key).mkdir()
        RunResult("finished", validation={"cost": 1.0}).write(tmp_path / "trials" / key)
    assert (sweep.pending(), sweep.remaining()) == ([], 0)
    assert select({**runs, **sweep.further()}, tmp_path)["ddpg-both"].trials == [
        f"ddpg-both-c04-s{s}" for s in (0, 1, 2)
    ]


def test_the_other_methods_get_fewer_seeds(tmp_path: Path) -> None:
    runs = {}
    for method, cost in {
        "ddpg-none": 3.0,
        "ddpg-both": 2.0,
        "ds-none": 5.0,
        "ds-base": 4.0,
    }.items():
        algorithm, model = method.split("-")
        run = RunConfig(algorithm=algorithm, action_model=model)
        folder = tmp_path / "trials" / run.key(0)
        folder.mkdir(parents=True)
        RunResult("finished", validation={"cost": cost}).write(folder)
        runs[run.key(0)] = run
    settings = {"configurations": 1, "seeds": 4, "other_seeds": 2, "seeds_for": "best_methods"}
    sweep = stages(tmp_path, runs, **settings)
    count = Counter(run.method for run in sweep.further().values())
    assert count == {"ddpg-none": 1, "ddpg-both": 3, "ds-none": 1, "ds-base": 3}
    assert sweep.remaining() == 8
    # Before anything is known: an algorithm's best and DDPG BOTH, which may be the same.
    for folder in (tmp_path / "trials").iterdir():
        (folder / "result.json").unlink()
    assert sweep.remaining() == 4 + 3 * 3 + 1
    with pytest.raises(ValueError, match="other_seeds is above seeds"):
        stages(tmp_path, runs, **{**settings, "other_seeds": 5})


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
