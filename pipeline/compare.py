"""The comparison: every method's selected model and the baselines on later days.

Test days are read here and nowhere else. All policies meet the same demand, lead times
and initial stock, inventory by inventory, so that differences are paired.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import ray
from numpy.typing import NDArray

from pipeline.baselines import BaseStockPerClass, ForecastSafetyStock, perfect_hindsight
from pipeline.data.progress import Progress
from pipeline.evaluate import METRICS, PolicyFor, evaluate_tile, play_policy
from pipeline.model_store import load_model
from pipeline.report import comparison_html, comparison_markdown
from pipeline.sources import DatasetSource, Split
from pipeline.sweep_folder import Sweep, read_sweep

REFERENCE = "ddpg-both"
RESAMPLES = 1000
"""Bootstrap resamples of the inventories."""
INTERVAL = (2.5, 97.5)
"""Percentiles of the intervals."""


def compare(directory: Path, *, seed: int = 0) -> pd.DataFrame:
    """Evaluates a finished sweep and writes ``comparison.{csv,md,html}``.

    Per-inventory rows go to ``evaluation/<name>.parquet``.

    Args:
        directory: The sweep's folder.
        seed: Of the bootstrap.

    Returns:
        The table, one row per method and baseline (see :func:`comparison_table`).

    Raises:
        ConfigError: The folder holds no finished sweep.
        DataError: Its data set is gone or damaged.
    """
    sweep = read_sweep(directory)
    source = sweep.source()
    rows = evaluate_policies(source, "test", sweep_policies(sweep, source))
    folder = directory / "evaluation"
    folder.mkdir(exist_ok=True)
    for name, frame in rows.items():
        frame.to_parquet(folder / f"{name}.parquet", index=False)
    table = comparison_table(sweep, rows, seed)
    caption = _caption(sweep, source)
    for suffix, text in (
        ("csv", table.to_csv(index=False)),
        ("md", comparison_markdown(table, caption)),
        ("html", comparison_html(table, caption)),
    ):
        partial = directory / f"comparison.{suffix}.partial"
        partial.write_text(text)
        os.replace(partial, directory / f"comparison.{suffix}")
    return table


def sweep_policies(sweep: Sweep, source: DatasetSource) -> dict[str, PolicyFor]:
    """The selected model of every method that has one, and the baselines, tuned."""
    policies: dict[str, PolicyFor] = {}
    for method, choice in sweep.selected.items():
        if choice.trial is not None:
            model = load_model(sweep.trial(choice.trial) / "model")
            policies[method] = play_policy(model.policy.decide)
    policies["forecast_safety_stock"] = play_policy(ForecastSafetyStock.tune(source))
    policies["base_stock_per_class"] = BaseStockPerClass.tune(source).policy_for
    policies["perfect_hindsight"] = perfect_hindsight
    return policies


def evaluate_policies(
    source: DatasetSource, split: Split, policies: Mapping[str, PolicyFor]
) -> dict[str, pd.DataFrame]:
    """Per-inventory rows of every policy; a tile's features are made once for all of them.

    Tiles are spread over the Ray cluster if there is one, else played here.
    """
    tiles = source.num_tiles(split)
    progress = Progress(f"evaluate {len(policies)} policies on {split}", tiles, "tiles")
    parts: dict[int, dict[str, pd.DataFrame]] = {}
    if ray.is_initialized():
        task = ray.remote(num_cpus=1)(_evaluate_tile)
        shared, sent = ray.put(dict(policies)), ray.put(source)
        waiting = {task.remote(sent, split, tile, shared): tile for tile in range(tiles)}
        while waiting:
            (ready,), _ = ray.wait(list(waiting), num_returns=1)
            parts[waiting.pop(ready)] = ray.get(ready)
            progress.add(1)
    else:
        for tile in range(tiles):
            parts[tile] = _evaluate_tile(source, split, tile, policies)
            progress.add(1)
    return {
        name: pd.concat([parts[tile][name] for tile in range(tiles)], ignore_index=True)
        for name in policies
    }


def _evaluate_tile(
    source: DatasetSource, split: Split, tile: int, policies: Mapping[str, PolicyFor]
) -> dict[str, pd.DataFrame]:
    raw, scenario = source.open(split, tile)
    return {name: evaluate_tile(raw, scenario, policy) for name, policy in policies.items()}


def comparison_table(sweep: Sweep, rows: Mapping[str, pd.DataFrame], seed: int) -> pd.DataFrame:
    """One row per method and baseline, methods first.

    ``cost`` is the mean money per inventory and day with its 95 % bootstrap interval
    over inventories (``ci_low``, ``ci_high``); the columns ``*_vs_ddpg_both`` are
    differences to DDPG BOTH (stockout in percentage points, turnover in days, cost in
    percent with a paired interval). Methods without a finished trial have no figures.
    """
    resampled = _bootstrap(rows, seed)
    table = []
    for name in [*sweep.selected, *(n for n in rows if n not in sweep.selected)]:
        choice = sweep.selected.get(name)
        algorithm, _, action_model = name.partition("-")
        row: dict[str, object] = {"algorithm": algorithm, "action_model": action_model or "-"}
        if name in rows:
            row |= _figures(name, resampled)
        row["n_configs"] = choice.configurations if choice else 0
        row["n_failed"] = choice.failed if choice else 0
        row["seconds"] = round(choice.seconds, 1) if choice else 0.0
        table.append(row)
    columns = ["algorithm", "action_model", "stockout_rate_pct", "turnover_days", "cost",
               "ci_low", "ci_high", "stockout_rate_pp_vs_ddpg_both",
               "turnover_days_vs_ddpg_both", "cost_pct_vs_ddpg_both", "cost_pct_ci_low",
               "cost_pct_ci_high", "n_configs", "n_failed", "seconds"]  # fmt: skip
    return pd.DataFrame(table).reindex(columns=columns)


def _figures(
    name: str, resampled: Mapping[str, Mapping[str, NDArray[np.float64]]]
) -> dict[str, float]:
    """Entry 0 of every array is the estimate, the others its resamples."""
    own = resampled[name]
    low, high = np.percentile(own["cost"][1:], INTERVAL)
    figures = {metric: float(own[metric][0]) for metric in METRICS}
    figures |= {"ci_low": float(low), "ci_high": float(high)}
    if REFERENCE in resampled:
        reference = resampled[REFERENCE]
        ratio = 100.0 * (own["cost"] / reference["cost"] - 1.0)
        low, high = np.percentile(ratio[1:], INTERVAL)
        figures |= {
            "stockout_rate_pp_vs_ddpg_both": float(
                own["stockout_rate_pct"][0] - reference["stockout_rate_pct"][0]
            ),
            "turnover_days_vs_ddpg_both": float(
                own["turnover_days"][0] - reference["turnover_days"][0]
            ),
            "cost_pct_vs_ddpg_both": float(ratio[0]),
            "cost_pct_ci_low": float(low),
            "cost_pct_ci_high": float(high),
        }
    return figures


def _bootstrap(
    rows: Mapping[str, pd.DataFrame], seed: int, chunk: int = 20_000
) -> dict[str, dict[str, NDArray[np.float64]]]:
    """Estimate (entry 0) and Poisson-bootstrap resamples of every metric, paired over policies.

    Every inventory enters a resample Poisson(1) times, the same number for all policies
    (Chamandy et al. 2012, "Estimating uncertainty for massive data streams"): sums
    stream over inventories, so a million of them need no more memory than a chunk.
    """
    n = len(next(iter(rows.values())))
    sums = {
        (name, metric, part): np.zeros(RESAMPLES + 1)
        for name in rows
        for metric in METRICS
        for part in ("value", "weight")
    }
    generator = np.random.default_rng(seed)
    for start in range(0, n, chunk):
        cut = slice(start, min(start + chunk, n))
        size = cut.stop - cut.start
        times = np.ones((RESAMPLES + 1, size), dtype=np.float32)
        times[1:] = generator.poisson(1.0, (RESAMPLES, size))
        for name, frame in rows.items():
            for metric in METRICS:
                value = frame[metric].to_numpy(np.float64)[cut]
                known = np.isfinite(value)
                # Money adds up; rates are weighted (see pipeline.evaluate.summarize).
                weight = np.ones(size) if metric == "cost" else frame["weight"].to_numpy(float)[cut]
                weight = np.where(known, weight, 0.0)
                sums[name, metric, "value"] += times @ (np.where(known, value, 0.0) * weight)
                sums[name, metric, "weight"] += times @ weight
    return {
        name: {
            metric: sums[name, metric, "value"]
            / np.where(sums[name, metric, "weight"] > 0, sums[name, metric, "weight"], np.nan)
            for metric in METRICS
        }
        for name in rows
    }


def _caption(sweep: Sweep, source: DatasetSource) -> str:
    manifest = source.panel.manifest
    start, stop = source.days("test")
    return (
        f"{manifest.num_inventories:,} inventories of {manifest.name}, test days {start} to "
        f"{stop - 1} (later than all training days). Cost: money per inventory and day, mean "
        "over inventories, 95 % bootstrap interval over inventories. Stockout rate and turnover "
        f"time: weighted by {manifest.weight_meaning}. Perfect hindsight knows all demand: a "
        "lower bound, not a method."
    )
