"""A study's plan: which runs it means, on what, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from envs.errors import ConfigError
from pipeline.runs.result import RunResult
from pipeline.scenarios.trajectories import StudyData
from tuning.preset import load_preset
from tuning.studies.plan import load_study
from tuning.studies.run import _critics, _growth, _horizon, plan_study
from tuning.sweep import plan_sweep


@pytest.mark.parametrize("name", ["smoke", "full", "full-50"])
def test_a_shipped_plan_means_six_methods_in_three_settings(name: str) -> None:
    presets = load_study(name).presets()
    assert list(presets) == ["setting1", "setting2", "setting3"]
    for preset in presets.values():
        methods = {run.method for run in preset.first_round().values()}
        assert methods == {f"{a}-{m}" for a in ("ddpg", "ppo", "ds") for m in ("none", "base")}
    assert {p.configurations for p in presets.values()} == (
        {2} if name == "smoke" else {50} if name == "full-50" else {10}
    )


def test_the_full_plan_has_all_points_of_setting_4() -> None:
    plan = load_study("full").horizon
    assert plan is not None
    assert (plan.trajectories, plan.counted_days) == ([5, 10, 20], [4, 16, 32, 64, 128])


def test_a_study_is_planned_in_its_folder(tmp_path: Path) -> None:
    study = plan_study(load_study("smoke"), tmp_path)
    assert len(study.first["setting1"]) == 12
    horizon = {trial.key: trial for trial in _horizon(study)}
    trial = horizon["horizon-n05-t016-s1"]
    assert study.sources[trial.source].load("train", 0).demand.shape == (19, 5)
    other = study.sources[horizon["horizon-n05-t016-s0"].source]
    assert not other.load("train", 0).demand.equal(
        study.sources[trial.source].load("train", 0).demand
    )
    assert {t.probe.args for t in _critics(study) if t.probe} == {("setting1",)}
    assert yaml.safe_load((tmp_path / "plan.yaml").read_text())["name"] == "smoke"
    with pytest.raises(ConfigError, match="differs in name"):
        plan_study(load_study("full"), tmp_path)


def test_a_study_may_grow_but_not_change(tmp_path: Path) -> None:
    out, path = tmp_path / "out", tmp_path / "mine.yaml"
    path.write_text("extends: smoke\n")
    plan_study(load_study(str(path)), out)
    path.write_text("extends: smoke\nhorizon: {seeds: 3, trajectories: [5, 10, 20]}\n")
    plan_study(load_study(str(path)), out)
    path.write_text("extends: smoke\nhorizon: {run: {iterations: 9}}\n")
    with pytest.raises(ConfigError, match=r"differs in horizon\.run"):
        plan_study(load_study(str(path)), out)
    path.write_text("extends: smoke\nsweep_override: {algorithms: {ds: {iterations: 9}}}\n")
    with pytest.raises(ConfigError, match="differs in algorithms"):
        plan_study(load_study(str(path)), out)


def test_growing_data_is_played_as_often_as_the_tuned_one(tmp_path: Path) -> None:
    study = plan_study(load_study("smoke"), tmp_path)
    runs = study.first["setting2"]
    run = next(run for run in runs.values() if run.method == "ppo-base")
    trials = {t.key: t for t in _growth(study, {"setting2": {"ppo-base": run}})}
    tuned = study.presets["setting2"].data
    assert isinstance(tuned, StudyData)
    assert tuned.copies > 1
    for n in (5, 30):  # 10 were tuned
        trial = trials[f"growth-setting2-ppo-base-n{n:04d}-s0"]
        copies = round(10 * tuned.copies / n)
        assert study.sources[trial.source].load("train", 0).num_inventories == copies * n


def test_growth_is_trained_again_where_another_configuration_was_selected(tmp_path: Path) -> None:
    study = plan_study(load_study("smoke"), tmp_path)
    first, second = (r for r in study.first["setting2"].values() if r.method == "ppo-base")
    trial = _growth(study, {"setting2": {"ppo-base": first}})[0]
    trial.folder.mkdir(parents=True)
    (trial.folder / "config.yaml").write_text(yaml.safe_dump(trial.run.model_dump(mode="json")))
    _growth(study, {"setting2": {"ppo-base": first}})
    assert trial.folder.exists()
    _growth(study, {"setting2": {"ppo-base": second}})
    assert not trial.folder.exists()


def test_a_sweep_may_be_on_a_setting(tmp_path: Path) -> None:
    preset = load_preset("study-setting3", {"configurations": 1})
    plan = plan_sweep(preset, None, tmp_path / "a")
    assert isinstance(preset.data, StudyData)
    assert plan.source.load("train", 0).num_inventories == 5 * preset.data.copies
    with pytest.raises(ConfigError, match="Leave --data out"):
        plan_sweep(preset, tmp_path, tmp_path / "b")
    with pytest.raises(ConfigError, match="Name a data set"):
        plan_sweep(load_preset("smoke"), None, tmp_path / "c")


def test_a_sweep_on_a_data_set_is_no_part_of_a_study(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("sweeps: [quick]\n")
    with pytest.raises(ConfigError, match=r"quick: data"):
        load_study(str(path)).presets()


def test_a_typo_in_a_plan_or_an_override_is_named(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("extends: smoke\nhorizon: {seed: 3}\n")
    with pytest.raises(ConfigError, match="Did you mean seeds"):
        load_study(str(path))
    path.write_text("extends: smoke\ngrowth: {trajectories: [0]}\n")
    with pytest.raises(ConfigError, match="trajectories"):
        load_study(str(path))
    path.write_text("extends: smoke\nsweeps: [study-setting1]\n")
    with pytest.raises(ConfigError, match="is not tuned"):
        load_study(str(path)).presets()
    path.write_text("extends: smoke\nsweeps: [study-setting2, study-setting2]\n")
    with pytest.raises(ConfigError, match="is on setting2 as well"):
        load_study(str(path)).presets()
    path.write_text("extends: smoke\nsweep_override: {data: {trajectory: 3}}\n")
    with pytest.raises(ConfigError, match="Did you mean trajectories"):
        load_study(str(path)).presets()


def test_only_runs_with_a_result_count_as_ended(tmp_path: Path) -> None:
    study = plan_study(load_study("smoke"), tmp_path)
    for key in ("a", "b"):
        study.folder.trial("horizon", key).mkdir(parents=True)
    RunResult("finished").write(study.folder.trial("horizon", "a"))
    assert list(study.folder.trials("horizon")) == ["a"]
