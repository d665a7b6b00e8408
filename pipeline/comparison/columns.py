"""The rows of ``comparison.csv``: figures with their intervals, and who is compared with whom."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

from envs.metrics import (
    COST,
    METRICS,
    STOCKOUT_RATE,
    TURNOVER_TIME,
    metric_names,
    service_metrics,
)
from pipeline.baselines.base import PER_CLASS
from pipeline.evaluation.intervals import Interval, Sample, difference, interval
from pipeline.evaluation.margins import Rows
from pipeline.evaluation.play import needed, summarize
from pipeline.runs.method import REFERENCE, Method
from pipeline.runs.sweep import Sweep

BASELINE = "-"
"""``action_model`` of a baseline's row."""
OTHERS = {REFERENCE.in_columns: REFERENCE, "baseline": PER_CLASS}
"""Who everybody is compared with: as it is called in columns -> row."""


def ends(stem: str) -> dict[str, str]:
    """Names of the ends of a figure's interval; the cost's own were there first."""
    shorter = {COST.name: "", f"{COST.stem}_vs_{REFERENCE.in_columns}": f"{COST.stem}_"}
    prefix = shorter.get(stem, f"{stem}_")
    return {end: f"{prefix}ci_{end}" for end in ("low", "high")}


def _with_ends(stem: str) -> list[str]:
    return [stem, *ends(stem).values()]


def _names() -> list[str]:
    """Columns of figures; the order of the first ones is older than the other metrics."""
    own = [STOCKOUT_RATE.name, TURNOVER_TIME.name, *_with_ends(COST.name)]
    own += [metric.name for metric in service_metrics() if metric.name not in own]
    own += [end for metric in service_metrics() for end in ends(metric.name).values()]
    for other in OTHERS:
        for metric in METRICS:
            own += _with_ends(f"{metric.stem}_vs_{other}")
    own += ends(f"{COST.stem}_vs_baseline_joint").values()
    own += _with_ends(f"{COST.stem}_vs_best")
    return own + [f"{name}_without_plan" for name in (*metric_names(), COST.stem)]


COLUMNS = [
    "algorithm", "action_model", *_names(), "interval_note", "validation_cost", "n_configs",
    "n_seeds", "n_failed", "seconds", "cpu_seconds",
]  # fmt: skip


def comparison_table(
    sweep: Sweep,
    samples: Mapping[str, Sample],
    validation: Mapping[str, Mapping[str, float]],
    no_plan: Mapping[str, Rows] | None = None,
) -> pd.DataFrame:
    """One row per method and baseline, methods first.

    ``cost`` is the mean money per inventory and day with its 95 % interval (``ci_low``,
    ``ci_high``); the other metrics' intervals are ``*_ci_low`` and ``*_ci_high``, and
    ``interval_note`` says what they hold. ``*_vs_ddpg_both`` and ``*_vs_baseline`` are
    differences to DDPG BOTH and to the class-tuned order-up-to (cost in percent, rates in
    percentage points, turnover in days), on the same inventories and days. ``*_joint_*`` and
    ``cost_pct_vs_best`` (to the method with the least cost) have intervals that hold for all
    methods together (Bonferroni), as a claim about the best of several needs. ``*_without_plan``
    are the figures of mornings that know nothing ahead, of the first seed and of at most 16
    tiles; ``cost_pct_without_plan`` is the change on these. Methods without a finished
    trial have no figures.

    Args:
        sweep: Finished.
        samples: Of :func:`pipeline.evaluation.intervals.resample`.
        validation: Baseline -> its metrics on validation.
        no_plan: Method or baseline -> its rows without the plan.
    """
    compared = [name for name in sweep.selected if name in samples]

    def rank(name: str) -> float:
        figures = {metric: samples[name].value(metric) for metric in metric_names()}
        return sweep.objective.signed(sweep.objective.figure(figures))

    best = min(compared, key=rank, default=None)
    table = []
    for name in [*sweep.selected, *(n for n in samples if n not in sweep.selected)]:
        method = Method(name)
        choice = sweep.selected.get(method)
        row: dict[str, object] = {"algorithm": name, "action_model": BASELINE}
        if choice is not None:
            row = {"algorithm": method.algorithm, "action_model": method.action_model}
        if name in samples:
            row |= _figures(samples[name], learned=choice is not None)
            row |= _differences(samples, name, best, len(compared))
        if no_plan and name in no_plan:
            row |= _without_plan(no_plan[name], sweep.directory / "evaluation" / f"{name}.parquet")
        row["validation_cost"] = validation.get(name, {}).get(sweep.objective.metric)
        row |= {"n_configs": 0, "n_seeds": 0, "n_failed": 0, "seconds": 0.0, "cpu_seconds": 0.0}
        if choice is not None:
            row |= {
                "validation_cost": choice.validation,
                "n_configs": choice.configurations,
                "n_seeds": len(sweep.seeds(method)),
                "n_failed": choice.failed,
                "seconds": round(choice.seconds, 1),
                "cpu_seconds": round(choice.cpu_seconds, 1),
            }
        table.append(row)
    return pd.DataFrame(table).reindex(columns=COLUMNS)


def _figures(own: Sample, *, learned: bool) -> dict[str, object]:
    row: dict[str, object] = {"interval_note": own.note(learned=learned)}
    for metric in METRICS:
        row |= _named(interval(own, metric.name, high=metric.most), metric.name)
    return row


def _named(found: Interval, stem: str) -> dict[str, float]:
    low, high = ends(stem).values()
    return {stem: found.value, low: found.low, high: found.high}


def _differences(
    samples: Mapping[str, Sample], name: str, best: str | None, methods: int
) -> dict[str, float]:
    own = samples[name]
    row: dict[str, float] = {}
    for other, key in OTHERS.items():
        if key not in samples:
            continue
        for metric in METRICS:
            found = difference(own, samples[key], metric.name, percent=metric.relative)
            row |= _named(found, f"{metric.stem}_vs_{other}")
    if PER_CLASS in samples:
        joint = difference(own, samples[PER_CLASS], COST.name, percent=True, among=max(methods, 1))
        low, high = ends(f"{COST.stem}_vs_baseline_joint").values()
        row |= {low: joint.low, high: joint.high}
    if best is not None:
        among = max(methods - 1, 1)
        found = difference(own, samples[best], COST.name, percent=True, among=among)
        row |= _named(found, f"{COST.stem}_vs_best")
    return row


def _without_plan(rows: Rows, with_plan: Path) -> dict[str, float]:
    columns = ["inventory_id", *needed()]
    blind = (pq.read_table(rows, columns=columns) if isinstance(rows, Path) else rows).to_pandas()
    figures = summarize(blind)
    # Some tiles only: the change is that of the same inventories.
    ids = pq.read_table(with_plan, columns=["inventory_id", COST.name, "counted_days"]).to_pandas()
    same = ids[ids["inventory_id"].isin(set(blind["inventory_id"])) & (ids["counted_days"] > 0)]
    usual = float(same[COST.name].mean())
    change = 100.0 * (figures[COST.name] / usual - 1.0) if usual else float("nan")
    return {f"{name}_without_plan": figure for name, figure in figures.items()} | {
        f"{COST.stem}_without_plan": change
    }
