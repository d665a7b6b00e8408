"""A sweep's orders: whole units, by a named model, and those of a replay of that morning."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from click.testing import CliRunner

from envs.objective import DEFAULT_OBJECTIVE
from envs.rollout import rollout
from pipeline.baselines.base import day_rules
from pipeline.baselines.tuned import tuned_baselines
from pipeline.cli.main import commands
from pipeline.data.synthetic.generate import make
from pipeline.policies.action_models import make_action_model
from pipeline.policies.networks import PolicyNetwork
from pipeline.policies.store import save_model
from pipeline.runs.config import RunConfig
from pipeline.runs.sweep import FORECAST, Selected, write_selection
from pipeline.scenarios.dataset import DatasetSource
from pipeline.scenarios.start import evaluation_start
from pipeline.serving.decide import decide_sweep, find_decider
from tests.unit.serving.test_snapshot import AHEAD, DAYS, shorter

TRIAL = "ddpg-both-c00-s0"


@pytest.fixture(scope="module")
def longer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """180 days, of which the sweep has 160 and a plan."""
    out = tmp_path_factory.mktemp("longer") / "data"
    make(200, 180, 5, out, tile_rows=64)
    return out


@pytest.fixture
def sweep(longer: Path, tmp_path: Path) -> Path:
    """A finished sweep with one method."""
    data = shorter(longer, tmp_path / "data", AHEAD)
    source, folder = DatasetSource(data), tmp_path / "sweep"
    torch.manual_seed(1)
    network = PolicyNetwork(
        source.layout, make_action_model("both", source.layout.basis), [16], 0.3
    )
    save_model(folder / "trials" / TRIAL / "model", network, source.factors)
    run = RunConfig(algorithm="ddpg", action_model="both").model_dump(mode="json")
    (folder / "trials" / TRIAL / "config.yaml").write_text(yaml.safe_dump(run))
    plan = {"data_directory": str(data), "name": "tiny"}
    (folder / "preset.yaml").write_text(yaml.safe_dump(plan))
    source.factors.save(folder / FORECAST)
    tuned_baselines(source, folder, DEFAULT_OBJECTIVE)
    return folder


@pytest.mark.parametrize(("cost", "makers"), [(0.0, ("ddpg-both",)), (1e6, tuple(day_rules()))])
def test_orders_are_those_of_a_replay_of_the_morning(
    longer: Path, sweep: Path, tmp_path: Path, cost: float, makers: tuple[str, ...]
) -> None:
    write_selection(sweep, {"ddpg-both": Selected(TRIAL, cost, 1, 0, 1.0, {}, [TRIAL])})
    decide_sweep(sweep)
    orders, decider = pd.read_parquet(sweep / "orders.parquet"), find_decider(sweep)
    assert set(orders["model"]) == {decider.name} <= set(makers)
    assert set(orders["version"]) == {decider.version}
    assert (orders["order"] % 1 == 0).all()
    assert (orders["order"] > 0).sum() > 20

    again = tmp_path / "again.parquet"
    arguments = ["decide", "--model", sweep, "--snapshot", sweep / "snapshot.parquet", "--out"]
    done = CliRunner().invoke(commands, list(map(str, [*arguments, again])), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    pd.testing.assert_frame_equal(pd.read_parquet(again), orders)

    # The days after the sweep's last one became known: an evaluation plays through that morning.
    source = DatasetSource(longer, decider.factors)
    snapshot = pd.read_parquet(sweep / "snapshot.parquet").set_index("inventory_id")
    placed = orders.set_index("inventory_id")["order"]
    row = DAYS - source.days("test")[0]
    for tile in range(source.num_tiles("test")):
        raw, scenario = source.open("test", tile)
        seen = snapshot.loc[raw.inventory_id]
        for name in ("scale", "basis", "features"):
            values = np.stack(list(seen[name]))
            np.testing.assert_array_equal(values, getattr(scenario, name)[row], err_msg=name)
        with torch.no_grad():
            start = evaluation_start(scenario)
            played = rollout(scenario, decider.policy, start, record=True)
        assert played.stock is not None
        stock = np.column_stack([seen["on_hand"], np.stack(list(seen["on_order"]))])
        np.testing.assert_array_equal(stock, played.stock[row])
        np.testing.assert_array_equal(placed.loc[raw.inventory_id], played.order[row])
