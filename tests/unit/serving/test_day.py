"""A day's snapshot and orders from frames, or into files that go with the process."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from envs.errors import ConfigError
from pipeline.policies.action_models import make_action_model
from pipeline.policies.networks import PolicyNetwork
from pipeline.policies.store import save_model
from pipeline.scenarios.dataset import DatasetSource
from pipeline.serving import day
from pipeline.serving.snapshot import make_snapshot


@pytest.fixture
def model(source: DatasetSource, tmp_path: Path) -> Path:
    network = PolicyNetwork(source.layout, make_action_model("base", source.layout.basis), [4])
    save_model(tmp_path / "model", network, source.factors)
    return tmp_path


def test_stock_may_be_a_frame(source: DatasetSource, tmp_path: Path) -> None:
    ids = source.panel.read_inventories(["inventory_id"])["inventory_id"].to_pylist()
    stock = pd.DataFrame({"inventory_id": ids, "on_hand": range(len(ids))})
    stock["on_order"] = [[1.0, 2.0]] * len(ids)
    stock.to_parquet(tmp_path / "stock.parquet")
    make_snapshot(source, tmp_path / "file.parquet", stock=tmp_path / "stock.parquet")
    made = day.snapshot(source.panel, stock=stock)
    pd.testing.assert_frame_equal(made.frame(), pd.read_parquet(tmp_path / "file.parquet"))
    assert list(made.frame()["on_hand"]) == list(range(len(ids)))


def test_orders_of_a_run(source: DatasetSource, model: Path, tmp_path: Path) -> None:
    made = day.snapshot(source.directory, model=model)
    orders = day.decide(model, made)
    kept = day.decide(model, made.path, tmp_path / "orders.parquet")
    assert Path(kept) == tmp_path / "orders.parquet"
    pd.testing.assert_frame_equal(orders.frame(), kept.frame())
    assert orders.inventories == len(orders.frame()) == 600


def test_stock_that_is_played_is_not_given(source: DatasetSource, model: Path) -> None:
    with pytest.raises(ConfigError, match="played"):
        day.snapshot(source.panel, played=True)
    with pytest.raises(ConfigError, match="played"):
        day.snapshot(source.panel, model=model, played=True, day=100)
    usual, played = (
        day.snapshot(source.panel, model=model, played=choice).frame() for choice in (False, True)
    )
    assert not usual["on_hand"].equals(played["on_hand"])
