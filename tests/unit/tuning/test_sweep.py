"""A sweep's folder, planned again."""

from __future__ import annotations

from pathlib import Path

import pytest

from envs.errors import DataError
from pipeline.features.forecast import DayFactors
from pipeline.runs.sweep import FORECAST
from tuning.preset import load_preset
from tuning.sweep import plan_sweep


@pytest.mark.parametrize("left", [0, 40])
def test_a_forecast_that_a_crash_cut_is_made_again(
    dataset: Path, tmp_path: Path, left: int
) -> None:
    preset = load_preset("smoke").only(["ds-base"])
    plan_sweep(preset, dataset, tmp_path)
    forecast = tmp_path / FORECAST
    whole = forecast.read_text()
    forecast.write_text(whole[:left])
    with pytest.raises(DataError, match="cannot be read"):
        DayFactors.load(forecast)
    plan_sweep(preset, dataset, tmp_path)
    assert forecast.read_text() == whole


def test_a_forecast_that_is_whole_is_kept(dataset: Path, tmp_path: Path) -> None:
    preset = load_preset("smoke").only(["ds-base"])
    plan_sweep(preset, dataset, tmp_path)
    other = DayFactors(rates={"*": 7.0})
    other.save(tmp_path / FORECAST)
    plan_sweep(preset, dataset, tmp_path)
    assert DayFactors.load(tmp_path / FORECAST) == other
