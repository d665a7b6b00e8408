"""What a long table says of the days after its last day of demand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.data.schema import UNKNOWN
from tests.unit.data.long_tables import Import, Refuse, csv, table


def weekday(frame: pd.DataFrame) -> pd.Series[int]:
    return pd.to_datetime(frame.date).dt.day_of_week


# --- days ahead ----------------------------------------------------------------------------


def with_plan() -> tuple[pd.DataFrame, pd.DataFrame]:
    """120 days of sales with promotions, and 14 days of a plan for some of the inventories."""
    frame = table(days=134).assign(promotion=0, price=3.0)
    frame.loc[frame.index[::9], "promotion"] = 1
    ahead = frame.date > "2024-04-29"
    plan = frame[ahead & (frame.sku != "K5")].drop(columns="demand").assign(price=2.0)
    return frame[~ahead], plan


@pytest.mark.parametrize("how", ["rows", "file"])
def test_days_ahead(run: Import, tmp_path: Path, how: str) -> None:
    sales, plan = with_plan()
    if how == "rows":
        path = csv(pd.concat([sales, plan.assign(demand="")]), tmp_path / "t.csv")
        done = run(path, "--max-bad-share", 0)
    else:
        planned = tmp_path / "plan.parquet"
        plan.to_parquet(planned)
        done = run(csv(sales, tmp_path / "t.csv"), "--plan", planned, "--max-bad-share", 0)
    assert (done.manifest.num_days, done.manifest.ahead_days) == (120, 14)
    assert "plan: 14 days ahead for 10 of 12 inventories" in done.said
    assert done.demand == sales.demand.sum()
    for name, quantities in done.series.items():
        assert (len(quantities["demand"]), len(quantities["known"])) == (120, 120)
        sku, warehouse = name.split("@")
        own = plan[(plan.sku == sku) & (plan.warehouse == warehouse)]
        if own.empty:
            assert np.isnan(quantities["price"][120:]).all()
            assert (quantities["promotion"][120:] == UNKNOWN).all()
            assert (quantities["on_sale"][120:] == UNKNOWN).all()
        else:
            assert quantities["promotion"][120:].tolist() == own.promotion.tolist()
            assert (quantities["price"][120:] == 2.0).all()
            assert (quantities["on_sale"][120:] == 1).all()
        # No source has events: there are none, ahead as in the past.
        assert (quantities["event"] == 0).all()


def test_a_plan_without_what_varied(run: Import, tmp_path: Path) -> None:
    sales, plan = with_plan()
    path = csv(plan.drop(columns="promotion"), tmp_path / "plan.csv")
    done = run(csv(sales, tmp_path / "t.csv"), "--plan", path)
    assert "promotion varied in the past and is not in the plan" in done.said
    assert (done.series["K0@W0"]["promotion"][120:] == UNKNOWN).all()
    assert (done.series["K0@W0"]["price"][120:] == 2.0).all()


def test_rows_of_a_plan_that_cannot_be_used_are_counted(run: Import, tmp_path: Path) -> None:
    sales, plan = with_plan()
    strange = pd.concat([
        plan, plan[:3], plan[:2].assign(sku="NEW"), plan[:1].assign(date="2024-01-05"),
        plan[:1].assign(date="2026-01-05"),
    ])  # fmt: skip
    done = run(csv(sales, tmp_path / "t.csv"), "--plan", csv(strange, tmp_path / "plan.csv"))
    assert f"7 of {len(strange)} rows not used" in done.said
    assert done.manifest.ahead_days == 14


def test_a_plan_with_bad_rows_is_refused(refuse: Refuse, tmp_path: Path) -> None:
    sales, plan = with_plan()
    sold = csv(sales, tmp_path / "t.csv")
    bad = plan.astype({"promotion": object})
    bad.iloc[2, bad.columns.get_loc("promotion")] = "maybe"
    said = refuse(sold, "--plan", csv(bad, tmp_path / "plan.csv"))
    assert "maybe" in said
    said = refuse(sold, "--plan", csv(plan.drop(columns="date"), tmp_path / "plan.csv"))
    assert "column of plan.csv = date is missing" in said


def test_a_blank_demand_of_the_past_is_missing(run: Import, tmp_path: Path) -> None:
    frame = table().astype({"demand": object})
    last = (frame.sku == "K0") & (frame.warehouse == "W0") & (frame.date == "2024-04-29")
    frame.loc[last, "demand"] = ""
    frame.loc[30, "demand"] = ""
    done = run(csv(frame, tmp_path / "t.csv"))
    assert done.manifest.ahead_days == 0
    assert np.flatnonzero(done.series["K0@W0"]["known"] == 0).tolist() == [30, 119]
    assert "missing_demand 2" in done.manifest.source
