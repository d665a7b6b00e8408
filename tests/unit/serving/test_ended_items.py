"""Items that were taken off sale, on the morning after the data: ../shared/cases/discontinued."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import torch

from envs.rollout import Decision
from envs.state import Observation
from pipeline.data.importing.common import ImportOptions
from pipeline.data.importing.long.options import LongOptions
from pipeline.data.importing.long.run import import_long
from pipeline.data.terms import SupplyTerms
from pipeline.scenarios.dataset import DatasetSource
from pipeline.serving.decide import Decider, decide
from pipeline.serving.snapshot import make_snapshot
from tests.unit.data.long_tables import table

DAYS, LAST = 134, "2024-04-29"
"""Days of the table and, of these, the last one with demand; 14 days are a plan."""
ENDED = {"EARLIER", "FLAGGED", "YESTERDAY"}


def sales_and_plan() -> tuple[pd.DataFrame, pd.DataFrame]:
    """One item's rows end 40 days before the table, two are flagged off sale at the end."""
    names = {f"K{i}": name for i, name in enumerate(["EARLIER", "FLAGGED", "YESTERDAY", "BACK"])}
    frame = table(skus=9, warehouses=1, days=DAYS).assign(on_sale=1)
    frame["sku"] = frame.sku.replace(names)
    frame = frame[(frame.sku != "EARLIER") | (frame.date <= "2024-03-20")]
    for sku, since in (("FLAGGED", "2024-04-10"), ("YESTERDAY", LAST), ("BACK", "2024-04-10")):
        frame.loc[(frame.sku == sku) & (frame.date >= since), ["demand", "on_sale"]] = 0
    ahead = frame.date > LAST
    plan = frame[ahead & ~frame.sku.isin(ENDED)].drop(columns="demand").assign(on_sale=1)
    return frame[~ahead], plan


@pytest.mark.parametrize("planned", [False, True], ids=["no plan", "a plan for the others"])
def test_ended_items_are_not_ordered(tmp_path: Path, planned: bool) -> None:
    sales, plan = sales_and_plan()
    sales.to_csv(tmp_path / "sales.csv", index=False)
    plan.to_csv(tmp_path / "plan.csv", index=False)
    long = LongOptions(plan=tmp_path / "plan.csv" if planned else None)
    terms = SupplyTerms(max_lead_time=5, max_review_period=1)
    import_long(tmp_path / "sales.csv", tmp_path / "data", ImportOptions(terms=terms), long)
    source = DatasetSource(tmp_path / "data")
    make_snapshot(source, tmp_path / "s.parquet")

    def want(seen: Observation) -> Decision:
        return Decision(torch.full_like(seen.scale, 7.0))

    decide(Decider(want, source.layout, None, "constant", "1"), tmp_path / "s.parquet",
           tmp_path / "o.parquet")  # fmt: skip
    orders = pd.read_parquet(tmp_path / "o.parquet")
    orders.index = orders["inventory_id"].str.removesuffix("@W0")
    # An item that the plan brings back is ordered like any other.
    off_sale = ENDED if planned else {*ENDED, "BACK"}
    assert set(orders.index[orders["reason"].str.contains("off_sale")]) == off_sale
    assert (orders.loc[list(off_sale), "order"] == 0).all()
    others = orders.drop(index=list(off_sale))
    assert (others["order"] == 7).all()
