"""Tables of sweeps that were made up, and the page that is made of the tables alone."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from envs.errors import ConfigError
from pipeline.baselines.base import PER_CLASS
from pipeline.cli.main import commands
from pipeline.data.pool import pooled
from pipeline.runs.method import Method
from pipeline.runs.sweep import Sweep, read_sweep
from pipeline.studies.offline.folder import REPORT, OfflineFolder
from pipeline.studies.offline.measuring.groups import group_table
from pipeline.studies.offline.measuring.measure import measure
from pipeline.studies.offline.measuring.play import FIGURE, rows_of, samples
from pipeline.studies.offline.measuring.pooling import BEST, pool_table
from pipeline.studies.offline.measuring.published import PUBLISHED, published_table
from pipeline.studies.offline.measuring.special import budget_table, credit_table
from pipeline.studies.offline.pieces import MAIN, PIECES
from pipeline.studies.offline.report import write_offline
from tests.unit.comparison.conftest import make_sweep


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> OfflineFolder:
    """A study whose piece m5-cost is trained and played; two seeds of each method."""
    made = make_sweep(tmp_path_factory.mktemp("made"))
    study = OfflineFolder(tmp_path_factory.mktemp("study"))
    shutil.copytree(made, study.directory / "m5-cost" / MAIN)
    return study


@pytest.fixture(scope="module")
def sweep(folder: OfflineFolder) -> Sweep:
    return folder.sweeps(PIECES["m5-cost"])[MAIN]


def test_the_table_is_relative_to_ddpg_both(sweep: Sweep) -> None:
    table = published_table(samples(rows_of(sweep), sweep.objective)).set_index("name")
    compared = pd.read_csv(sweep.directory / "comparison.csv")
    compared["name"] = compared["algorithm"] + "-" + compared["action_model"]
    compared.loc[compared["action_model"] == "-", "name"] = compared["algorithm"]
    compared = compared.set_index("name")
    assert "ppo-coeff" not in table.index  # it has no finished trial
    assert {"ppo-both", PER_CLASS} < set(table.index)
    for name, row in table.iterrows():
        its = compared.loc[name]
        assert row["stockouts"] == pytest.approx(its["stockout_rate_pct"])
        assert row["stockouts_pp"] == pytest.approx(its["stockout_rate_pp_vs_ddpg_both"])
        assert row["turnover_days"] == pytest.approx(its["turnover_days_vs_ddpg_both"])
        assert row["figure"] == pytest.approx(its["cost"])
        assert row["figure_pct"] == pytest.approx(its["cost_pct_vs_ddpg_both"])
    assert table.loc["ddpg-none", "published_stockouts_pp"] == PUBLISHED["ddpg-none"].stockouts
    assert table.loc["ddpg-none", "figure_pct_low"] > 0


def test_groups_add_up(sweep: Sweep) -> None:
    table = group_table(rows_of(sweep), pooled=False)
    for _, rows in table.groupby(["by", "name"]):
        assert rows["inventories"].sum() == 300
        cost = (rows["cost"] * rows["inventories"]).sum() / 300
        whole = samples(rows_of(sweep), sweep.objective)[rows["name"].iloc[0]].value(FIGURE)
        assert cost == pytest.approx(whole, rel=1e-6)
    assert set(table["by"]) == {"sales class", "category", "lead time"}
    reference = table[table["name"] == "ddpg-both"]
    assert (reference["stockouts_pp"] == 0).all()


def scaled_rows(table: pa.Table, data: str, times: float) -> pa.Table:
    """The rows as of a pool's data set, with costs so many times as high."""
    names = pa.array([pooled(data, c) for c in table["category"].to_pylist()])
    table = table.set_column(table.schema.get_field_index("category"), "category", names)
    for cost in ("shortage_cost", "holding_cost"):
        values = pa.array(table[cost].to_numpy() * times)
        table = table.set_column(table.schema.get_field_index(cost), cost, values)
    return table


def test_the_pools_policy_is_compared_set_by_set(sweep: Sweep, tmp_path: Path) -> None:
    shutil.copytree(sweep.directory, tmp_path / "pool")
    for path in (tmp_path / "pool" / "evaluation").glob("*.parquet"):
        rows = pq.read_table(path)
        both = [scaled_rows(rows, data, times) for data, times in (("m5", 1.1), ("fresh", 1.0))]
        pq.write_table(pa.concat_tables(both), path)
    table = pool_table(read_sweep(tmp_path / "pool"), {"m5": sweep, "fresh": sweep})
    for data, percent in (("m5", 10.0), ("fresh", 0.0)):
        own = table[table["data"] == data]
        assert own["figure_pct"].to_numpy() == pytest.approx(percent, abs=1e-6)
        assert BEST in set(own["name"])
        assert (own["figure_pct_low"] <= percent + 1e-6).all()


def test_parts_are_compared_with_the_first(sweep: Sweep) -> None:
    for table in (budget_table({"x1": sweep, "x4": sweep}),
                  credit_table({"governed": sweep, "terminal": sweep})):  # fmt: skip
        assert len(table) == 2 * 11
        assert table["figure_pct"].abs().max() < 1e-9
    both = table[(table["name"] == "ddpg-both") & (table["credit"] == "terminal")].iloc[0]
    none = table[(table["name"] == "ddpg-none") & (table["credit"] == "terminal")].iloc[0]
    assert both["stockouts_pp"] == 0
    assert none["stockouts_pp"] == pytest.approx(none["stockouts"] - both["stockouts"])


def test_the_page_is_made_from_the_tables_alone(folder: OfflineFolder, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds no tables"):
        write_offline(tmp_path)
    measure(folder, PIECES["m5-cost"])
    measure(folder, PIECES["budget"])  # not trained: nothing happens
    shutil.copytree(folder.tables, tmp_path / "tables")
    done = CliRunner().invoke(commands, ["offline", "report", str(tmp_path)])
    assert done.exit_code == 0, done.output
    text = (tmp_path / REPORT).read_text()
    for words in ("Walmart M5, cost", "DDPG NONE", "Published findings", "lead time", "+10.10"):
        assert words in text, words
    assert "nan" not in re.sub(r'"data:image[^"]*"', "", text).lower()
    markdown = (tmp_path / "tables" / "m5-cost.md").read_text()
    assert f"| {Method('ddpg-none').label} |" in markdown
    assert (tmp_path / "figures" / "m5-cost-published.png").stat().st_size > 10_000
