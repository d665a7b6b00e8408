"""The rows of ``comparison.csv``: figures with their intervals, and who is compared with whom."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

from pipeline.baselines.tuned import PER_CLASS
from pipeline.evaluation.intervals import Interval, Rows, Sample, difference, interval
from pipeline.evaluation.play import METRICS, SUMMARIZED, summarize
from pipeline.runs.sweep import Sweep

REFERENCE = "ddpg-both"
SHORT = {
    "cost": "cost_pct", "stockout_rate_pct": "stockout_rate_pp", "turnover_days": "turnover_days",
    "fill_rate_pct": "fill_rate_pp",
}  # fmt: skip
"""Metric -> how its differences are called, with their unit."""
_TOP = {"stockout_rate_pct": 100.0, "fill_rate_pct": 100.0}


def _names() -> list[str]:
    own = ["stockout_rate_pct", "turnover_days", "cost", "ci_low", "ci_high", "fill_rate_pct"]
    own += [f"{m}_ci_{end}" for m in METRICS[1:] for end in ("low", "high")]
    for other in ("ddpg_both", "baseline"):
        for metric, short in SHORT.items():
            ends = _ends(metric, other)
            own += [f"{short}_vs_{other}", ends["low"], ends["high"]]
    own += ["cost_pct_vs_baseline_joint_ci_low", "cost_pct_vs_baseline_joint_ci_high"]
    own += ["cost_pct_vs_best", "cost_pct_vs_best_ci_low", "cost_pct_vs_best_ci_high"]
    own += [f"{metric}_without_plan" for metric in METRICS] + ["cost_pct_without_plan"]
    return own


def _ends(metric: str, other: str) -> dict[str, str]:
    """Names of a difference's ends; the first that there was has a shorter one."""
    if (metric, other) == ("cost", "ddpg_both"):
        return {end: f"cost_pct_ci_{end}" for end in ("low", "high")}
    return {end: f"{SHORT[metric]}_vs_{other}_ci_{end}" for end in ("low", "high")}


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
        figures = {metric: samples[name].value(metric) for metric in METRICS}
        return sweep.objective.signed(sweep.objective.figure(figures))

    best = min(compared, key=rank, default=None)
    table = []
    for name in [*sweep.selected, *(n for n in samples if n not in sweep.selected)]:
        choice = sweep.selected.get(name)
        algorithm, _, action_model = name.partition("-")
        row: dict[str, object] = {"algorithm": algorithm, "action_model": action_model or "-"}
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
                "n_seeds": len(sweep.seeds(name)),
                "n_failed": choice.failed,
                "seconds": round(choice.seconds, 1),
                "cpu_seconds": round(choice.cpu_seconds, 1),
            }
        table.append(row)
    return pd.DataFrame(table).reindex(columns=COLUMNS)


def _figures(own: Sample, *, learned: bool) -> dict[str, object]:
    row: dict[str, object] = {"interval_note": own.note(learned=learned)}
    for metric in METRICS:
        found = interval(own, metric, high=_TOP.get(metric, float("inf")))
        prefix = "" if metric == "cost" else f"{metric}_"
        row |= _named(found, metric, f"{prefix}ci_low", f"{prefix}ci_high")
    return row


def _named(found: Interval, value: str, low: str, high: str) -> dict[str, float]:
    return {value: found.value, low: found.low, high: found.high}


def _differences(
    samples: Mapping[str, Sample], name: str, best: str | None, methods: int
) -> dict[str, float]:
    own = samples[name]
    row: dict[str, float] = {}
    for other, key in (("ddpg_both", REFERENCE), ("baseline", PER_CLASS)):
        if key not in samples:
            continue
        for metric, short in SHORT.items():
            scale = "percent" if metric == "cost" else "difference"
            found = difference(own, samples[key], metric, scale)  # type: ignore[arg-type]
            ends = _ends(metric, other)
            row |= _named(found, f"{short}_vs_{other}", ends["low"], ends["high"])
    if PER_CLASS in samples:
        joint = difference(own, samples[PER_CLASS], "cost", "percent", among=max(methods, 1))
        row["cost_pct_vs_baseline_joint_ci_low"] = joint.low
        row["cost_pct_vs_baseline_joint_ci_high"] = joint.high
    if best is not None:
        found = difference(own, samples[best], "cost", "percent", among=max(methods - 1, 1))
        row |= _named(found, *(f"cost_pct_vs_best{end}" for end in ("", "_ci_low", "_ci_high")))
    return row


def _without_plan(rows: Rows, with_plan: Path) -> dict[str, float]:
    columns = ["inventory_id", "cost", "stockout_rate_pct", *SUMMARIZED]
    blind = (pq.read_table(rows, columns=columns) if isinstance(rows, Path) else rows).to_pandas()
    figures = summarize(blind)
    # Some tiles only: the change is that of the same inventories.
    ids = pq.read_table(with_plan, columns=["inventory_id", "cost", "counted_days"]).to_pandas()
    same = ids[ids["inventory_id"].isin(set(blind["inventory_id"])) & (ids["counted_days"] > 0)]
    usual = float(same["cost"].mean())
    change = 100.0 * (figures["cost"] / usual - 1.0) if usual else float("nan")
    return {f"{metric}_without_plan": figures[metric] for metric in METRICS} | {
        "cost_pct_without_plan": change
    }
