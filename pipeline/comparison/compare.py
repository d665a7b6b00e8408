"""The comparison: every method's selected models and the baselines on later days.

Test days are read here and nowhere else. All policies meet the same demand, lead times
and initial stock, inventory by inventory, so that differences are paired.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from envs.metrics import METRICS, counting_in_words
from pipeline.baselines.tuned import HINDSIGHT, TunedBaselines, tuned_baselines
from pipeline.comparison.columns import comparison_table
from pipeline.comparison.report import comparison_html, comparison_markdown
from pipeline.evaluation.intervals import resample
from pipeline.evaluation.margins import Rows
from pipeline.evaluation.tiles import Candidate, evaluate_policies, model_candidate
from pipeline.runs.sweep import Sweep, read_sweep
from pipeline.scenarios.source import DatasetSource
from pipeline.tools.files import write_text

NO_PLAN_TILES = 16
"""Tiles that are evaluated without the plan as well: some 30,000 inventories."""
NO_PLAN = "no_plan"
"""Folder of their rows, within that of the evaluation."""


@dataclass(frozen=True)
class Evaluated:
    """Files of rows per inventory."""

    rows: Mapping[str, Sequence[Rows]]
    """Method or baseline -> the rows of each of its seeds; the median seed's come first."""
    no_plan: Mapping[str, Rows]
    """Of the median seed, on mornings that know nothing ahead."""


def compare(directory: Path, *, seed: int = 0) -> pd.DataFrame:
    """Evaluates a finished sweep and writes ``comparison.{csv,md,html}``.

    Per-inventory rows go to ``evaluation/<name>.parquet`` (a method's median seed, or a
    baseline) and ``evaluation/<trial>.parquet`` (its other seeds).

    Args:
        directory: The sweep's folder.
        seed: Of the bootstrap.

    Returns:
        The table, one row per method and baseline (see
        :func:`~pipeline.comparison.columns.comparison_table`).

    Raises:
        ConfigError: The folder holds no finished sweep.
        DataError: Its data set is gone or damaged.
    """
    sweep = read_sweep(directory)
    source = sweep.source()
    baselines = tuned_baselines(source, directory, sweep.objective)
    evaluated = evaluate_sweep(sweep, source, baselines)
    table = comparison_table(
        sweep, resample(evaluated.rows, seed), baselines.validation, evaluated.no_plan
    )
    caption = _caption(sweep, source)
    for suffix, text in (
        ("csv", table.to_csv(index=False)),
        ("md", comparison_markdown(table, caption)),
        ("html", comparison_html(table, caption)),
    ):
        write_text(directory / f"comparison.{suffix}", text)
    return table


def evaluate_sweep(sweep: Sweep, source: DatasetSource, baselines: TunedBaselines) -> Evaluated:
    """Plays every seed of every method's selected configuration, and the baselines."""
    folder = sweep.directory / "evaluation"
    candidates: dict[Path, Candidate] = {}
    rows: dict[str, list[Path]] = {}
    for method in sweep.selected:
        for key in sweep.seeds(method):
            path = folder / f"{key if method in rows else method}.parquet"
            rows.setdefault(method, []).append(path)
            candidates[path] = model_candidate(sweep.trial(key) / "model")
    for name, (policy_for, mark) in baselines.policies().items():
        path = folder / f"{name}.parquet"
        rows[name] = [path]
        candidates[path] = Candidate(policy_for, mark)
    evaluate_policies(source, "test", candidates)
    # Whoever knows all demand needs no plan.
    blind = {n: folder / NO_PLAN / f"{n}.parquet" for n in rows if n != HINDSIGHT}
    tiles = source.num_tiles("test")
    evaluate_policies(
        without_plan(source),
        "test",
        {path: candidates[rows[name][0]] for name, path in blind.items()},
        range(0, tiles, -(-tiles // NO_PLAN_TILES)),
    )
    return Evaluated(rows, blind)


def without_plan(source: DatasetSource) -> DatasetSource:
    """The same data on mornings that know nothing ahead."""
    other = DatasetSource(
        source.directory, source.factors, source.resident_tiles, "missing", source.counted
    )
    other.max_lead_time = source.max_lead_time
    return other


def _caption(sweep: Sweep, source: DatasetSource) -> str:
    manifest = source.panel.manifest
    start, stop = source.days("test")
    metrics = " ".join(
        f"{metric.words.title}: {metric.words.unit}. {metric.words.meaning}" for metric in METRICS
    )
    return (
        f"{manifest.num_inventories:,} inventories of {manifest.name}, test days {start} to "
        f"{stop - 1} (later than all training days). A method's row is the mean over the seeds of "
        f"its selected configuration. {metrics} {counting_in_words(manifest.weight_meaning)}. "
        "95 % intervals over inventories, weeks and seeds (column interval_note says what each "
        "holds). Perfect hindsight knows all demand: a lower bound, not a method."
    )
