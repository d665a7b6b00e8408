"""Days whose demand was drawn behind a stockout: played, learned from, left out if asked for."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from envs.errors import DataError
from pipeline.data.check import check
from pipeline.data.importing.common import ImportOptions
from pipeline.data.importing.freshretailnet import FRESH_TERMS, import_freshretailnet
from pipeline.data.panel import Panel, RawTile
from pipeline.scenarios.dataset import DatasetSource
from tests.unit.data.fresh_tables import table, world, write
from tests.unit.data.test_check import change_value

OPTIONS = ImportOptions(terms=FRESH_TERMS, history_days=14)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("imputed")
    import_freshretailnet(write(folder / "source", table(world(80))), folder / "set", OPTIONS)
    return folder / "set"


@pytest.fixture(scope="module")
def source(directory: Path) -> DatasetSource:
    return DatasetSource(directory)


def test_metrics_of_observed_days_only(directory: Path, source: DatasetSource) -> None:
    raw, scenario = source.open("test", 0)
    assert scenario.counted is not None
    assert bool(scenario.counted.all())
    observed = DatasetSource(directory, source.factors, counted="observed")
    arrived: DatasetSource = pickle.loads(pickle.dumps(observed))
    for only in (observed, arrived):
        found = only.open("test", 0)[1]
        np.testing.assert_array_equal(found.counted, raw.dynamic["known"][:, 54:].T > 0)
        for name in ("demand", "scale", "basis", "features"):
            assert torch.equal(getattr(found, name), getattr(scenario, name)), name


def test_imputed_demand_is_learned_from_like_any_other(source: DatasetSource) -> None:
    raw, scenario = source.open("test", 0)
    ones, zeros = np.ones_like(raw.dynamic["known"]), np.zeros_like(raw.dynamic["known"])
    dynamic = {**raw.dynamic, "known": ones, "imputed": zeros}
    same = source._build("test", RawTile(raw.inventory_id, raw.static, dynamic))
    seen = raw.dynamic["demand"] * raw.dynamic["known"]
    unseen = {**raw.dynamic, "imputed": zeros, "demand": seen}
    without = source._build("test", RawTile(raw.inventory_id, raw.static, unseen))
    assert torch.equal(same.features, scenario.features)
    # Days without a stockout alone are those of little demand.
    assert without.basis[..., 0].mean() < 0.97 * scenario.basis[..., 0].mean()


def test_nobody_sees_whether_a_later_day_was_observed(source: DatasetSource) -> None:
    raw, scenario = source.open("test", 0)
    day = 60
    flipped = {name: raw.dynamic[name].copy() for name in ("known", "imputed")}
    flipped["known"][:, day:] = 1 - flipped["known"][:, day:]
    flipped["imputed"][:, day:] = 0
    other = source._build("test", RawTile(raw.inventory_id, raw.static, {**raw.dynamic, **flipped}))
    known = day - 54 + 1
    for name in ("scale", "basis", "features"):
        one, two = getattr(scenario, name), getattr(other, name)
        assert torch.equal(one[:known], two[:known]), name
        assert not torch.equal(one[known:], two[known:]), name


@pytest.mark.parametrize(
    ("quantity", "value", "words"),
    [("imputed", 3, "neither 0, 1 nor 2"), ("known", 1, "whose demand is known")],
)
def test_damaged_marks_are_found(tmp_path: Path, quantity: str, value: int, words: str) -> None:
    import_freshretailnet(write(tmp_path / "source", table(world(20))), tmp_path / "set", OPTIONS)
    raw = Panel(tmp_path / "set").read(Panel(tmp_path / "set").tiles()[0])
    row, day = (int(i) for i in np.argwhere(raw.dynamic["imputed"] == 1)[0])
    change_value(tmp_path / "set", quantity, row, day, value)
    with pytest.raises(DataError, match=words):
        check(tmp_path / "set")
