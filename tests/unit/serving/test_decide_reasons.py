"""Who gave an order, and why it is not simply what was wanted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from envs.errors import DataError
from envs.rollout import Decision
from envs.state import EXPECTED, ObservationLayout
from pipeline.features.build import BASIS, FEATURES
from pipeline.policies.store import TrainedModel, load_model, save_model
from pipeline.scenarios.dataset import DatasetSource
from pipeline.serving.decide import Decider, decide, find_decider
from pipeline.serving.snapshot import forecast_mark, make_snapshot
from tests.unit.serving.test_decide import model_of


@pytest.fixture(scope="module")
def morning(source: DatasetSource, tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """A snapshot in which everybody is due, sells 2 a day and has nothing."""
    path = tmp_path_factory.mktemp("reasons") / "s.parquet"
    make_snapshot(source, path)
    table = pd.read_parquet(path).head(20)
    table["on_order"] = [np.zeros(14, np.float32)] * len(table)
    plain = dict.fromkeys(EXPECTED, float("inf")) | {
        "demand_rate": 2.0,
        "demand_until_arrival": 6.0,
    }
    return table.assign(due=True, on_hand=0.0, order_multiple=1.0, plan="known", **plain)


def want(units: float) -> Decider:
    """Somebody who always wants the same."""
    return Decider(
        lambda seen: Decision(torch.full_like(seen.scale, units)),
        ObservationLayout(14, len(BASIS), len(FEATURES)), None, "constant", "3",
    )  # fmt: skip


def decided(by: TrainedModel | Decider, table: pd.DataFrame, tmp_path: Path) -> pd.DataFrame:
    table.to_parquet(tmp_path / "s.parquet")
    decide(by, tmp_path / "s.parquet", tmp_path / "o.parquet")
    return pd.read_parquet(tmp_path / "o.parquet")


CASES: dict[str, tuple[dict[str, object], float, float, str]] = {
    # what a row has, what is wanted, the order, the reason
    "nothing odd": ({}, 7.4, 7.0, ""),
    "off sale": ({"incoming": 0.0}, 7.4, 0.0, "off_sale"),
    "off sale, not wanted": ({"incoming": 0.0}, 0.0, 0.0, "off_sale"),
    "off sale, not due": ({"incoming": 0.0, "due": False}, 7.4, 0.0, "off_sale,not_due"),
    "ending": ({"incoming": 4.2, "sellable": 10.0}, 7.4, 4.0, "ending"),
    "ending, enough": ({"incoming": 4.2, "sellable": 10.0, "on_hand": 12.0}, 7.4, 0.0, "ending"),
    "pack": ({"order_multiple": 24.0}, 7.4, 24.0, "pack_up"),
    "pack, slow": ({"order_multiple": 24.0, "demand_rate": 0.02}, 7.4, 0.0, "too_slow_for_pack"),
    "not due": ({"due": False, "order_multiple": 24.0}, 7.4, 0.0, "not_due"),
    "no plan": ({"plan": "missing"}, 7.4, 7.0, "plan_missing"),
    "pack without plan": (
        {"plan": "missing", "order_multiple": 24.0}, 7.4, 24.0, "pack_up,plan_missing"),
}  # fmt: skip


@pytest.mark.parametrize("what", list(CASES))
def test_every_reason_is_told(morning: pd.DataFrame, tmp_path: Path, what: str) -> None:
    row, wanted, order, reason = CASES[what]
    table = morning.copy()
    # One odd inventory among others: packs of several sizes, too.
    for name, value in row.items():
        table[name] = [value, *table[name][1:]]
    got = decided(want(wanted), table, tmp_path)
    assert (got["order"][0], got["reason"][0]) == (order, reason)
    assert (got["reason"][1:] == "").all()
    assert (got["order"][1:] == round(wanted)).all()
    assert got["plan"].equals(table["plan"])


def test_the_terminal_counts_reasons_and_names_who_decided(
    morning: pd.DataFrame, tmp_path: Path
) -> None:
    rows = len(morning)
    morning.assign(
        incoming=[0.0, 0.0, *[float("inf")] * (rows - 2)], due=[True] * (rows - 1) + [False]
    ).to_parquet(tmp_path / "s.parquet")
    total = decide(want(7.4), tmp_path / "s.parquet", tmp_path / "o.parquet")
    assert total.reasons == {"off_sale": 2, "not_due": 1}
    assert str(total) == (
        "20 inventories, 19 due, 17 orders over 119 units by constant 3 (2 off_sale)"
    )


def test_who_has_no_coefficients_shows_none(morning: pd.DataFrame, tmp_path: Path) -> None:
    got = decided(want(7.4), morning, tmp_path)
    assert set(got["model"]) == {"constant"}
    assert set(got["version"]) == {"3"}
    assert {len(c) for c in got["coefficients"]} == {0}
    assert got["base_stock_level"].isna().all()


def test_a_run_gives_its_method_and_version(
    source: DatasetSource, morning: pd.DataFrame, tmp_path: Path
) -> None:
    model = model_of(source, "base")
    save_model(tmp_path / "run" / "model", model.policy, model.factors)
    config = {"algorithm": "ds", "action_model": "base"}
    (tmp_path / "run" / "config.yaml").write_text(yaml.safe_dump(config))
    decider = find_decider(tmp_path / "run")
    got = decided(decider, morning.assign(forecast=forecast_mark(source.factors)), tmp_path)
    assert set(got["model"]) == {"ds-base"}
    version = set(got["version"]).pop()
    assert len(version) == 12
    # The version is what the model computes: another file of the same model has it too.
    save_model(tmp_path / "copy", model.policy, model.factors)
    assert load_model(tmp_path / "copy").version == version
    next(model.policy.parameters()).data[0, 0] += 1e-3
    save_model(tmp_path / "copy", model.policy, model.factors)
    assert load_model(tmp_path / "copy").version != version


@pytest.mark.parametrize("wanted", [float("nan"), float("inf")])
def test_an_order_that_is_no_number_is_refused(
    morning: pd.DataFrame, tmp_path: Path, wanted: float
) -> None:
    with pytest.raises(DataError, match=r"order of inventory .* is no finite number"):
        decided(want(wanted), morning, tmp_path)
    assert not (tmp_path / "o.parquet").exists()
