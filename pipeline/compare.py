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
from numpy.typing import NDArray

from pipeline.baselines import BaseStockPerClass, ForecastSafetyStock, perfect_hindsight
from pipeline.bootstrap import Rows, bootstrap
from pipeline.evaluate import METRICS, play_policy
from pipeline.evaluate_tiles import Candidate, evaluate_policies, model_candidate
from pipeline.report import comparison_html, comparison_markdown
from pipeline.sources import DatasetSource
from pipeline.sweep_folder import Sweep, read_sweep

REFERENCE = "ddpg-both"
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
    candidates = sweep_candidates(sweep, source)
    rows = {name: directory / "evaluation" / f"{name}.parquet" for name in candidates}
    evaluate_policies(source, "test", {rows[name]: c for name, c in candidates.items()})
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


def sweep_candidates(sweep: Sweep, source: DatasetSource) -> dict[str, Candidate]:
    """The selected model of every method that has one, and the baselines, tuned."""
    candidates: dict[str, Candidate] = {}
    for method, choice in sweep.selected.items():
        if choice.trial is not None:
            candidates[method] = model_candidate(sweep.trial(choice.trial) / "model")
    forecast, base_stock = ForecastSafetyStock.tune(source), BaseStockPerClass.tune(source)
    candidates["forecast_safety_stock"] = Candidate(play_policy(forecast), repr(forecast))
    candidates["base_stock_per_class"] = Candidate(base_stock.policy_for, repr(base_stock))
    candidates["perfect_hindsight"] = Candidate(perfect_hindsight, "")
    return candidates


def comparison_table(sweep: Sweep, rows: Mapping[str, Rows], seed: int) -> pd.DataFrame:
    """One row per method and baseline, methods first.

    ``cost`` is the mean money per inventory and day with its 95 % bootstrap interval
    over inventories (``ci_low``, ``ci_high``); the columns ``*_vs_ddpg_both`` are
    differences to DDPG BOTH (stockout in percentage points, turnover in days, cost in
    percent with a paired interval). Methods without a finished trial have no figures.
    """
    resampled = bootstrap(rows, seed)
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
