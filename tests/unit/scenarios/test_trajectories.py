"""Trajectories from CSVs: the published ones, and everything that can be wrong with a file."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import torch

from envs.errors import ConfigError, DataError
from envs.problems.settings import SETTING1_LOW, SettingName, feature_of
from pipeline.scenarios.trajectories import (
    StudyData,
    blurred,
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


@pytest.mark.parametrize("setting", list(COUNTS))
def test_copies_of_a_few_trajectories_are_blurred_by_silvermans_rule(setting: SettingName) -> None:
    given = published(setting, "train")
    n, copies = COUNTS[setting], 400
    many = blurred(setting, given, copies, seed=1)
    assert many.num_inventories == n * copies
    assert torch.equal(many.demand[:, :n], given.demand)  # the first are as they were
    torch.testing.assert_close(many.features[1:, :n], given.features[1:])
    assert (many.demand >= 0).all()
    noise = (many.demand - given.demand.repeat(1, copies))[:, n:].view(31, copies - 1, n)
    bandwidth = (0.9 * given.demand.std(1, keepdim=True) * n**-0.2).expand(31, n)
    uncut = given.demand > 3 * bandwidth  # the others are cut at 0
    assert uncut.sum() > 20
    ratio = noise.std(1)[uncut] / bandwidth[uncut]
    assert float(ratio.mean()) == pytest.approx(1.0, abs=0.02)
    assert float(ratio.std()) < 0.06
    assert (noise.mean(1)[uncut].abs() < 0.25 * bandwidth[uncut]).all()
    # What a policy sees goes with the demand that it meets.
    seen = feature_of(setting, many.features[..., 0])
    if setting == "setting1":
        assert torch.equal(seen[:, :n].repeat(1, copies), seen)
    else:
        torch.testing.assert_close(seen[1:], many.demand[:-1], rtol=1e-4, atol=1e-4)


def test_many_trajectories_are_hardly_blurred_and_one_copy_not_at_all() -> None:
    few, many = (unseen_scenario("setting1", n, 3) for n in (5, 5000))
    assert blurred("setting1", few, 1, seed=1) is few
    shift = [
        float((blurred("setting1", given, 2, seed=1).demand[:, given.num_inventories :]
               - given.demand).std())
        for given in (few, many)
    ]  # fmt: skip
    assert shift[1] < 0.35 * shift[0]
