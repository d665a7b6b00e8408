"""``python -m pipeline bench classical``: how near the learners come to known optima.

Every run lies in a folder of its own; the same command trains what is missing, and nothing again
that was trained and scored in the same way.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import pandas as pd
import torch

from pipeline.evaluation.intervals import mean_interval
from pipeline.policies.store import load_model
from pipeline.studies.classical.cases import Case, Score
from pipeline.tools.files import write_csv, write_json, write_text
from pipeline.tools.spread import spread
from pipeline.training.run import TrainingRun
from pipeline.training.session import ray_session

SCORE = "score.json"


def bench_classical(
    cases: Sequence[Case], seeds: int, periods: int, out: Path, jobs: int = 1
) -> pd.DataFrame:
    """Trains and scores what is missing and makes the table.

    Args:
        cases: Rows.
        seeds: Runs per row.
        periods: Inventory-days that each policy is scored on, per problem.
        out: Keeps the runs, ``table.csv`` and ``table.md``.
        jobs: Runs at a time, one core each.

    Returns:
        One row per case; see :func:`row_of`.
    """
    runs = [(case, seed) for seed in range(seeds) for case in cases]
    missing = [run for run in runs if not _is_scored(out, *run, periods)]
    click.echo(f"{len(runs) - len(missing)} of {len(runs)} runs are there already.")
    with ray_session(jobs):
        done = spread(_train_and_score, (periods, out.resolve()), missing, retries=1)
        for number, ((case, seed), scores) in enumerate(done, 1):
            gap = mean_interval([score.gap_pct for score in scores]).value
            left = len(missing) - number
            click.echo(f"{case.key} seed {seed}: {gap:+.2f} %, {left} runs to go")
    for run in runs:
        if (status := _status(_score_file(out, *run))) != "finished":
            click.echo(f"{run[0].key} seed {run[1]} {status}: scored is its best model before.")
    table = pd.DataFrame(
        [row_of(case, [_read(_score_file(out, case, seed)) for seed in range(seeds)])
         for case in cases],
    )  # fmt: skip
    write_csv(out / "table.csv", table)
    write_text(out / "table.md", markdown(table))
    return table


def _train_and_score(asked: tuple[int, Path], run: tuple[Case, int]) -> list[Score]:
    return train_and_score(*run, *asked)


def train_and_score(case: Case, seed: int, periods: int, out: Path) -> list[Score]:
    """One run: trains it, plays its best model on fresh demand, writes ``score.json``."""
    torch.set_num_threads(1)
    file = _score_file(out, case, seed)
    training = TrainingRun(case.run(seed), case.source(), file.parent)
    start = time.process_time()
    while not training.done:
        training.step()
    seconds = time.process_time() - start
    training.close()
    scores = case.score(load_model(file.parent / "model").policy.decide, periods)
    content = {
        "cpu_s": seconds,
        "status": training.result.status,
        "asked": _asked(case, seed, periods),
        "scores": [asdict(score) for score in scores],
    }
    write_json(file, content, indent=1)
    return scores


def row_of(case: Case, runs: Sequence[tuple[float, list[Score]]]) -> dict[str, Any]:
    """A row of the table from a case's runs (CPU-seconds, scores per problem).

    ``gap_pct`` is the mean gap over problems and seeds, with Student's interval over seeds;
    ``worst_pct`` the largest gap of a problem (mean over seeds); ``error_pct`` the standard
    error that the test demand leaves on one gap; ``cpu_s`` the longest training.
    """
    per_seed = [sum(s.gap_pct for s in scores) / len(scores) for _, scores in runs]
    per_problem = [
        sum(scores[number].gap_pct for _, scores in runs) / len(runs)
        for number in range(len(runs[0][1]))
    ]
    cost = [
        sum(scores[number].cost for _, scores in runs) / len(runs)
        for number in range(len(runs[0][1]))
    ]
    gap = mean_interval(per_seed)
    cpu_s = max(seconds for seconds, _ in runs)
    below = all(c < s.base_stock for c, s in zip(cost, runs[0][1], strict=True))
    checks = [
        (case.limit_pct, gap.value),
        (case.limit_worst_pct, max(per_problem)),
        (case.limit_cpu_s, cpu_s),
    ]
    asked = [value <= limit for limit, value in checks if limit is not None]
    if case.below_base_stock:
        asked.append(below)
    return {
        "problem": case.title,
        "method": case.method.label,
        "cost": sum(cost) / len(cost),
        "gap_pct": gap.value,
        "gap_low": gap.low,
        "gap_high": gap.high,
        "limit_pct": case.limit_pct,
        "worst_pct": max(per_problem),
        "limit_worst_pct": case.limit_worst_pct,
        "all_below_base_stock": below if case.below_base_stock else None,
        "error_pct": max(100 * s.standard_error / s.optimum for _, ss in runs for s in ss),
        "cpu_s": cpu_s,
        "limit_cpu_s": case.limit_cpu_s,
        "seeds": len(runs),
        "met": ("yes" if all(asked) else "NO") if asked else "",
    }


def markdown(table: pd.DataFrame) -> str:
    """The table for people."""
    lines = [
        "| problem | method | cost | gap to the optimum, % (95 % over seeds) | must "
        "| worst problem, % | s.e. of the test, % | CPU-s | must | met |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in table.to_dict("records"):
        must = _number(row["limit_pct"], "≤ {:.2f}")
        if not pd.isna(row["limit_worst_pct"]):
            must += f", worst ≤ {row['limit_worst_pct']:.1f}, all below base stock"
        lines.append(
            f"| {row['problem']} | {row['method']} | {row['cost']:.4f} "
            f"| {row['gap_pct']:.2f} [{row['gap_low']:.2f}, {row['gap_high']:.2f}] | {must} "
            f"| {row['worst_pct']:.2f} | {row['error_pct']:.3f} | {row['cpu_s']:.0f} "
            f"| {_number(row['limit_cpu_s'], '≤ {:.0f}')} | {row['met']} |"
        )
    return "\n".join(lines) + "\n"


def _number(value: float | None, form: str) -> str:
    return "" if value is None or pd.isna(value) else form.format(value)


def _score_file(out: Path, case: Case, seed: int) -> Path:
    return out / f"{case.key}-s{seed}" / SCORE


def _asked(case: Case, seed: int, periods: int) -> dict[str, Any]:
    """What a score depends on, besides the program."""
    return {"run": case.run(seed).model_dump(mode="json"), "periods": periods}


def _is_scored(out: Path, case: Case, seed: int, periods: int) -> bool:
    file = _score_file(out, case, seed)
    if not file.exists():
        return False
    asked = _asked(case, seed, periods)
    same: bool = json.loads(file.read_text()).get("asked", asked) == asked
    return same


def _status(file: Path) -> str:
    status: str = json.loads(file.read_text()).get("status", "finished")
    return status


def _read(file: Path) -> tuple[float, list[Score]]:
    content = json.loads(file.read_text())
    return content["cpu_s"], [Score(**score) for score in content["scores"]]
