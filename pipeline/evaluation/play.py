"""The one evaluator: deterministic, tile by tile, the same demand for every method.

Each inventory's metrics over the counted days (after the warm-up, on sale, demand observed) make
one row; tables and intervals are made from those rows alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import torch
from torch import Tensor

from envs.credit import after_warm_up
from envs.horizon import HorizonMetrics
from envs.metrics import METRICS, SUMS, Days, metric_names
from envs.objective import DEFAULT_OBJECTIVE, Objective
from envs.rollout import Policy, rollout_metrics
from envs.state import InventoryState, Scenario
from pipeline.data.panel import RawTile
from pipeline.features.trade_off import seen_scenario
from pipeline.scenarios.source import ScenarioSource, Split
from pipeline.scenarios.start import evaluation_start

BLOCK_DAYS, MOST_BLOCKS = 7, 52
"""Days of a block that intervals draw whole: a week, or several where there would be too many."""
STATIC = (
    "weight", "sales_class", "category", "lead_time", "review_period", "shortage_cost",
    "holding_cost",
)  # fmt: skip
"""Columns of the inventories that their rows repeat."""
MEANS = {
    "demand": "mean_demand", "sales": "mean_sales", "stock": "mean_inventory",
    "unmet": "mean_unmet",
}  # fmt: skip
"""Of :data:`~envs.metrics.SUMS` -> the column of a mean day."""
PolicyFor = Callable[[Scenario], tuple[Scenario, Policy]]
"""Builds a policy for a tile; may exchange the scenario for what the policy is to see of it."""


def play_policy(policy: Policy) -> PolicyFor:
    """A policy that needs nothing of the tile but its observations."""
    return lambda scenario: (scenario, policy)


def seen_policy(policy: Policy, objective: Objective, factor: Tensor | float = 1.0) -> PolicyFor:
    """A policy that was trained for an objective, with shortages that count ``factor`` times."""
    return lambda scenario: (seen_scenario(scenario, objective, factor), policy)


def counted_days(scenario: Scenario) -> Tensor:
    """[T, N] days that enter the metrics: after the warm-up, and counted by the scenario."""
    counted = after_warm_up(scenario.review, scenario.lead_time)
    return counted if scenario.counted is None else counted & scenario.counted


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
        ``mean_inventory``, ``mean_unmet`` (units) and all of :data:`~envs.metrics.METRICS`;
        NaN where no day was counted (or nothing was sold, or asked for).
    """
    return _rows(play_scenario(scenario, policy_for, start))


@torch.no_grad()
def play_scenario(
    scenario: Scenario,
    policy_for: PolicyFor,
    start: InventoryState | None = None,
    *,
    block_days: int | None = None,
) -> HorizonMetrics:
    """Plays one tile; the arguments are those of :func:`evaluate_scenario`.

    ``block_days`` asks for the sums over every block of so many days as well.
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
    return rollout_metrics(
        judged,
        policy,
        start,
        counted=counted,
        tile_rows=scenario.num_inventories,
        block_days=block_days,
    )


def _rows(metrics: HorizonMetrics) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "counted_days": metrics.counted_days.numpy().astype(np.int32),
            "mean_demand": metrics.mean_demand.numpy(),
            "mean_sales": metrics.mean_sales.numpy(),
            "mean_inventory": metrics.mean_inventory.numpy(),
            "mean_unmet": metrics.mean_unmet.numpy(),
            **{name: values.numpy() for name, values in metrics.values.items()},
        }
    )


def evaluate_tile(
    raw: RawTile, scenario: Scenario, policy_for: PolicyFor, most_days: int | None = None
) -> pa.Table:
    """:func:`evaluate_scenario` with the inventories' ids and what the panel says of them.

    Adds ``inventory_id``, the columns of :data:`STATIC`, and for each of
    :data:`~envs.metrics.SUMS` a fixed-size list ``block_<name>``: its sums over
    the blocks of days.

    Args:
        raw: The tile as it lies on disk.
        scenario: The tile.
        policy_for: Builds the policy.
        most_days: Days of the longest tile: as many blocks as that has are written, those that
            this one lacks as 0. None: this one's.
    """
    longest = scenario.num_days if most_days is None else most_days
    days = BLOCK_DAYS * -(-longest // (BLOCK_DAYS * MOST_BLOCKS))
    lacking = max(1, longest // days) - max(1, scenario.num_days // days)
    metrics = play_scenario(scenario, policy_for, block_days=days)
    rows = _rows(metrics)
    rows.insert(0, "inventory_id", np.asarray(raw.inventory_id).astype(str))
    for name in STATIC:
        values = np.asarray(raw.static[name])
        rows[name] = values if values.dtype.kind in "iuf" else values.astype(str)
    table = pa.Table.from_pandas(rows, preserve_index=False).replace_schema_metadata()
    assert metrics.blocks is not None
    blocks = torch.nn.functional.pad(metrics.blocks, (0, 0, 0, 0, 0, lacking))
    for name, sums in zip(SUMS, blocks.unbind(1), strict=True):
        kind = np.uint16 if name.endswith("days") else np.float32
        flat = np.ascontiguousarray(sums.numpy().T.astype(kind)).ravel()
        table = table.append_column(
            f"block_{name}", pa.FixedSizeListArray.from_arrays(pa.array(flat), len(sums))
        )
    return table


def needed() -> list[str]:
    """Columns that :func:`summarize` reads."""
    return ["counted_days", "weight", *MEANS.values(), *metric_names()]


def summarize(rows: pd.DataFrame) -> dict[str, float]:
    """Aggregates rows over inventories, as each metric's record says.

    Where the rows have no ``weight``, mean demand weighs.
    """
    # A policy that has diverged must not look like days that were not counted.
    known = rows[rows["counted_days"] > 0]
    columns = {name: known[name].to_numpy() for name in needed() if name in known}
    days, demand = columns["counted_days"], columns["mean_demand"]
    weight = columns.get("weight", demand.clip(min=1e-9))
    mean_day = Days(**{part: columns[name] for part, name in MEANS.items() if name in columns})
    return {
        metric.name: metric.over_inventories(columns, mean_day, days, weight) for metric in METRICS
    }


def in_words(summary: Mapping[str, float]) -> str:
    """All figures: none means much without the others."""
    shown = (
        f"{metric.words.name} {summary[metric.name]:{metric.words.form}} {metric.words.suffix}"
        for metric in METRICS
    )
    return ", ".join(shown)


def summarize_source(
    source: ScenarioSource,
    split: Split,
    policy: Policy,
    *,
    objective: Objective = DEFAULT_OBJECTIVE,
    first_tile: int = 0,
    every: int = 1,
) -> tuple[dict[str, float], int, int]:
    """Metrics of a policy on a split, as methods are validated.

    Args:
        source: Any source, data set or generated.
        split: Usually "validation".
        policy: Deterministic.
        objective: What it is trained for.
        first_tile, every: The caller's share of the tiles.

    Returns:
        :func:`summarize` without the data set's weights, inventory-days played, inventories.
    """
    frames, steps = [], 0
    for tile in range(first_tile, source.num_tiles(split), every):
        scenario = source.load(split, tile)
        start = source.evaluation_start(scenario)
        frames.append(evaluate_scenario(scenario, seen_policy(policy, objective), start))
        steps += scenario.num_days * scenario.num_inventories
    rows = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()
    return (summarize(rows) if frames else {}), steps, len(rows)
