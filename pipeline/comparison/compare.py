"""The comparison: every method's selected models and the baselines on later days.

Test days are read here and nowhere else. All policies meet the same demand, lead times
and initial stock, inventory by inventory, so that differences are paired.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import pandas as pd

from envs.errors import ConfigError
from envs.metrics import METRICS, counting_in_words
from pipeline.baselines.curves import rule_curves
from pipeline.baselines.rules import HINDSIGHT
from pipeline.baselines.tuned import FILE as BASELINES_FILE
from pipeline.baselines.tuned import TunedBaselines, tuned_baselines
from pipeline.comparison.columns import comparison_table
from pipeline.comparison.frontiers import write_frontiers
from pipeline.comparison.report import comparison_html, comparison_markdown
from pipeline.comparison.words import starts_in_words
from pipeline.evaluation.intervals import resample
from pipeline.evaluation.margins import Rows
from pipeline.evaluation.shift import SHIFT, input_shift, shift_in_words
from pipeline.evaluation.tiles import Candidate, evaluate_policies, model_candidate
from pipeline.policies.store import load_model
from pipeline.runs.gather import gather
from pipeline.runs.run import Run
from pipeline.runs.sweep import Sweep, read_sweep
from pipeline.scenarios.dataset import DatasetSource
from pipeline.tools.files import scratch, write_text

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


def compare(
    directory: str | PathLike[str],
    *,
    data: str | PathLike[str] | None = None,
    out: str | PathLike[str] | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Evaluates a finished sweep and writes ``comparison.{csv,md,html}``.

    Per-inventory rows go to ``evaluation/<name>.parquet`` (a method's median seed, or a
    baseline) and ``evaluation/<trial>.parquet`` (its other seeds).

    Args:
        directory: The sweep's folder.
        data: Judge it on this data set's later days instead; baselines stay those that were tuned
            on the sweep's own.
        out: Folder of that comparison; needed with ``data``.
        seed: Of the bootstrap.

    Returns:
        The table, one row per method and baseline (see
        :func:`~pipeline.comparison.columns.comparison_table`).

    Raises:
        ConfigError: The folder holds no finished sweep, or one that cannot play these data.
        DataError: Its data set is gone or damaged.
    """
    directory = Path(directory)
    trained = read_sweep(directory)
    sweep = trained
    if trained.elsewhere:
        trained = read_sweep(trained.trained_in)
    elif data is not None:
        assert out is not None
        directory = Path(out)
        sweep = trained.on(Path(data), directory)
    baselines = tuned_baselines(trained.source(), trained.directory, trained.objective)
    source = sweep.source()
    evaluated = evaluate_sweep(sweep, source, baselines)
    table = comparison_table(
        sweep, resample(evaluated.rows, seed), baselines.validation, evaluated.no_plan
    )
    caption = _caption(sweep, source)
    if sweep.elsewhere:
        found = input_shift(trained.source(), source)
        write_text(directory / SHIFT, found.to_csv(index=False))
        caption += f" {shift_in_words(found)}"
    write_frontiers(
        sweep, source, rule_curves(trained.source(), trained.directory, sweep.objective), seed=seed
    )
    for suffix, text in (
        ("csv", table.to_csv(index=False)),
        ("md", comparison_markdown(table, caption)),
        ("html", comparison_html(table, caption)),
    ):
        write_text(directory / f"comparison.{suffix}", text)
    return table


def compare_runs(
    runs: Sequence[str | PathLike[str]],
    data: str | PathLike[str],
    out: str | PathLike[str] | None = None,
    *,
    seed: int = 0,
) -> pd.DataFrame:
    """Compares runs that were trained one by one with each other and with the baselines.

    Args:
        runs: Runs, or their folders; of a method with several configurations the best on
            validation goes to test, and runs that differ in their seed alone count together.
        data: The data set that they were trained on, or its folder.
        out: Folder of the comparison, which is then like a sweep's: to be reported, and to decide
            with. None: one that goes when this process ends.
        seed: Of the bootstrap.

    Returns:
        As :func:`compare`.

    Raises:
        ConfigError: The runs do not go together, or with the data.
        DataError: A model or the data set is missing or damaged.
    """
    folder = scratch() / "comparison" if out is None else Path(out)
    found = [Run.read(run) for run in runs]
    sweep = gather(found, Path(data), folder)
    longest = load_model(sweep.trial(sweep.best_trial()) / "model").policy.layout.max_lead_time
    if sweep.source().max_lead_time != longest:
        raise ConfigError(
            "data", str(Path(data)), "Name the data set that the runs were trained on.",
            f"has other lead times (the models know {longest} days)",
        )  # fmt: skip
    # Tuned when the run was trained; used if they are of this data and objective.
    kept = found[0].directory / BASELINES_FILE
    if kept.exists():
        write_text(folder / BASELINES_FILE, kept.read_text())
    return compare(folder, seed=seed)


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
    blind = {n: folder / NO_PLAN / f"{n}.parquet" for n in rows if n != HINDSIGHT.name}
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
    days = "; ".join(
        f"{span.days('test').start} to {span.days('test').stop - 1}"
        + (f" of {span.name}" if manifest.spans else "")
        for span in source.panel.spans
    )
    metrics = " ".join(
        f"{metric.words.title}: {metric.words.unit}. {metric.words.meaning}" for metric in METRICS
    )
    sentences = [
        f"{manifest.num_inventories:,} inventories of {manifest.name}, test days {days} "
        "(later than all training days). A method's row is the mean over the seeds of "
        "its selected configuration.",
        starts_in_words(sweep),
        f"{metrics} {counting_in_words(manifest.weight_meaning)}.",
        "95 % intervals over inventories, weeks and seeds (column interval_note says what each "
        "holds). Perfect hindsight knows all demand: a lower bound, not a method.",
    ]
    return " ".join(filter(None, sentences))
