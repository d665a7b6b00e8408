"""Cases from other systems' issue trackers about orders: import, snapshot, decide.

They are not part of the repository: without them (``DEEPSTOCK_SHARED``) these tests are skipped.
Any sensible model must give the right answer, so an untrained one decides.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import torch
from click.testing import CliRunner, Result

from pipeline.cli.main import commands
from pipeline.policies.action_models import make_action_model
from pipeline.policies.networks import PolicyNetwork
from pipeline.policies.store import save_model
from pipeline.scenarios.dataset import DatasetSource


def run(*arguments: object) -> Result:
    result = CliRunner().invoke(commands, list(map(str, arguments)), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result


class Case:
    """One case's data set, model and commands."""

    def __init__(self, folder: Path, tmp_path: Path, multiple: int = 1) -> None:
        self.folder, self._out = folder, tmp_path
        self.data, self.model = tmp_path / "data", tmp_path / "run"
        run("data", "import", "long", folder / "sales.csv", "--attributes",
            folder / "attributes.csv", "--order-multiple", multiple,
            "--out", self.data)  # fmt: skip
        source = DatasetSource(self.data)
        torch.manual_seed(1)
        model = make_action_model("base", source.layout.basis)
        policy = PolicyNetwork(source.layout, model, [8], initial_action=0.3)
        save_model(self.model / "model", policy, source.factors)

    def snapshot(self, *options: object) -> tuple[pd.DataFrame, str]:
        out = self._out / "snapshot.parquet"
        said = run("data", "snapshot", "--data", self.data, "--model", self.model,
                   "--stock", self.folder / "stock.parquet", "--out", out, *options)  # fmt: skip
        return pd.read_parquet(out), said.output

    def decide(self, snapshot: pd.DataFrame) -> tuple[pd.DataFrame, str]:
        given, out = self._out / "given.parquet", self._out / "orders.parquet"
        snapshot.to_parquet(given)
        said = run("decide", "--model", self.model, "--snapshot", given, "--out", out)
        return pd.read_parquet(out).set_index("inventory_id"), said.output


def case_folder(shared: Path, name: str) -> Path:
    folder = shared / "cases" / name
    if not folder.is_dir():
        pytest.skip(f"the case {name} is not in {shared}")
    return folder


def test_an_empty_shelf_gets_a_pack(shared: Path, tmp_path: Path) -> None:
    case = Case(case_folder(shared, "pack_rounding"), tmp_path, multiple=24)
    snapshot, _ = case.snapshot()
    for pack in (24, 48):
        orders, said = case.decide(snapshot.assign(order_multiple=float(pack)))
        assert (orders["base_stock_level"] < pack / 2).any()  # to the nearest multiple: nothing
        assert (orders["order"] >= pack).all()
        assert (orders["order"] % pack == 0).all()
        lifted = orders["reason"].eq("pack_up").sum()
        assert f"{lifted:,} pack_up" in said


def test_a_discontinued_item_is_not_ordered(shared: Path, tmp_path: Path) -> None:
    case = Case(case_folder(shared, "discontinued"), tmp_path)
    orders, said = case.decide(case.snapshot()[0])
    assert orders.loc["K-OLD@W1", "order"] == 0
    assert "off_sale" in orders.loc["K-OLD@W1", "reason"]
    assert "1 off_sale" in said
    others = orders.drop("K-OLD@W1")
    assert (others["order"] > 0).all()
    assert not others["reason"].str.contains("off_sale").any()


def test_what_has_never_sold_is_not_ordered(shared: Path, tmp_path: Path) -> None:
    case = Case(case_folder(shared, "never_sold"), tmp_path)
    orders, _ = case.decide(case.snapshot()[0])
    assert orders.loc["T99@NORTH", "order"] <= 1
    assert (orders.drop("T99@NORTH")["order"] > 5).all()


def test_a_late_purchase_order_counts_and_stops_nobody(shared: Path, tmp_path: Path) -> None:
    case = Case(case_folder(shared, "stock_late_order"), tmp_path)
    snapshot, said = case.snapshot()
    assert "1 have arrivals in more than 2 days" in said
    stock = pd.read_parquet(case.folder / "stock.parquet")
    given = dict(zip(stock["inventory_id"], stock["on_order"].map(sum), strict=True))
    got = dict(zip(snapshot["inventory_id"], snapshot["on_order"].map(sum), strict=True))
    assert got == given
    orders, _ = case.decide(snapshot)
    assert len(orders) == 10
    assert (orders["order"] > 0).sum() >= 9


def test_a_negative_stock_row_stops_nobody(shared: Path, tmp_path: Path) -> None:
    case = Case(case_folder(shared, "stock_negative_row"), tmp_path)
    snapshot, said = case.snapshot()
    assert "1 have stock below 0" in said
    assert (snapshot["on_hand"] >= 0).all()
    orders, _ = case.decide(snapshot)
    assert len(orders) == 10
    assert len(case.snapshot("--bad-stock", "skip")[0]) == 9


def test_a_window_that_moves_on_reviews_everybody(shared: Path, tmp_path: Path) -> None:
    """Extracts of 150 days on seven mornings: each inventory, reviewed weekly, is due once."""
    folder = case_folder(shared, "rolling_window_review")
    due = pd.Series(dtype=float)
    for morning in range(7):
        data, out = tmp_path / f"data{morning}", tmp_path / f"{morning}.parquet"
        first = pd.Timestamp("2024-01-01") + pd.Timedelta(days=morning)
        last = first + pd.Timedelta(days=149)
        run("data", "import", "long", folder / "sales.csv", "--attributes",
            folder / "attributes.csv", "--first-day", first.date(), "--last-day", last.date(),
            "--out", data)  # fmt: skip
        run("data", "snapshot", "--data", data, "--out", out)
        snapshot = pd.read_parquet(out).set_index("inventory_id")
        due = due.add(snapshot["due"].astype(float), fill_value=0.0)
    assert len(due) == 14
    assert (due == 1.0).all()
