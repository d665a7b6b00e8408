"""The comparison of a sweep: every seed is tested, with the plan and without."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from envs.errors import ConfigError
from envs.metrics import metric_names
from pipeline.baselines.base import PER_CLASS
from pipeline.baselines.tuned import read_baselines
from pipeline.comparison.compare import NO_PLAN, compare, without_plan
from pipeline.comparison.frontiers import LEVELS, POINTS
from pipeline.comparison.report import write_report
from pipeline.data.synthetic.generate import make
from pipeline.evaluation.play import play_policy, summarize
from pipeline.evaluation.shift import SHIFT
from pipeline.policies.action_models import make_action_model
from pipeline.policies.networks import PolicyNetwork
from pipeline.policies.store import load_model, save_model
from pipeline.runs.sweep import Selected, Sweep, read_sweep, write_selection
from pipeline.scenarios.dataset import DatasetSource
from tests.rows import evaluate_dataset

TRIALS = ["ddpg-both-c01-s0", "ddpg-both-c01-s1", "ddpg-both-c01-s2"]
FINITE = [*metric_names(), "ci_low", "fill_rate_pct_ci_high", "cost_pct_vs_baseline"]


@pytest.fixture(scope="module")
def sweep(source: DatasetSource, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three seeds of DDPG BOTH, one of DS BASE, a method that failed; compared."""
    directory = tmp_path_factory.mktemp("compared")
    for number, key in enumerate([*TRIALS, "ds-base-c00-s0"]):
        torch.manual_seed(number)
        kind = key.split("-")[1]
        model = PolicyNetwork(
            source.layout, make_action_model(kind, source.layout.basis), [8], 0.25 + 0.02 * number
        )
        save_model(directory / "trials" / key / "model", model, source.factors)
    source.factors.save(directory / "forecast.json")
    plan = {"data_directory": str(source.directory), "name": "tiny"}
    (directory / "preset.yaml").write_text(yaml.safe_dump(plan))
    selected = {
        "ddpg-both": Selected(TRIALS[1], 3.0, 2, 0, 9.0, {}, TRIALS, cpu_seconds=8.0),
        "ds-base": Selected("ds-base-c00-s0", 3.1, 1, 0, 1.0, {}),
        "ppo-both": Selected(None, None, 1, 1, 1.0, {"ppo-both-c00-s0": "nan"}),
    }
    write_selection(directory, selected)
    compare(directory)
    return directory


@pytest.fixture(scope="module")
def table(sweep: Path) -> pd.DataFrame:
    table = pd.read_csv(sweep / "comparison.csv")
    name = table["algorithm"] + "-" + table["action_model"]
    return table.set_index(name.str.removesuffix("--"))


def test_a_methods_row_is_the_mean_over_all_its_seeds(
    source: DatasetSource, sweep: Path, table: pd.DataFrame
) -> None:
    own = []
    for key in TRIALS:
        policy = load_model(sweep / "trials" / key / "model").policy
        rows = pd.concat(evaluate_dataset(source, "test", play_policy(policy.decide)))
        own.append(summarize(rows))
    for metric in metric_names():
        expected = np.mean([figures[metric] for figures in own])
        assert table.loc["ddpg-both", metric] == pytest.approx(expected, rel=1e-5)
    assert table.loc["ddpg-both", "n_seeds"] == 3
    assert table.loc["ddpg-both", "cpu_seconds"] == 8.0
    # The median seed, which makes the orders, has the method's name.
    files = {path.stem for path in (sweep / "evaluation").glob("d*.parquet")}
    assert files == {"ddpg-both", TRIALS[0], TRIALS[2], "ds-base"}
    median = pd.read_parquet(sweep / "evaluation" / "ddpg-both.parquet")
    assert summarize(median)["cost"] == pytest.approx(own[1]["cost"], rel=1e-5)


def test_rows_say_what_their_intervals_hold(table: pd.DataFrame) -> None:
    assert table.loc["ddpg-both", "interval_note"].endswith(", 3 seeds")
    assert table.loc["ds-base", "interval_note"].endswith("one seed, so other seeds are not in it")
    assert "seed" not in table.loc[PER_CLASS, "interval_note"]
    assert table.loc[["ddpg-both", "ds-base", PER_CLASS], FINITE].notna().all(axis=None)
    for metric in metric_names():
        prefix = "ci" if metric == "cost" else f"{metric}_ci"
        done = table.dropna(subset=["cost"])
        assert (done[f"{prefix}_low"] <= done[metric]).all()
        assert (done[metric] <= done[f"{prefix}_high"]).all()


def test_baselines_are_in_the_table_and_differences_to_them(
    sweep: Path, table: pd.DataFrame
) -> None:
    assert (table.loc[PER_CLASS, ["cost_pct_vs_baseline", "fill_rate_pp_vs_baseline"]] == 0).all()
    ratio = table.loc["ds-base", "cost"] / table.loc[PER_CLASS, "cost"]
    assert table.loc["ds-base", "cost_pct_vs_baseline"] == pytest.approx(100 * (ratio - 1))
    gap = table.loc["ds-base", "fill_rate_pct"] - table.loc[PER_CLASS, "fill_rate_pct"]
    assert table.loc["ds-base", "fill_rate_pp_vs_baseline"] == pytest.approx(gap)
    kept = read_baselines(sweep).validation
    assert table.loc[PER_CLASS, "validation_cost"] == pytest.approx(kept[PER_CLASS]["cost"])
    # Of two methods, one is compared with the other: no allowance for many.
    best = table.loc[["ddpg-both", "ds-base"], "cost"].idxmin()
    assert table.loc[best, "cost_pct_vs_best"] == 0
    assert table.loc["ppo-both", "cost_pct_vs_best":].drop(
        ["n_configs", "n_seeds", "n_failed", "seconds", "cpu_seconds"]
    ).isna().all()  # fmt: skip


def test_every_policy_is_also_evaluated_without_the_plan(
    source: DatasetSource, sweep: Path, table: pd.DataFrame
) -> None:
    blind = without_plan(source)
    assert blind.plan == "missing"
    assert blind.max_lead_time == source.max_lead_time
    rule = read_baselines(sweep).rules[PER_CLASS]
    expected = summarize(pd.concat(evaluate_dataset(blind, "test", play_policy(rule))))
    for metric in metric_names():
        assert table.loc[PER_CLASS, f"{metric}_without_plan"] == pytest.approx(
            expected[metric], rel=1e-5
        )
    change = 100 * (expected["cost"] / table.loc[PER_CLASS, "cost"] - 1)
    assert table.loc[PER_CLASS, "cost_pct_without_plan"] == pytest.approx(change, abs=1e-3)
    # The data have promotions: a forecast that does not know them orders differently.
    assert abs(change) > 0.01
    assert not (sweep / "evaluation" / NO_PLAN / "perfect_hindsight.parquet").exists()
    assert np.isnan(table.loc["perfect_hindsight", "cost_without_plan"])


def test_comparing_again_gives_the_same_table(sweep: Path) -> None:
    before = (sweep / "comparison.csv").read_bytes()
    compare(sweep)
    assert (sweep / "comparison.csv").read_bytes() == before


def test_curves_of_stock_against_service_are_in_every_comparison(sweep: Path) -> None:
    points, levels = pd.read_csv(sweep / POINTS), pd.read_csv(sweep / LEVELS)
    assert set(points["name"]) == {"ddpg-both", "ds-base", PER_CLASS}
    rule = points[points["name"] == PER_CLASS].sort_values("factor")
    # Tuned anew at every trade-off: the dearer shortages are, the fewer and the more stock.
    assert rule["stockout_rate_pct"].iloc[0] > 2 * rule["stockout_rate_pct"].iloc[-1]
    assert rule["turnover_days"].iloc[0] < rule["turnover_days"].iloc[-1]
    at = levels.set_index(["name", "level"])
    assert at.loc[(PER_CLASS, "stockout 10 %"), "turnover_days"] > 0
    own = at.loc[PER_CLASS, "pct_vs_baseline"].dropna()
    assert len(own) > 0
    assert (own == 0).all()


class TestElsewhere:
    """A sweep's policies on data that they never saw."""

    @pytest.fixture(scope="class")
    def other(self, tmp_path_factory: pytest.TempPathFactory) -> Path:
        out = tmp_path_factory.mktemp("other") / "other"
        make(300, 200, 11, out, tile_rows=128, order_multiple=0.0)
        return out

    @pytest.fixture(scope="class")
    def out(self, sweep: Path, other: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
        out = tmp_path_factory.mktemp("elsewhere") / "out"
        compare(sweep, data=other, out=out)
        return out

    def test_the_rows_are_those_of_the_policies_there(
        self, sweep: Path, other: Path, out: Path
    ) -> None:
        table = pd.read_csv(out / "comparison.csv").set_index("algorithm")
        trained = read_sweep(sweep).source()
        there = DatasetSource(other, trained.factors)
        there.max_lead_time = trained.max_lead_time
        # Rules are those of the sweep's data, not tuned again.
        rule = read_baselines(sweep).rules[PER_CLASS]
        expected = summarize(pd.concat(evaluate_dataset(there, "test", play_policy(rule))))
        for metric in metric_names():
            assert table.loc[PER_CLASS, metric] == pytest.approx(expected[metric], rel=1e-5)
        assert not (out / "baselines.json").exists()
        assert table.loc["ddpg", "n_seeds"] == 3

    def test_it_says_how_far_the_inputs_are_from_trainings(self, out: Path) -> None:
        shift = pd.read_csv(out / SHIFT).set_index("feature")
        assert shift["outside_pct"].between(0, 100).all()
        assert "trained on another data set" in (out / "comparison.md").read_text()

    def test_the_report_reads_it_as_any_sweep(self, out: Path) -> None:
        assert "other" in write_report(out).read_text()

    def test_another_comparison_is_not_overwritten(
        self, sweep: Path, dataset: Path, out: Path
    ) -> None:
        with pytest.raises(ConfigError, match="another comparison"):
            compare(sweep, data=dataset, out=out)

    def test_longer_lead_times_than_the_policies_know_are_refused(
        self, sweep: Path, other: Path, tmp_path: Path
    ) -> None:
        trained = read_sweep(sweep)
        there = trained.on(other, tmp_path / "out")
        preset = {**there.preset, "max_lead_time": 1}
        with pytest.raises(ConfigError, match="the policies know 1"):
            Sweep(there.directory, preset, there.selected).source()
