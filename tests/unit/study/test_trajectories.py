"""Trajectories from CSVs: the published ones, and everything that can be wrong with a file."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import torch

from envs.errors import ConfigError, DataError
from envs.study import SETTING1_LOW, SettingName, feature_of
from pipeline.study.trajectories import (
    StudyData,
    published,
    read_trajectories,
    setting_file,
    unseen_scenario,
)

COUNTS = {"setting1": 10, "setting2": 10, "setting3": 5}


@pytest.mark.parametrize("setting", list(COUNTS))
@pytest.mark.parametrize("part", ["train", "val"])
def test_the_published_trajectories_are_shipped(
    shared: Path, setting: SettingName, part: str
) -> None:
    scenario = published(setting, part)  # type: ignore[arg-type]
    assert scenario.demand.shape == (31, COUNTS[setting])
    folder = shared / "reference" / "synthetic" / setting
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there: set DEEPSTOCK_SHARED")
    demand, feature = (
        torch.tensor(pd.read_csv(folder / f"{part}_{what}.csv").iloc[:, 1:].to_numpy().T).float()
        for what in ("demand", "feature")
    )
    torch.testing.assert_close(scenario.demand, demand)
    # Before day 0 nothing is known, and nobody orders: the feature is derived from day 1 on.
    torch.testing.assert_close(
        feature_of(setting, scenario.features[1:, :, 0]), feature[1:], rtol=1e-5, atol=1e-5
    )


def test_setting_1_was_drawn_from_its_own_law() -> None:
    extra = published("setting1", "train").demand - torch.tensor(SETTING1_LOW).unsqueeze(1)
    assert set(extra.unique().tolist()) == {0.0, 1.0, 2.0, 3.0, 4.0}


def test_sources_of_the_study() -> None:
    fresh = StudyData(study="setting4", trajectories=5, counted_days=16, seed=3).source()
    train, validation = fresh.load("train", 0), fresh.load("validation", 0)
    assert train.demand.shape == validation.demand.shape == (19, 5)
    assert not torch.equal(train.demand, validation.demand)
    test = StudyData(study="setting2", trajectories=7, seed=1, on_test=True).source()
    assert torch.equal(test.load("train", 0).demand, unseen_scenario("setting2", 7, 1).demand)
    assert torch.equal(
        unseen_scenario("setting3", 7, 1).demand, unseen_scenario("setting2", 7, 1).demand
    )
    generator = torch.Generator()
    assert float(fresh.training_start(train, generator).position().abs().sum()) == 0.0
    with pytest.raises(ConfigError, match="no published trajectories"):
        StudyData(study="setting4").source()


def write(path: Path, rows: int = 2, days: int = 31, change: str | None = None) -> Path:
    header = ",".join(["sku_id", *(f"d{k}" for k in range(days))])
    lines = [",".join([f"a{n}", *("5.0" for _ in range(days))]) for n in range(rows)]
    if change is not None:
        lines[-1] = lines[-1].replace("5.0", change, 1)
    path.write_text("\n".join([header, *lines]) + "\n")
    return path


def test_a_good_file(tmp_path: Path) -> None:
    read = read_trajectories(write(tmp_path / "good.csv", rows=3))
    assert read.names == ["a0", "a1", "a2"]
    assert read.demand.shape == (31, 3)


@pytest.mark.parametrize("value", ["nan", "", "-1.0", "inf", "many", "1e999"])
def test_a_bad_number_is_named_with_its_place(tmp_path: Path, value: str) -> None:
    with pytest.raises(DataError, match=r"row a1, day 0"):
        read_trajectories(write(tmp_path / "bad.csv", change=value))


@pytest.mark.parametrize(("rows", "days"), [(0, 31), (2, 30), (2, 32)])
def test_a_wrong_shape(tmp_path: Path, rows: int, days: int) -> None:
    with pytest.raises(DataError, match="shape"):
        read_trajectories(write(tmp_path / "shape.csv", rows=rows, days=days))


def test_no_csv_at_all(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        read_trajectories(tmp_path / "missing.csv")
    empty = tmp_path / "empty.csv"
    empty.write_text("")
    with pytest.raises(DataError, match="cannot be read"):
        read_trajectories(empty)
    binary = tmp_path / "binary.csv"
    binary.write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(DataError):
        read_trajectories(binary)


def test_addresses_of_files() -> None:
    assert setting_file("setting2:a/b.csv") == ("setting2", Path("a/b.csv"))
    assert setting_file("data/mine") is None
    with pytest.raises(ConfigError, match="sigma"):
        setting_file("setting4:a.csv")
    with pytest.raises(ConfigError, match="not a setting"):
        setting_file("setting9:a.csv")
