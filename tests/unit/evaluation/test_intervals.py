"""Intervals: estimates, pairing, groups of inventories, blocks of days, seeds, and coverage."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from envs.metrics import metric_names
from pipeline.evaluation import intervals as module
from pipeline.evaluation import margins as rows_module
from pipeline.evaluation.intervals import (
    Sample,
    difference,
    interval,
    resample,
    sample_margins,
)
from pipeline.evaluation.margins import Margins, margins
from pipeline.evaluation.play import summarize


def rows(n: int, seed: int, blocks: int = 8, days: float = 1.0) -> pa.Table:
    """Rows whose weeks differ by ``days``; every tenth inventory counts half of the first one."""
    rng = np.random.default_rng(seed)
    size = rng.lognormal(0, 1, n)[:, None]
    counted = np.full((n, blocks), 7)
    counted[::10, 0] = 3
    counted[3] = 0
    busy = 1.0 + days * rng.uniform(0, 0.5, blocks)
    block = {"days": counted, "demand": counted * size * busy * rng.uniform(0.5, 1.5, (n, blocks))}
    block["sales"] = block["demand"] * rng.uniform(0.8, 1.0, (n, blocks))
    block["unmet"] = block["demand"] - block["sales"]
    block["stock"] = counted * size * rng.uniform(3, 9, (n, blocks))
    block["stockout_days"] = rng.binomial(counted, 0.1)
    total = {name: values.sum(1) for name, values in block.items()}
    holding, shortage = rng.uniform(0.1, 0.3, n), rng.uniform(2, 5, n)
    with np.errstate(invalid="ignore"):
        mean = {name: values / total["days"] for name, values in total.items()}
    frame = pd.DataFrame(
        {
            "counted_days": total["days"],
            "weight": rng.lognormal(0, 1, n),
            "shortage_cost": shortage,
            "holding_cost": holding,
            "cost": shortage * mean["unmet"] + holding * mean["stock"],
            "stockout_rate_pct": 100 * mean["stockout_days"],
            "mean_demand": mean["demand"],
            "mean_sales": mean["sales"],
            "mean_inventory": mean["stock"],
        }
    )
    table = pa.Table.from_pandas(frame, preserve_index=False)
    for name, values in block.items():
        table = table.append_column(
            f"block_{name}", pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), blocks)
        )
    return table


def test_the_estimate_is_the_summary(tmp_path: Path) -> None:
    table = rows(5000, 1)
    pq.write_table(table, tmp_path / "rows.parquet")
    result = resample({"table": [table], "file": [tmp_path / "rows.parquet"]}, seed=0)
    for metric, value in summarize(table.to_pandas()).items():
        assert result["table"].value(metric) == pytest.approx(value)
    # Paired: the same inventories and blocks are drawn for every policy.
    for part in ("by_inventory", "by_block"):
        one, other = (getattr(result[name], part) for name in ("table", "file"))
        np.testing.assert_allclose(one, other, rtol=1e-12)
    found = difference(result["table"], result["file"], "cost", percent=True)
    assert found == pytest.approx((0.0, 0.0, 0.0), abs=1e-9)


def test_groups_vary_as_inventories_do(monkeypatch: pytest.MonkeyPatch) -> None:
    table = rows(12_000, 2)
    one_by_one = resample({"a": [table]}, seed=0)["a"]
    monkeypatch.setattr(rows_module, "GROUPS", 1500)
    grouped = resample({"a": [table]}, seed=0)["a"]
    np.testing.assert_allclose(grouped.seeds, one_by_one.seeds)
    assert grouped.groups == 1500
    for m in range(len(metric_names())):
        expected = one_by_one.by_inventory[:, m].std()
        assert grouped.by_inventory[:, m].std() == pytest.approx(expected, rel=0.1)


def test_a_row_is_the_mean_over_its_seeds() -> None:
    tables = [rows(300, seed) for seed in (1, 2, 3)]
    found = resample({"a": tables}, seed=0)["a"]
    for metric in metric_names():
        own = [summarize(table.to_pandas())[metric] for table in tables]
        assert found.value(metric) == pytest.approx(np.mean(own))


def test_seeds_widen_the_interval_by_students_t() -> None:
    """Were there nothing else, the interval of a mean of three figures."""
    steady = np.tile([[2.0, 10.0, 5.0, 90.0]], (module.RESAMPLES, 1))
    seeds = np.array([[1.9, 10, 5, 90], [2.0, 10, 5, 90], [2.1, 10, 5, 90]], dtype=float)
    found = interval(Sample(seeds, steady, steady, 1000, 8), "cost")
    reach = 4.302653 * 0.1 / np.sqrt(3)
    assert found == pytest.approx((2.0, 2.0 - reach, 2.0 + reach), rel=1e-5)
    other = Sample(np.array([[2.5, 10.0, 5.0, 90.0]]), 1.25 * steady, 1.25 * steady, 1000, 8)
    relative = difference(Sample(seeds, steady, steady, 1000, 8), other, "cost", percent=True)
    assert relative == pytest.approx(
        (-20.0, -20.0 - 100 * reach / 2.5, -20.0 + 100 * reach / 2.5), rel=1e-5
    )
    # The other's seeds count as well: seen from it the interval is as wide, relatively.
    backwards = difference(other, Sample(seeds, steady, steady, 1000, 8), "cost", percent=True)
    assert backwards.value == pytest.approx(25.0)
    assert (backwards.high - backwards.low) / 2 == pytest.approx(125 * reach / 2.0, rel=1e-5)


def test_differences_among_many_have_wider_intervals() -> None:
    samples = resample({"a": [rows(300, 1)], "b": [rows(300, 2)]}, seed=0)
    one, twelve = (
        difference(samples["a"], samples["b"], "cost", percent=True, among=n) for n in (1, 12)
    )
    # Normal quantiles of 0.975 and 1 - 0.025 / 12; Student's with few blocks more so.
    assert (twelve.high - twelve.low) / (one.high - one.low) > 2.86 / 1.96


def test_few_blocks_leave_the_days_as_they_are() -> None:
    many, few = (resample({"a": [rows(2000, 5, b)]}, seed=0)["a"] for b in (8, 5))
    assert many.days_vary
    assert not few.days_vary
    assert many.note(learned=False) == "inventories, 8 blocks of days"
    assert few.note(learned=False) == "inventories; conditional on these days (5 blocks)"
    expected = few.by_inventory[:, metric_names().index("turnover_days")].std()
    found = interval(few, "turnover_days")
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * expected, rel=1e-3)


def test_a_row_of_one_seed_says_so() -> None:
    table = rows(200, 1)
    one, three = (resample({"a": [table] * n}, seed=0)["a"] for n in (1, 3))
    assert one.note(learned=True).endswith("; one seed, so other seeds are not in it")
    assert three.note(learned=True) == "inventories, 8 blocks of days, 3 seeds"


def test_a_single_inventory_says_nothing_about_others() -> None:
    """Nor, over few weeks, about anything: no interval, rather than one of width 0."""
    long, short = (resample({"a": [rows(20, 1, b).slice(5, 1)]}, seed=0)["a"] for b in (8, 3))
    assert long.note(learned=False) == "8 blocks of days; conditional on the one inventory"
    found = interval(long, "cost")
    assert found.low < found.value < found.high
    assert short.note(learned=False) == (
        "no interval; conditional on the one inventory; conditional on these days (3 blocks)"
    )
    found = interval(short, "cost")
    assert found.value == short.value("cost")
    assert np.isnan(found[1:]).all()
    assert not found.excludes_zero


def test_rates_stay_within_their_range() -> None:
    table = rows(4, 1)
    found = interval(resample({"a": [table]}, seed=0)["a"], "fill_rate_pct", high=100.0)
    assert 0.0 <= found.low <= found.value <= found.high <= 100.0


def test_nothing_counted_has_no_interval() -> None:
    table = rows(4, 1).slice(3, 1)  # the one without a counted day
    found = interval(resample({"a": [table]}, seed=0)["a"], "cost")
    assert np.isnan(found).all()


def test_nothing_is_a_percentage_of_a_cost_of_0() -> None:
    """Nobody asks for anything, and who holds no stock pays nothing."""
    table = rows(20, 1)
    nothing = pa.FixedSizeListArray.from_arrays(pa.array(np.zeros(20 * 8)), 8)
    free = table
    for name in ("unmet", "stock"):
        position = table.column_names.index(f"block_{name}")
        free = free.set_column(position, f"block_{name}", nothing)
    samples = resample({"a": [table], "free": [free]}, seed=0)
    assert np.isnan(difference(samples["a"], samples["free"], "cost", percent=True)).all()
    found = difference(samples["a"], samples["free"], "cost")
    assert found.value == interval(samples["a"], "cost").value


def coverage(trials: int, *, inventories: int, blocks: int, seeds: int) -> float:
    """How often 95 % intervals of a cost with all three effects hold the true one, 1.

    Inventories, weeks and seeds are drawn anew each time; weeks and inventories are crossed.
    """
    rng = np.random.default_rng(0)
    held = 0
    for trial in range(trials):
        inventory = rng.normal(0, 1.5, (inventories, 1))
        week = rng.normal(0, 0.15, (1, blocks))
        both = rng.normal(0, 1.0, (inventories, blocks))
        samples = []
        for seed in rng.normal(0, 0.1, seeds):
            cost = 7 * (1 + inventory + week + both + seed) / (7 * blocks)
            ones = np.full_like(cost, 1 / blocks)
            sums = np.stack([cost, *[ones] * 6], axis=-1)
            samples.append(Margins(sums.sum(1), sums.sum(0)))
        found = interval(sample_margins({"a": samples}, trial)["a"], "cost", low=-np.inf)
        held += found.low <= 1.0 <= found.high
    return held / trials


def test_intervals_hold_the_truth_as_often_as_they_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RESAMPLES", 200)
    found = coverage(300, inventories=400, blocks=8, seeds=3)
    assert 0.94 <= found <= 0.995


@pytest.mark.slow
@pytest.mark.parametrize(
    ("inventories", "blocks", "seeds"), [(400, 8, 3), (400, 26, 5), (200, 8, 2), (100, 12, 3)]
)
def test_coverage_of_larger_simulations(
    monkeypatch: pytest.MonkeyPatch, inventories: int, blocks: int, seeds: int
) -> None:
    monkeypatch.setattr(module, "RESAMPLES", 300)
    found = coverage(1000, inventories=inventories, blocks=blocks, seeds=seeds)
    assert 0.945 <= found <= 0.995


def test_margins_of_pieces_are_those_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    table = rows(1000, 4)
    whole = margins(table)
    monkeypatch.setattr(rows_module, "_CHUNK", 37)
    pieces = margins(table)
    np.testing.assert_allclose(pieces.inventories, whole.inventories)
    np.testing.assert_allclose(pieces.blocks, whole.blocks)
