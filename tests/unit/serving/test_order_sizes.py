"""Orders of a snapshot keep to each inventory's sizes, and say what that costs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from envs.errors import DataError
from envs.rollout import Decision
from envs.state import Observation
from pipeline.scenarios.dataset import DatasetSource
from pipeline.serving.decide import Decider, decide
from pipeline.serving.snapshot import make_snapshot


@pytest.fixture(scope="module")
def rows(source: DatasetSource, tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    path = tmp_path_factory.mktemp("snapshot") / "s.parquet"
    make_snapshot(source, path)
    return pd.read_parquet(path)


def a_scale(seen: Observation) -> Decision:
    return Decision(seen.scale)


def test_minimum_and_largest_order_hold(
    source: DatasetSource, rows: pd.DataFrame, tmp_path: Path
) -> None:
    minimum = np.where(np.arange(len(rows)) % 2, 0.0, 15.0)
    sizes = {"order_multiple": 4.0, "order_min": minimum, "order_max": 30.0}
    rows.assign(**sizes).to_parquet(tmp_path / "s.parquet")
    total = decide(
        Decider(a_scale, source.layout, source.factors, "a-scale", ""),
        tmp_path / "s.parquet",
        tmp_path / "o.parquet",
    )
    orders = pd.read_parquet(tmp_path / "o.parquet")
    order, wanted = orders["order"].to_numpy(), orders["wanted"].to_numpy()
    assert set(order[minimum > 0]) <= {0.0, 16.0, 20.0, 24.0, 28.0}
    assert set(order[minimum == 0]) <= {0.0, 4.0, 8.0, 12.0, 16.0, 20.0, 24.0, 28.0}
    np.testing.assert_allclose(wanted, np.where(rows["due"], rows["scale"], 0.0), rtol=1e-6)
    added, cut = np.clip(order - wanted, 0, None), np.clip(wanted - order, 0, None)
    assert total.added == pytest.approx(added.sum(), rel=1e-5)
    assert total.cut == pytest.approx(cut.sum(), rel=1e-5)
    assert total.added > 0 < total.cut
    assert total.holding == pytest.approx((added * rows["holding_cost"]).sum(), rel=1e-5)
    assert total.shortage == pytest.approx((cut * rows["shortage_cost"]).sum(), rel=1e-5)
    assert f"add {total.added:,.0f} units" in total.rounding


def test_a_largest_order_that_holds_none_is_refused(
    source: DatasetSource, rows: pd.DataFrame, tmp_path: Path
) -> None:
    rows.assign(order_multiple=6.0, order_min=7.0, order_max=11.0).to_parquet(
        tmp_path / "s.parquet"
    )
    with pytest.raises(DataError, match=r"order_max of inventory .* = 11\.0 is below the smallest"):
        decide(
            Decider(a_scale, source.layout, source.factors, "a-scale", ""),
            tmp_path / "s.parquet",
            tmp_path / "o.parquet",
        )
