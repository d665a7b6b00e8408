"""The main job's own data set."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from cluster.cli import commands
from cluster.train import _generated
from envs.errors import ConfigError, DeepStockError
from pipeline.data.panel import Panel
from tuning.preset import load_preset


def data_plan(tmp_path: Path, **keys: object) -> str:
    path = tmp_path / "mine.yaml"
    lines = "".join(f"  {key}: {value}\n" for key, value in keys.items())
    path.write_text(f"extends: smoke\ndata:\n  inventories: 20\n  days: 120\n{lines}")
    return str(path)


@pytest.mark.parametrize(("costs", "least", "most"), [("margin", 136, 822), ("ratio", 3.9, 41)])
def test_the_preset_says_how_its_data_are_made(
    tmp_path: Path, costs: str, least: float, most: float
) -> None:
    preset = load_preset(data_plan(tmp_path, costs=costs, ahead_days=3))
    panel = Panel(_generated(preset, tmp_path / "sweep"))
    assert panel.manifest.ahead_days == 3
    assert panel.manifest.order_multiple == 1.0
    table = panel.read_inventories()
    ratio = table["shortage_cost"].to_numpy() / table["holding_cost"].to_numpy()
    assert least < ratio.min() < ratio.max() < most


@pytest.mark.parametrize(("key", "value"), [("costs", "free"), ("ahead_days", -1)])
def test_a_plan_that_cannot_be_made_is_refused(tmp_path: Path, key: str, value: object) -> None:
    with pytest.raises(ConfigError, match=key):
        load_preset(data_plan(tmp_path, **{key: value}))


def test_costs_may_be_chosen_where_data_are_generated(tmp_path: Path) -> None:
    preset = load_preset(data_plan(tmp_path)).with_costs(None, (40.0, 40.0))
    table = Panel(_generated(preset, tmp_path / "sweep")).read_inventories()
    ratio = table["shortage_cost"].to_numpy() / table["holding_cost"].to_numpy()
    assert ratio == pytest.approx(40.0, rel=1e-5)
    assert load_preset("smoke").with_costs(None, None) == load_preset("smoke")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--costs", "margin", "--cost-ratio", "4", "40"], "choose --costs ratio"),
        (["--cost-ratio", "40", "4"], "the smaller one first"),
        (["--costs", "ratio", "--data", "somewhere"], "are those of the data set"),
    ],
)
def test_costs_that_cannot_be_are_refused_before_anything_is_made(
    tmp_path: Path, options: list[str], said: str
) -> None:
    arguments = ["train", "--preset", "smoke", "--out", str(tmp_path / "out"), *options]
    result = CliRunner().invoke(commands, arguments)
    assert isinstance(result.exception, DeepStockError)
    assert said in str(result.exception)
    assert not (tmp_path / "out").exists()
