"""Runs that were trained one by one, put together as a sweep in which nothing was searched.

What is compared, reported and decided with is then one thing, however it was trained.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from envs.errors import ConfigError
from pipeline.policies.store import load_data_model
from pipeline.runs.config import RunConfig, load_yaml
from pipeline.runs.method import TrialKey
from pipeline.runs.run import Run
from pipeline.runs.selection import select
from pipeline.runs.sweep import (
    FORECAST,
    PRESET,
    Sweep,
    read_sweep,
    write_selection,
)
from pipeline.tools.files import beside, remove, write_yaml, writing

GATHERED = "gathered"
"""Key of ``preset.yaml``: nobody has searched here."""
T = TypeVar("T")


def gather(runs: Sequence[Run], data: Path, out: Path) -> Sweep:
    """Makes the sweep's folder, with copies of the runs.

    Runs of a method that differ in their seeds alone are seeds of one configuration; of several
    configurations the best on validation goes to test, as in every sweep.

    Args:
        runs: Trained on ``data``, for one objective.
        data: The data set's folder.
        out: Folder to make. One that holds a gathering of the same runs is made again.

    Raises:
        ConfigError: There are no runs, one is given twice, they do not go together, or ``out``
            holds something else or cannot be written.
        DataError: A run's model cannot be read.
    """
    keys = trial_keys(runs)
    objective = _shared("objective", {str(k): run.config.objective for k, run in keys.items()})
    models = {str(key): load_data_model(run.directory / "model") for key, run in keys.items()}
    factors = _shared("forecaster", {key: model.factors for key, model in models.items()})
    _shared("layout", {key: model.policy.layout for key, model in models.items()})
    assert factors is not None  # load_data_model has looked
    _claim(out)
    preset = {
        "data_directory": str(data.resolve()), "name": out.name, "objective": objective,
        "configurations": 1 + max(key.configuration for key in keys), GATHERED: True,
    }  # fmt: skip
    with writing(out):
        write_yaml(out / PRESET, preset)
        remove(out / "trials")
        for key, run in keys.items():
            with beside(out / "trials" / str(key)) as partial:
                shutil.copytree(run.directory, partial)
        factors.save(out / FORECAST)
        write_selection(out, select({str(key): run.config for key, run in keys.items()}, out))
    return read_sweep(out)


def trial_keys(runs: Sequence[Run]) -> dict[TrialKey, Run]:
    """What the runs are called as trials.

    Raises:
        ConfigError: There are none, or one is there twice.
    """
    if not runs:
        raise ConfigError("runs", "[]", "Name at least one run.", "holds nothing to compare")
    configurations: dict[str, list[RunConfig]] = {}
    keys: dict[TrialKey, Run] = {}
    for run in runs:
        seedless = run.config.model_copy(update={"seed": 0})
        known = configurations.setdefault(run.method, [])
        if seedless not in known:
            known.append(seedless)
        key = TrialKey(run.method, known.index(seedless), run.config.seed)
        if key in keys:
            raise ConfigError(
                "runs", str(run.directory), "Leave it out, or train it with another seed.",
                f"is the same as {keys[key].directory}",
            )  # fmt: skip
        keys[key] = run
    return keys


def _shared(what: str, values: Mapping[str, T]) -> T:
    (first, value), *others = values.items()
    for name, other in others:
        if other != value:
            raise ConfigError(
                "runs", name, "Compare runs that were trained on one data set for one objective.",
                f"has another {what} than {first}",
            )  # fmt: skip
    return value


def _claim(out: Path) -> None:
    preset = out / PRESET
    ours = preset.exists() and load_yaml(preset).get(GATHERED)
    if not ours and (preset.exists() or (out / "trials").exists()):
        raise ConfigError(
            "out", str(out), "Choose another folder.", "holds a sweep that was trained there"
        )
