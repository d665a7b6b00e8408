"""The one evaluator: deterministic, tile by tile, the same demand for every method.

Each inventory's metrics over the counted days (after the warm-up, on sale) make one row;
tables and intervals are made from those rows alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from envs.objective import after_warm_up
from envs.rollout import Policy, rollout_metrics
from envs.state import InventoryState, Scenario
from pipeline.data.panel import RawTile
from pipeline.sources import DatasetSource, ScenarioSource, Split, evaluation_start

METRICS = ("cost", "stockout_rate_pct", "turnover_days")
PolicyFor = Callable[[Scenario], tuple[Scenario, Policy]]
"""Builds a policy for a tile; may exchange the scenario (only perfect hindsight does)."""


def play_policy(policy: Policy) -> PolicyFor:
    """A policy that needs nothing of the tile but its observations."""
    return lambda scenario: (scenario, policy)


def counted_days(scenario: Scenario) -> Tensor:
    """[T, N] days that enter the metrics: after the warm-up, and counted by the scenario."""
    counted = after_warm_up(scenario.review, scenario.lead_time)
    return counted if scenario.counted is None else counted & scenario.counted


@torch.no_grad()
def evaluate_scenario(
    scenario: Scenario, policy_for: PolicyFor, start: InventoryState | None = None
) -> pd.DataFrame:
    """Plays one tile.

    Args:
        scenario: The tile.
        policy_for: Builds the policy.
        start: Stock on the first morning; None for :func:`evaluation_start`.

    Returns:
        One row per inventory: ``counted_days``, ``mean_demand``, ``mean_sales``,
        ``mean_inventory`` (units), ``cost`` (money per day), ``stockout_rate_pct``,
        ``turnover_days``; NaN where no day was counted (or nothing was sold).
    """
    counted = counted_days(scenario)
    start = evaluation_start(scenario) if start is None else start
    played_scenario, policy = policy_for(scenario)
    # What a policy exchanges changes neither what is counted nor what it costs.
    judged = replace(
        played_scenario,
        shortage_cost=scenario.shortage_cost,
        holding_cost=scenario.holding_cost,
    )
    # As one tile: a policy may be built for exactly these inventories.
    metrics = rollout_metrics(
        judged, policy, start, counted=counted, tile_rows=scenario.num_inventories
    )
    return pd.DataFrame(
        {
            "counted_days": metrics.counted_days.numpy().astype(np.int32),
            "mean_demand": metrics.mean_demand.numpy(),
            "mean_sales": metrics.mean_sales.numpy(),
            "mean_inventory": metrics.mean_inventory.numpy(),
            "cost": metrics.cost.numpy(),
            "stockout_rate_pct": metrics.stockout_rate.numpy(),
            "turnover_days": metrics.turnover_time.numpy(),
        }
    )


def evaluate_tile(raw: RawTile, scenario: Scenario, policy_for: PolicyFor) -> pd.DataFrame:
    """:func:`evaluate_scenario` with the inventories' ids, weights and classes.

    Adds ``inventory_id``, ``weight``, ``sales_class``, ``category``, ``lead_time`` and
    ``review_period``.
    """
    rows = evaluate_scenario(scenario, policy_for)
    rows.insert(0, "inventory_id", np.asarray(raw.inventory_id).astype(str))
    for name in ("weight", "sales_class", "category", "lead_time", "review_period"):
        values = np.asarray(raw.static[name])
        rows[name] = values if values.dtype.kind in "iuf" else values.astype(str)
    return rows


def evaluate_dataset(
    source: DatasetSource, split: Split, policy_for: PolicyFor
) -> Iterator[pd.DataFrame]:
    """Per-inventory rows of a whole split, tile by tile."""
    for tile in range(source.num_tiles(split)):
        yield evaluate_tile(*source.open(split, tile), policy_for)


def summarize(rows: pd.DataFrame) -> dict[str, float]:
    """Aggregates rows over inventories.

    Cost is money and adds up: its mean counts every inventory once (a weight by demand
    would count size twice). Stockout rate and turnover time are averages weighted by
    ``weight``; turnover of inventories that sold nothing is left out.
    """
    weight = rows["weight"] if "weight" in rows else rows["mean_demand"].clip(lower=1e-9)
    result = {"cost": float(rows["cost"].mean())}
    for name in ("stockout_rate_pct", "turnover_days"):
        known = rows[name].notna()
        result[name] = (
            float(np.average(rows.loc[known, name], weights=weight[known]))
            if known.any() and float(weight[known].sum()) > 0
            else float("nan")
        )
    return result


def summarize_source(
    source: ScenarioSource,
    split: Split,
    policy: Policy,
    *,
    first_tile: int = 0,
    every: int = 1,
) -> tuple[dict[str, float], int, int]:
    """Metrics of a policy on a split, for RLlib's evaluation.

    Args:
        source: Any source, data set or generated.
        split: Usually "validation".
        policy: Deterministic.
        first_tile, every: The caller's share of the tiles.

    Returns:
        :func:`summarize` without the data set's weights, inventory-days played, inventories.
    """
    frames, steps = [], 0
    for tile in range(first_tile, source.num_tiles(split), every):
        scenario = source.load(split, tile)
        start = source.evaluation_start(scenario)
        frames.append(evaluate_scenario(scenario, play_policy(policy), start))
        steps += scenario.num_days * scenario.num_inventories
    rows = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()
    return (summarize(rows) if frames else {}), steps, len(rows)
