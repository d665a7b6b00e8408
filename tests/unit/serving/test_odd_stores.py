"""Orders of stores at the ends of what the formats allow: import, snapshot, decide."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import torch
from click.testing import CliRunner

from envs.errors import DataError
from pipeline.cli.main import commands
from pipeline.data.importing.common import ImportOptions
from pipeline.data.importing.long.options import LongOptions
from pipeline.data.importing.long.run import import_long
from pipeline.policies.action_models import make_action_model
from pipeline.policies.networks import PolicyNetwork
from pipeline.policies.store import save_model
from pipeline.scenarios.dataset import DatasetSource
from tests.unit.data.long_tables import table


def imported(tmp_path: Path, **attributes: object) -> DatasetSource:
    """A data set of 4 inventories, whose attributes are the same for all."""
    frame = table(skus=4, warehouses=1)
    frame.to_csv(tmp_path / "sales.csv", index=False)
    given = frame[["sku", "warehouse"]].drop_duplicates().assign(**attributes)
    given.to_csv(tmp_path / "attributes.csv", index=False)
    import_long(
        tmp_path / "sales.csv",
        tmp_path / "data",
        ImportOptions(),
        LongOptions(attributes=tmp_path / "attributes.csv"),
    )
    return DatasetSource(tmp_path / "data")


def ordered(tmp_path: Path, source: DatasetSource) -> pd.DataFrame:
    """Snapshot and orders of an untrained model: any sensible one would do."""
    torch.manual_seed(1)
    policy = PolicyNetwork(source.layout, make_action_model("base", source.layout.basis), [8], 0.3)
    save_model(tmp_path / "run" / "model", policy, source.factors)
    for words in (
        ("data", "snapshot", "--data", tmp_path / "data", "--out", tmp_path / "s.parquet"),
        ("decide", "--snapshot", tmp_path / "s.parquet", "--out", tmp_path / "o.parquet"),
    ):
        command = [str(word) for word in (*words, "--model", tmp_path / "run")]
        result = CliRunner().invoke(commands, command, catch_exceptions=False)
        assert result.exit_code == 0, result.output
    return pd.read_parquet(tmp_path / "o.parquet")


def test_orders_that_all_arrive_at_once(tmp_path: Path) -> None:
    source = imported(tmp_path, lead_time=0, review_period=1, review_offset=0)
    orders = ordered(tmp_path, source)
    assert len(orders) == 4
    assert orders["due"].all()


@pytest.mark.parametrize("name", ["holding_cost", "shortage_cost"])
def test_a_cost_of_zero_is_refused_where_it_enters(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match=f"{name} of inventory .* = 0.0 is not above 0"):
        imported(tmp_path, **{name: 0})
