"""What each refinement of forecast + safety stock brings: the baselines alone, side by side.

They are tuned on training inventories and played on validation inventories or later days; no
sweep is needed.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from envs.metrics import METRICS
from envs.objective import Objective
from pipeline.baselines.base import BASELINES
from pipeline.baselines.rules import HINDSIGHT, ForecastSafetyStock
from pipeline.baselines.tuned import tuned_baselines
from pipeline.evaluation.intervals import Sample, difference, interval, resample
from pipeline.evaluation.tiles import Candidate, evaluate_policies
from pipeline.scenarios.dataset import DatasetSource
from pipeline.scenarios.source import Split
from pipeline.tools.files import write_text

PLAIN = ForecastSafetyStock.name
"""What the others are compared with."""


def refinements(
    source: DatasetSource, split: Split, objective: Objective, out: Path, *, seed: int = 0
) -> pd.DataFrame:
    """Tunes all registered baselines, plays them, and writes ``refinements.{csv,md}``.

    Args:
        source: The data set.
        split: Which inventories and days are played.
        objective: What they are tuned for.
        out: Folder; what it holds of the same data is kept.
        seed: Of the bootstrap.

    Returns:
        One row per baseline, the bound last: its title, its metrics, and how each of them differs
        from that of forecast + safety stock (cost in percent), with 95 % intervals.
    """
    tuned = tuned_baselines(source, out, objective)
    files = {name: out / "evaluation" / f"{split}-{name}.parquet" for name in tuned.policies()}
    candidates = {
        files[name]: Candidate(policy_for, mark)
        for name, (policy_for, mark) in tuned.policies().items()
    }
    evaluate_policies(source, split, candidates)
    samples = resample({name: [path] for name, path in files.items()}, seed)
    table = pd.DataFrame([_row(name, samples) for name in samples])
    write_text(out / "refinements.csv", table.to_csv(index=False))
    write_text(out / "refinements.md", refinements_markdown(table))
    return table


def _row(name: str, samples: dict[str, Sample]) -> dict[str, object]:
    title = HINDSIGHT.title if name == HINDSIGHT.name else BASELINES.find(name).title
    row: dict[str, object] = {"baseline": name, "title": title}
    for metric in METRICS:
        row[metric.name] = interval(samples[name], metric.name).value
        found = difference(samples[name], samples[PLAIN], metric.name, percent=metric.relative)
        stem = f"{metric.stem}_vs_plain"
        row |= {stem: found.value, f"{stem}_low": found.low, f"{stem}_high": found.high}
    return row


def refinements_markdown(table: pd.DataFrame) -> str:
    """The table for people: each figure, and behind it the difference with its interval."""
    headings = [f"{metric.words.title}, {metric.words.unit}" for metric in METRICS]
    lines = [
        "| " + " | ".join(["Baseline", *headings]) + " |",
        "|---" * (1 + len(METRICS)) + "|",
    ]
    for _, row in table.iterrows():
        cells = [str(row["title"])]
        for metric in METRICS:
            cell = f"{row[metric.name]:{metric.words.form}}"
            if row["baseline"] != PLAIN:
                stem = f"{metric.stem}_vs_plain"
                low, high = row[f"{stem}_low"], row[f"{stem}_high"]
                cell += f" ({row[stem]:+.2f} [{low:+.2f}, {high:+.2f}]{'%' * metric.relative})"
            cells.append(cell)
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"
