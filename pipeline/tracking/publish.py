"""What of a sweep goes to MLflow: trials, table, plots, report and the best models."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import yaml

from envs.metrics import metric_names
from envs.objective import DEFAULT_OBJECTIVE, objective_of
from pipeline.comparison.columns import BASELINE
from pipeline.policies.store import load_model
from pipeline.runs.method import Method
from pipeline.runs.result import RunResult
from pipeline.runs.sweep import PRESET, Sweep
from pipeline.scenarios.dataset import DatasetSource
from pipeline.scenarios.start import evaluation_start
from pipeline.tools.progress import Progress
from pipeline.tracking.door import SweepRun

EXAMPLE_ROWS = 4


def publish_comparison(run: SweepRun, sweep: Sweep, table: pd.DataFrame) -> None:
    """Logs a compared sweep: table, report, plots, test costs and the best models.

    Doing it again changes nothing that is logged already.

    Args:
        run: Entered.
        sweep: Compared, with its report written.
        table: :func:`pipeline.comparison.compare.compare`'s.
    """
    source = sweep.source()
    manifest = source.panel.manifest
    run.log_params(
        {
            "preset": sweep.preset["name"],
            "data": manifest.name,
            "inventories": manifest.num_inventories,
            "days": manifest.num_days,
        }
    )
    run.log_text((sweep.directory / PRESET).read_text(), "preset.yaml")
    for key in sweep.trials():
        publish_trial(run, sweep.trial(key))
    run.log_table(table, "comparison.json")
    for name in ("comparison.csv", "comparison.md", "comparison.html", "report.html"):
        if (sweep.directory / name).exists():
            run.log_artifact(sweep.directory / name)
    for plot in sorted((sweep.directory / "plots").glob("*.png")):
        run.log_artifact(plot, "plots")
    example = example_inputs(source)
    progress = Progress("log models", len(sweep.selected), "models")
    for row in table.to_dict("records"):
        if row["action_model"] == BASELINE or pd.isna(row["cost"]):
            continue
        method = Method.of(row["algorithm"], row["action_model"])
        run.log_metrics(
            {f"test_{metric}/{method}": float(row[metric]) for metric in metric_names()}
        )
        trial = sweep.selected[method].trial
        assert trial is not None  # it has figures, so it has a model
        run.log_model(method, load_model(sweep.trial(trial) / "model").policy, example)
        progress.add(1)


def example_inputs(source: DatasetSource) -> np.ndarray:
    """[n, D] flat observations of the first review day of the first validation tile."""
    scenario = source.load("validation", 0)
    state = evaluation_start(scenario)
    with torch.no_grad():
        flat = scenario.observe(0, state).flatten()[:EXAMPLE_ROWS]
    return np.ascontiguousarray(flat.numpy())


def publish_trial(run: SweepRun, folder: Path, key: str | None = None) -> None:
    """Logs an ended trial's configuration, validation history and result.

    Args:
        run: Entered.
        folder: The trial's.
        key: Its name in the run; default: the folder's.
    """
    result = RunResult.read(folder)
    if result is None:
        return
    written = folder / "config.yaml"  # missing if the process died before it began
    config = yaml.safe_load(written.read_text()) if written.exists() else {}
    objective = objective_of(config.get("objective", DEFAULT_OBJECTIVE))
    history: dict[str, list[tuple[int, float]]] = {}
    path = folder / "history.jsonl"
    for line in path.read_text().splitlines() if path.exists() else ():
        point = json.loads(line)
        for metric in {*metric_names(), objective.metric} & point.keys():
            history.setdefault(f"validation_{metric}", []).append(
                (point["iteration"], point[metric])
            )
    final = {f"best_validation_{metric}": value for metric, value in result.validation.items()}
    run.log_trial(
        key or folder.name,
        config,
        history,
        {**final, "seconds": result.seconds, "cpu_seconds": result.cpu_seconds},
        result.status,
        result.cause or None,
    )
