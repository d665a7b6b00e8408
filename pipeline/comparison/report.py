"""One self-contained HTML of a compared sweep: answer, table, plots, and what was run."""

from __future__ import annotations

import base64
import platform
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from os import PathLike
from pathlib import Path
from typing import Any

import pandas as pd

from envs.metrics import METRICS, counting_in_words, listed, service_metrics
from pipeline.comparison.figures import FIGURES, render, write_plots
from pipeline.comparison.pages import page
from pipeline.comparison.results import (
    SweepResults,
    number,
    rounded,
    searched,
)
from pipeline.comparison.style import DARK
from pipeline.comparison.table import (
    COLUMNS,
    METRIC_COLUMNS,
    best_in_words,
    comparison_html,
    comparison_markdown,
    duration,
    shown_rows,
)
from pipeline.comparison.words import best_by, headline, starts_in_words, tiles
from pipeline.data.days import Span
from pipeline.runs.method import REFERENCE, Method
from pipeline.runs.sweep import SELECTION
from pipeline.scenarios.source import Split
from pipeline.tools.files import write_text

__all__ = ["comparison_html", "comparison_markdown", "write_report"]

PACKAGES = ("torch", "ray", "numpy", "pandas")


@dataclass(frozen=True)
class Picture:
    """A plot in the page: the same figure for light and for dark surroundings."""

    name: str
    light: str
    dark: str


@dataclass(frozen=True)
class Choice:
    """The configuration that a method goes to test with."""

    method: str
    trial: str
    validation: str
    best_iteration: str
    values: list[str]


@dataclass(frozen=True)
class Hyperparameters:
    """An algorithm's table of chosen configurations."""

    algorithm: str
    names: list[tuple[str, str]]
    """Hyperparameter, and the range that was searched (empty: it was fixed)."""
    choices: list[Choice]


def write_report(sweep_dir: str | PathLike[str]) -> Path:
    """Writes ``SWEEP/report.html`` and ``SWEEP/plots/*.png``.

    Args:
        sweep_dir: A sweep that ``compare`` has been through.

    Returns:
        The page's path.

    Raises:
        ConfigError: The sweep is not finished, or not compared yet.
    """
    sweep_dir = Path(sweep_dir)
    results = SweepResults.read(sweep_dir)
    light, dark = render(results), render(results, DARK)
    write_plots(light, sweep_dir / "plots")
    html = page(
        "report.html.j2",
        title=_title(results),
        date=_finished(sweep_dir),
        headline=headline(results),
        tiles=tiles(results),
        columns=COLUMNS,
        metric_columns=METRIC_COLUMNS,
        bold=best_in_words(),
        rows=shown_rows(results.table, _causes(results)),
        pictures={name: Picture(name, _inline(light[name]), _inline(dark[name])) for name in light},
        undrawn=[name for name in FIGURES if name not in light],
        run=_what_was_run(results),
        data=_data_facts(results),
        hyperparameters=_hyperparameters(results),
        failures=_failures(results),
        best_by=best_by(results),
        judged_by=results.judged_by,
        metrics=METRICS,
        service=listed(metric.words.name for metric in service_metrics()),
        counting=_counting(results),
        commands=_commands(results),
        versions=_versions(),
    )
    path = sweep_dir / "report.html"
    write_text(path, html)
    return path


def _inline(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode()


def _counting(results: SweepResults) -> str:
    manifest = results.manifest
    return counting_in_words(manifest.weight_meaning if manifest else "the data set's weight")


def _title(results: SweepResults) -> str:
    data = results.manifest.name if results.manifest else results.sweep.preset["data_directory"]
    return f"Replenishment policies compared: sweep {results.sweep.preset['name']} on {data}"


def _finished(directory: Path) -> str:
    """The day on which the last trial ended (UTC)."""
    when = datetime.fromtimestamp((directory / SELECTION).stat().st_mtime, UTC)
    return f"{when.day} {when:%B %Y}"


def _causes(results: SweepResults) -> dict[str, str]:
    """First cause of every method without a finished trial."""
    return {
        method: next(iter(selected.causes.values()), "")
        for method, selected in results.sweep.selected.items()
        if selected.trial is None
    }


def _failures(results: SweepResults) -> list[tuple[str, str, str]]:
    """Trial, what became of it, and cause."""
    status = {trial.key: trial.result.status for trial in results.trials}
    return [
        (key, status.get(key, "failed"), cause or "no cause was recorded")
        for selected in results.sweep.selected.values()
        for key, cause in selected.causes.items()
    ]


def _what_was_run(results: SweepResults) -> dict[str, str]:
    """The sweep's plan in words."""
    preset, selected = results.sweep.preset, results.sweep.selected.values()
    finalists, seeds = preset.get("finalists", 1), preset.get("seeds", 1)
    failed = sum(choice.failed for choice in selected)
    if seeds > 1:
        best = f"the best {finalists}" if finalists > 1 else "the best one"
        every = preset.get("seeds_for", "every_method") == "every_method"
        whose = "each method" if every else f"each algorithm's best method and of {REFERENCE.label}"
        seeding = (
            f"Every configuration is trained with seed 0, {best} of {whose} "
            f"again with {_span(seeds)}{_others(preset)}. The best mean over seeds on validation "
            "wins, and all its seeds go to test; the orders come from the median seed."
        )
    else:
        seeding = (
            "Every configuration is trained once, with seed 0, and the best on validation goes "
            "to test. How much a method varies from seed to seed is not known from this sweep."
        )
    tried = preset.get("configurations", 1)
    return {
        "Preset": f"{preset['name']}. {preset.get('description', '')}".strip(),
        "Methods": f"{len(selected)}, each tuned over {tried} "
        f"hyperparameter configuration{'s' if tried != 1 else ''}",
        "Trials": f"{len(results.trials)}, of which {failed} failed or diverged",
        **_halving(preset.get("rungs", [])),
        "Seeds": seeding,
        **({"Start": start} if (start := starts_in_words(results.sweep)) else {}),
        "Design": f"Latin hypercube over the search ranges, design seed {preset['design_seed']}"
        if "design_seed" in preset
        else "as the preset says",
        "Training time": f"{duration(sum(c.seconds for c in selected))} of wall-clock time, "
        f"{duration(sum(c.cpu_seconds for c in selected))} of CPU time, summed over trials "
        "(validation included)",
    }


def _halving(rungs: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """When configurations were stopped, in words; nothing if none was."""
    steps = [f"the best {rung['keep']} after {100 * rung['share']:.0f} %" for rung in rungs]
    if not steps:
        return {}
    return {
        "Early stopping": "Successive halving within each method, on validation: "
        + ", ".join(steps)
        + " of the iterations go on. Learning rates fall as if nobody stopped."
    }


def _others(preset: Mapping[str, Any]) -> str:
    """What the methods get that are not among the best."""
    seeds, best = preset.get("other_seeds", 1), preset.get("seeds_for") == "best_methods"
    return f" (that of the other methods with {_span(seeds)})" if best and seeds > 1 else ""


def _span(seeds: int) -> str:
    return "seed 1" if seeds == 2 else f"seeds 1 to {seeds - 1}"


def _data_facts(results: SweepResults) -> dict[str, str]:
    """The data set in words, from its manifest and the evaluated inventories."""
    manifest, facts = results.manifest, {}
    if manifest is None:
        facts["Data set"] = (
            f"{results.sweep.preset['data_directory']} (no longer there, or no longer readable: "
            "its manifest's facts are missing here)"
        )
    else:
        spans, multiple = manifest.all_spans, manifest.order_multiple
        facts = {
            "Data set": f"{manifest.name} (seed {manifest.seed})",
            "Source": manifest.source,
            "Inventories": f"{manifest.num_inventories:,} (one inventory is one SKU in one "
            "warehouse)",
            "Days": "; ".join(
                f"{span.num_days}, from {span.first_day} to {span.day(span.num_days - 1)}; the "
                f"first {span.history_days} only feed features"
                for span in spans
            ),
            "Training and validation": "; ".join(_dates(span, "train") for span in spans)
            + ", on different inventories",
            "Test": "; ".join(
                _dates(span, "test", ", later than all of training") for span in spans
            )
            + ", on all inventories",
            "Unmet demand": "owed and served later (backlog)" if manifest.backlog else "lost",
            "Orders": f"rounded to multiples of {multiple:g}" if multiple else "any quantity",
            "Weights": _counting(results),
        }
    rows = results.rows
    if len(rows):
        for title, column in (("Lead time", "lead_time"), ("Review period", "review_period")):
            days = rows[column]
            facts[title] = (
                f"{days.min():g} to {days.max():g} days, median {days.median():g}, "
                f"mean {days.mean():.1f}"
            )
    return facts


def _dates(span: Span, split: Split, note: str = "") -> str:
    days = span.days(split)
    return f"{span.day(days.start)} to {span.day(days.stop - 1)} ({len(days)} days{note})"


def _hyperparameters(results: SweepResults) -> list[Hyperparameters]:
    tables = []
    for algorithm, rows in results.methods.groupby("algorithm", sort=False):
        chosen = {
            method: results.sweep.selected[method].trial
            for method in map(Method, rows["name"])
            if results.sweep.selected[method].trial in results.runs
        }
        ranges = searched(results.sweep, str(algorithm))
        given: dict[str, None] = dict.fromkeys(ranges)
        for trial in chosen.values():
            given |= dict.fromkeys(results.runs[str(trial)].training)
        tables.append(
            Hyperparameters(
                str(algorithm).upper(),
                [("iterations", ""), *((name, ranges.get(name, "")) for name in given)],
                [_choice(results, method, str(trial), given) for method, trial in chosen.items()],
            )
        )
    return [table for table in tables if table.choices]


def _choice(results: SweepResults, method: Method, trial: str, given: Mapping[str, None]) -> Choice:
    run = results.runs[trial]
    own = next(t for t in results.trials if t.key == trial)
    siblings = [
        t.cost
        for t in results.trials
        if (t.method, t.configuration) == (own.method, own.configuration) and pd.notna(t.cost)
    ]
    validation = rounded(results.sweep.selected[method].validation or own.cost)
    if len(siblings) > 1:
        validation += f" ({rounded(min(siblings))} to {rounded(max(siblings))})"
    values: list[Any] = [run.iterations, *(run.training.get(name, "default") for name in given)]
    return Choice(
        method.label,
        trial,
        validation,
        f"{own.result.best_iteration}",
        [number(value) for value in values],
    )


def _commands(results: SweepResults) -> str:
    """The commands that make this report again."""
    preset, manifest = results.sweep.preset, results.manifest
    plan = preset.get("data") or {}
    lines = []
    if manifest is not None and plan == {
        "inventories": manifest.num_inventories,
        "days": manifest.num_days,
        "seed": manifest.seed,
    }:
        lines.append(
            f"python -m pipeline data make --inventories {plan['inventories']} "
            f"--days {plan['days']} --seed {plan['seed']} --out DATA"
        )
    else:
        lines.append(f"# DATA: the data set of this sweep, {preset['data_directory']}")
    lines.append(f"python -m tuning sweep --preset {preset['name']} --data DATA --out SWEEP")
    lines += ["python -m pipeline compare SWEEP", "python -m pipeline report SWEEP"]
    return textwrap.dedent("\n".join(lines))


def _versions() -> str:
    """Of the machine that writes the report."""
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return f"Python {platform.python_version()}, {packages}"
