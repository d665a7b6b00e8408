"""Measures a trained study on fresh test trajectories; everything shown comes from these tables.

``STUDY/measured/``: references.csv, trials.csv (all runs of the sweeps), horizon.csv,
growth.csv, critic.csv, q_error.csv, outputs.csv. Nothing is selected by test costs: they are
measured for all runs so that tables and figures can say how far validation can be trusted.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from envs.errors import ConfigError
from envs.problems.settings import SETTINGS
from pipeline.runs.method import TrialKey
from pipeline.runs.result import RunResult
from pipeline.runs.sweep import SELECTION
from pipeline.studies.synthetic.folder import StudyFolder
from pipeline.studies.synthetic.keys import CriticKey, GrowthKey, HorizonKey, RunKey
from pipeline.studies.synthetic.measuring.outputs import outputs_of
from pipeline.studies.synthetic.measuring.q_error import Q_ERROR
from pipeline.studies.synthetic.measuring.references import References
from pipeline.studies.synthetic.measuring.testing import TEST, play_runs
from pipeline.tools.files import write_csv
from pipeline.tools.progress import Progress


@dataclass(frozen=True)
class _Part:
    """Runs that are tested on one setting's trajectories."""

    setting: str
    runs: dict[str, Path]


def measure(directory: Path) -> None:
    """Tests every run of a study that has ended and writes ``measured/*.csv``.

    Runs that were tested before on the same trajectories are not played again.

    Raises:
        ConfigError: The folder holds no study, or one that has just begun.
    """
    folder = StudyFolder(directory)
    plan = folder.plan()
    settings = [s for s in SETTINGS if (folder.sweep(s) / SELECTION).exists()]
    if not settings:
        raise ConfigError(
            "study", str(directory), "Let `make study` run on first.",
            "has not selected any method's model yet",
        )  # fmt: skip
    horizon, growth = folder.trials("horizon"), folder.trials("growth")
    parts = [_Part(setting, folder.trials(setting)) for setting in settings]
    parts += [_Part("setting4", horizon)] if horizon else []
    parts += [
        _Part(s, {k: f for k, f in growth.items() if GrowthKey.parse(k).setting == s})
        for s in SETTINGS
        if any(GrowthKey.parse(key).setting == s for key in growth)
    ]
    references = References(folder, plan["test"]["trajectories"], plan["test"]["seed"])
    progress = Progress("test", sum(len(part.runs) for part in parts), "runs")
    for part in parts:
        play_runs(list(part.runs.values()), references.of(part.setting), progress.add)

    _write(folder, "references", references.table())
    _write(folder, "trials", pd.concat([_trials(folder, s) for s in settings]))
    _write(folder, "horizon", _keyed(horizon, HorizonKey))
    _write(folder, "growth", _keyed(growth, GrowthKey))
    critics = folder.trials("critic")
    _write(folder, "critic", _critic_losses(critics))
    _write(folder, "q_error", _q_errors(critics))
    best: dict[tuple[str, str], Path] = {
        (s, m.name): m / "best" for s in settings for m in _methods(folder.sweep(s))
    }
    _write(folder, "outputs", outputs_of(best, references))


def _methods(sweep: Path) -> list[Path]:
    return sorted(path.parent for path in sweep.glob("*/best") if (path / "model").exists())


def _write(folder: StudyFolder, name: str, table: pd.DataFrame) -> None:
    write_csv(folder.measured / f"{name}.csv", table)


def _tested(run: Path) -> dict[str, Any]:
    """Validation and test figures of a run; NaN where it has none."""
    result = RunResult.read(run)
    assert result is not None
    tested = json.loads((run / TEST).read_text()) if (run / TEST).exists() else {}
    return {
        "status": result.status,
        "seconds": result.seconds,
        "validation": result.validation.get("cost", np.nan),
        "test": tested.get("cost", np.nan),
        "test_error": tested.get("error", np.nan),
        "gap_pct": tested.get("gap_pct", np.nan),
        "gap_low": tested.get("gap_low", np.nan),
        "gap_high": tested.get("gap_high", np.nan),
    }


def _trials(folder: StudyFolder, setting: str) -> pd.DataFrame:
    """One row per run of a sweep; hyperparameters as JSON."""
    sweep = folder.sweep(setting)
    selection = json.loads((sweep / SELECTION).read_text())
    chosen = {choice["trial"] for choice in selection.values()}
    rows = []
    for key, run in folder.trials(setting).items():
        method, configuration, seed = TrialKey.parse(key)
        training = _training(run)
        rows.append(
            {
                "setting": setting, "key": key, "method": method,
                "algorithm": method.algorithm, "action_model": method.action_model,
                "configuration": configuration, "seed": seed, **_tested(run),
                "selected": key in chosen,
                "final": _configuration_of(selection[method]["trial"]) == configuration,
                "training": json.dumps(training),
            }
        )  # fmt: skip
    return pd.DataFrame(rows)


def _training(run: Path) -> dict[str, Any]:
    """A run's hyperparameters; empty if its process died before it wrote them."""
    path = run / "config.yaml"
    content: dict[str, Any] = yaml.safe_load(path.read_text()) if path.exists() else {}
    training: dict[str, Any] = content.get("training", {})
    return training


def _configuration_of(key: str | None) -> int | None:
    return TrialKey.parse(key).configuration if key else None


def _keyed(runs: dict[str, Path], kind: type[RunKey]) -> pd.DataFrame:
    """One row per run, with what its key says."""
    return pd.DataFrame([{**vars(kind.parse(key)), **_tested(run)} for key, run in runs.items()])


def _critic_losses(runs: dict[str, Path]) -> pd.DataFrame:
    """One row per iteration: updates so far and the critic's loss."""
    rows = []
    for key, run in runs.items():
        parts = vars(CriticKey.parse(key))
        updates = _training(run).get("updates_per_iteration", 1)
        losses = run / "losses.jsonl"
        for line in losses.read_text().splitlines() if losses.exists() else ():
            point = json.loads(line)
            rows.append(
                {
                    **parts, "updates": point["iteration"] * updates,
                    "critic_loss": point.get("critic_loss", np.nan),
                }
            )  # fmt: skip
    return pd.DataFrame(rows, columns=["setting", "action_model", "seed", "updates", "critic_loss"])


def _q_errors(runs: dict[str, Path]) -> pd.DataFrame:
    rows = []
    for key, run in runs.items():
        if (run / Q_ERROR).exists():
            rows.append({**vars(CriticKey.parse(key)), **json.loads((run / Q_ERROR).read_text())})
    return pd.DataFrame(rows)
