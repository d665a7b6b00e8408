"""An item that never sold, among others that sell: ../shared/cases/never_sold."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pipeline.data.importing.long.run import import_long
from pipeline.features.build import FEATURES
from pipeline.scenarios.dataset import DatasetSource
from pipeline.serving.snapshot import make_snapshot

DAYS = 150


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """Twelve items that sell about four a day, one that never did, one of the last day."""
    folder = tmp_path_factory.mktemp("never_sold")
    rng = np.random.default_rng(7)
    dates = pd.date_range("2024-01-01", periods=DAYS).strftime("%Y-%m-%d")
    frames = [
        pd.DataFrame({"sku": f"T{i:02d}", "date": dates, "demand": rng.poisson(4, DAYS)})
        for i in range(12)
    ]
    frames.append(pd.DataFrame({"sku": "DEAD", "date": dates, "demand": 0}))
    frames.append(pd.DataFrame({"sku": "NEW", "date": dates[-1:], "demand": 0}))
    sales = pd.concat(frames).assign(warehouse="W", price=5.0)
    sales.to_csv(folder / "sales.csv", index=False)
    import_long(folder / "sales.csv", folder / "data")
    make_snapshot(DatasetSource(folder / "data"), folder / "s.parquet")
    table = pd.read_parquet(folder / "s.parquet")
    # Per day of the protection period: lead times and review periods are drawn.
    span = table["lead_time"] + table["review_period"]
    table["scale"] /= span
    table["basis"] /= span
    return table.set_index(table["inventory_id"].str.split("@").str[0])


def test_after_150_days_of_zeros_its_figures_are_near_zero(snapshot: pd.DataFrame) -> None:
    dead, new = snapshot.loc["DEAD"], snapshot.loc["NEW"]
    selling = snapshot.drop(["DEAD", "NEW"])
    assert 0 < dead["scale"] < 0.1 * selling["scale"].min()
    assert (dead["basis"] < 0.1 * np.stack(selling["basis"]).min(0)).all()
    assert (dead["basis"] >= 0).all()
    assert np.isfinite(np.stack(snapshot["features"])).all()
    assert dead["features"][FEATURES.index("zero_share")] == 1.0
    # One day tells little: the new item still borrows.
    assert new["scale"] > 0.25 * selling["scale"].min()
