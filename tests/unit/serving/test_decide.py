"""A day's snapshot and its orders: the evaluator's, to the last unit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from envs.errors import ConfigError, DataError
from envs.orders import whole_units
from envs.rollout import rollout
from envs.state import ObservationLayout
from pipeline.data.synthetic.generate import make
from pipeline.evaluation.play import play_policy
from pipeline.policies.action_models import make_action_model
from pipeline.policies.networks import PolicyNetwork
from pipeline.policies.store import TrainedModel, save_model
from pipeline.scenarios.dataset import DatasetSource
from pipeline.scenarios.start import evaluation_start
from pipeline.serving.decide import decide, find_decider, orders_schema
from pipeline.serving.snapshot import make_snapshot, snapshot_schema
from pipeline.training.session import evaluate_run


def model_of(source: DatasetSource, kind: str = "both") -> TrainedModel:
    torch.manual_seed(1)
    layout = source.layout
    action_model = make_action_model(kind, layout.basis, coming=layout.coming)
    policy = PolicyNetwork(layout, action_model, [16, 16])
    for parameter in policy.parameters():
        parameter.data.mul_(2.0)  # far from constant
    return TrainedModel(policy.eval(), source.factors)


@pytest.fixture(scope="module")
def packs(tmp_path_factory: pytest.TempPathFactory) -> DatasetSource:
    """A data set whose orders come in packs of 6."""
    folder = tmp_path_factory.mktemp("packs") / "data"
    make(150, 180, 5, folder, tile_rows=64, order_multiple=6.0)
    return DatasetSource(folder)


@pytest.fixture(scope="module")
def snapshot(source: DatasetSource, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("snapshot") / "day.parquet"
    make_snapshot(source, out)
    return out


@pytest.mark.parametrize("kind", ["none", "base", "coeff", "both", "proj", "projboth"])
@pytest.mark.parametrize("data", ["source", "packs"])
@pytest.mark.parametrize("ago", [1, 17])
def test_orders_are_the_evaluators(
    request: pytest.FixtureRequest, tmp_path: Path, data: str, kind: str, ago: int
) -> None:
    """The same day, the same stock: as played day by day over the test days."""
    source: DatasetSource = request.getfixturevalue(data)
    model = model_of(source, kind)
    day = source.panel.manifest.num_days - ago
    stocks, expected = [], []
    for tile in range(source.num_tiles("test")):
        raw, scenario = source.open("test", tile)
        with torch.no_grad():
            played = rollout(scenario, model.policy.decide, evaluation_start(scenario), record=True)
        assert played.stock is not None
        row = day - source.days("test")[0]
        ids = pd.Series(raw.inventory_id, name="inventory_id")
        stock = played.stock[row].numpy()
        stocks.append(pd.DataFrame({"inventory_id": ids, "on_hand": stock[:, 0],
                                    "on_order": list(stock[:, 1:])}))  # fmt: skip
        expected.append(pd.DataFrame({"inventory_id": ids, "order": played.order[row].numpy(),
                                      "position": stock.sum(1)}))  # fmt: skip
    # A planner's table is in any order.
    pd.concat(stocks).sample(frac=1, random_state=1).to_parquet(tmp_path / "stock.parquet")
    make_snapshot(source, tmp_path / "s.parquet", day=day, stock=tmp_path / "stock.parquet")
    total = decide(model, tmp_path / "s.parquet", tmp_path / "orders.parquet")
    orders, wanted = pd.read_parquet(tmp_path / "orders.parquet"), pd.concat(expected)
    assert orders["inventory_id"].tolist() == wanted["inventory_id"].tolist()
    np.testing.assert_allclose(orders["order"], wanted["order"], rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(orders["inventory_position"], wanted["position"], rtol=1e-5)
    assert (orders["order"] > 0).sum() == total.ordered > 10
    assert (orders["order"][~orders["due"]] == 0).all()
    assert total.due == orders["due"].sum() < total.inventories == len(orders)
    if data == "packs":
        assert (orders["order"] % 6 == 0).all()
    if kind not in ("none", "coeff"):
        gap = (orders["base_stock_level"] - orders["inventory_position"]).clip(lower=0)
        if data == "source":
            due = orders["due"] & (orders["reason"] == "")
            np.testing.assert_allclose(orders["order"][due], gap[due], rtol=1e-4, atol=1e-3)
    else:
        assert orders["base_stock_level"].isna().all()
    assert len(orders["coefficients"][0]) == (5 if kind in ("coeff", "both", "projboth") else 1)


def test_the_default_is_the_morning_after_the_last_day(
    source: DatasetSource, snapshot: Path
) -> None:
    table = pq.read_table(snapshot)
    assert table.schema.equals(snapshot_schema(source.max_lead_time))
    assert len(table) == source.panel.manifest.num_inventories == 600
    assert set(table["date"].to_pylist()) == {source.panel.manifest.day(180)}
    scale = torch.from_numpy(table["scale"].to_numpy().copy())
    started = whole_units(scale, source.panel.manifest.order_multiple)
    np.testing.assert_array_equal(table["on_hand"], started)
    assert not np.stack(table["on_order"].to_numpy()).any()


def test_the_stock_that_a_policy_leaves(source: DatasetSource, tmp_path: Path) -> None:
    policy = model_of(source).policy.decide
    make_snapshot(source, tmp_path / "s.parquet", played=play_policy(policy))
    table = pd.read_parquet(tmp_path / "s.parquet")
    got = np.column_stack((table["on_hand"], np.stack(table["on_order"])))
    left = []
    for tile in range(source.num_tiles("test")):
        scenario = source.load("test", tile)
        with torch.no_grad():
            left.append(rollout(scenario, policy, evaluation_start(scenario)).final.stack())
    np.testing.assert_array_equal(got, torch.cat(left))
    assert (got[:, 1:] > 0).any()


def test_demand_of_the_day_is_unknown(
    source: DatasetSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_snapshot(source, tmp_path / "one.parquet", day=150)
    read = source.panel.read

    def other(tile: Any) -> Any:
        raw = read(tile)
        demand = raw.dynamic["demand"].copy()
        demand[:, 150:] = 7.0
        raw.dynamic["demand"] = demand
        return raw

    monkeypatch.setattr(source.panel, "read", other)
    make_snapshot(source, tmp_path / "two.parquet", day=150)
    assert pq.read_table(tmp_path / "one.parquet").equals(pq.read_table(tmp_path / "two.parquet"))


@pytest.mark.parametrize("day", [0, 181])
def test_a_day_outside_the_data_is_refused(source: DatasetSource, tmp_path: Path, day: int) -> None:
    with pytest.raises(DataError, match=f"day = {day} .* from 1 to 180"):
        make_snapshot(source, tmp_path / "s.parquet", day=day)


def test_pandas_may_edit_a_snapshot(source: DatasetSource, snapshot: Path, tmp_path: Path) -> None:
    model = model_of(source)
    decide(model, snapshot, tmp_path / "one.parquet")
    table = pd.read_parquet(snapshot)
    table["on_hand"] = table["on_hand"].astype(float)
    table["lead_time"] = table["lead_time"].astype(int)
    table["inventory_id"] = table["inventory_id"].astype("category")
    table.to_parquet(tmp_path / "edited.parquet")
    decide(model, tmp_path / "edited.parquet", tmp_path / "two.parquet")
    assert pq.read_table(tmp_path / "one.parquet").equals(pq.read_table(tmp_path / "two.parquet"))


def edited(table: pd.DataFrame, column: str, value: Any, row: int = 3) -> pd.DataFrame:
    table = table.copy()
    values = table[column].astype(object).tolist()
    values[row] = value
    table[column] = values
    return table


WRONG: dict[str, tuple[Any, str]] = {
    "missing column": (lambda t: t.drop(columns="on_hand"), "on_hand is missing"),
    "no rows": (lambda t: t.head(0), "is empty"),
    "not a number": (lambda t: edited(t, "on_hand", float("nan")), "on_hand"),
    "missing value": (lambda t: edited(t, "scale", None), "scale"),
    "negative stock": (lambda t: edited(t, "on_hand", -4.0), r"on_hand .* = -4.0 is negative"),
    "negative pipeline": (
        lambda t: edited(t, "on_order", np.full(14, -2.0, np.float32)), r"on_order .* is negative"),
    "lead time too long": (lambda t: edited(t, "lead_time", 60), "lead_time .* 60"),
    "lead time of another": (
        lambda t: edited(t, "lead_time", (int(t["lead_time"][3]) % 5) + 1),
        "without its features"),
    "fraction of a day": (lambda t: edited(t, "review_period", 1.5), "review_period .* int16"),
    "text for a number": (lambda t: t.assign(on_hand="many"), "on_hand .*string"),
    "number for a list": (lambda t: t.assign(on_order=1.0), "on_order .* is no list"),
    "short list": (
        lambda t: edited(t, "features", np.zeros(3, np.float32)), "3 values .* 21 values"),
    "duplicate": (lambda t: pd.concat([t, t.iloc[[7]]]), "several times"),
    "two days": (
        lambda t: edited(t, "date", pd.Timestamp("2020-01-01").date(), row=599), "2020-01-01"),
    "other forecaster": (lambda t: t.assign(forecast="abc"), "abc is another forecaster"),
    "arrival too late": (
        lambda t: t.assign(on_order=[np.ones(40, np.float32)] * len(t)), "arrives later"),
    "expected demand below 0": (lambda t: edited(t, "demand_rate", -1.0), "demand_rate .* below 0"),
    "expected demand unknown": (lambda t: edited(t, "incoming", float("nan")), "incoming"),
    "free shortage": (lambda t: edited(t, "shortage_cost", 0.0), "shortage_cost .* above 0"),
}  # fmt: skip


@pytest.mark.parametrize("what", list(WRONG))
def test_what_is_wrong_with_a_snapshot_is_named(
    source: DatasetSource, snapshot: Path, tmp_path: Path, what: str
) -> None:
    spoil, message = WRONG[what]
    spoil(pd.read_parquet(snapshot)).to_parquet(tmp_path / "wrong.parquet", index=False)
    before = tmp_path / "orders.parquet"
    before.write_text("yesterday's")
    with pytest.raises(DataError, match=message):
        decide(model_of(source), tmp_path / "wrong.parquet", before)
    # What was there is untouched, and nothing half-written is left.
    assert before.read_text() == "yesterday's"
    assert not list(tmp_path.glob("*.partial"))


def test_files_that_are_none(source: DatasetSource, snapshot: Path, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello")
    for name in ("text", "absent"):
        with pytest.raises(DataError, match="cannot be read"):
            decide(model_of(source), tmp_path / name, tmp_path / "orders.parquet")
    with pytest.raises(ConfigError, match="cannot be written"):
        decide(model_of(source), snapshot, tmp_path / "text" / "orders.parquet")


def test_orders_of_one_batch_have_the_schema_of_all(
    source: DatasetSource, snapshot: Path, tmp_path: Path
) -> None:
    decide(model_of(source, "base"), snapshot, tmp_path / "orders.parquet")
    assert pq.read_schema(tmp_path / "orders.parquet").equals(orders_schema(1))
    assert isinstance(pq.read_table(tmp_path / "orders.parquet"), pa.Table)


def test_a_model_is_found_in_a_run_and_in_its_own_folder(
    source: DatasetSource, tmp_path: Path
) -> None:
    model = model_of(source)
    save_model(tmp_path / "model", model.policy, model.factors)
    for folder in (tmp_path, tmp_path / "model"):
        found = find_decider(folder).policy.__self__.state_dict()  # type: ignore[union-attr]
        assert all(torch.equal(v, found[k]) for k, v in model.policy.state_dict().items())
    with pytest.raises(DataError, match="no readable policy"):
        find_decider(tmp_path / "elsewhere")


def test_a_model_of_the_study_is_refused_on_a_data_set(
    source: DatasetSource, tmp_path: Path
) -> None:
    layout = ObservationLayout(1, 1, 1)
    save_model(tmp_path / "model", PolicyNetwork(layout, make_action_model("base", 1), [4]), None)
    with pytest.raises(ConfigError, match="sees 1 features"):
        find_decider(tmp_path)
    with pytest.raises(ConfigError, match="sees 1 features"):
        evaluate_run(tmp_path, source.directory, "test", None)


def test_orders_do_not_replace_their_snapshot(source: DatasetSource, snapshot: Path) -> None:
    with pytest.raises(ConfigError, match="is the snapshot"):
        decide(model_of(source), snapshot, snapshot)


def test_a_damaged_snapshot_is_told_from_a_full_disk(
    source: DatasetSource, snapshot: Path, tmp_path: Path
) -> None:
    content = bytearray(snapshot.read_bytes())
    content[4:104] = b"x" * 100  # the first page's header
    (tmp_path / "cut.parquet").write_bytes(content)
    with pytest.raises(DataError, match="is damaged"):
        decide(model_of(source), tmp_path / "cut.parquet", tmp_path / "orders.parquet")
    assert not (tmp_path / "orders.parquet").exists()


def test_a_model_without_its_forecaster_is_refused(source: DatasetSource, tmp_path: Path) -> None:
    """Features of another forecaster would be taken without a word."""
    save_model(tmp_path / "model", model_of(source).policy, None)
    with pytest.raises(DataError, match=r"lacks forecast\.json"):
        find_decider(tmp_path)
