"""Trains every method's configurations with Ray Tune; the same call again resumes.

The folder's layout is in :mod:`pipeline.runs.sweep`; Tune keeps its own files and
TensorBoard's events in ``SWEEP/tune``.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import yaml

from envs.errors import ConfigError, DataError
from pipeline.algorithms.build import build_config
from pipeline.data.playable import validate_inventories
from pipeline.features.forecast import DayFactors
from pipeline.runs.config import RunConfig
from pipeline.runs.method import Method
from pipeline.runs.selection import select
from pipeline.runs.sweep import (
    FORECAST,
    PRESET,
    SELECTION,
    Selected,
    Sweep,
    read_sweep,
    write_selection,
)
from pipeline.scenarios.dataset import DatasetSource
from pipeline.scenarios.source import ScenarioSource
from pipeline.scenarios.trajectories import StudyData
from pipeline.tools.files import write_yaml, writing
from tuning.preset import Preset
from tuning.stages import SweepStages
from tuning.trials import TrialPlan, forget_failures, train_trials


@dataclass(frozen=True)
class SweepPlan:
    """A sweep that has been checked and may start; see :func:`plan_sweep`."""

    preset: Preset
    source: ScenarioSource
    directory: Path
    first: Mapping[str, RunConfig]
    """Trial key -> the trials with seed 0."""


def plan_sweep(preset: Preset, data: Path | None, directory: Path) -> SweepPlan:
    """Checks everything that can be wrong with a sweep, then makes (or finds) its folder.

    Args:
        preset: What is to be trained.
        data: Data-set folder; None for a preset that names a setting of the study.
        directory: The sweep's folder.

    Raises:
        ConfigError: A key or value of the preset is wrong, or the folder holds another sweep.
        DataError: The data set is wrong.
    """
    directory = directory.resolve()
    source, data_directory = _source(preset, data, directory / FORECAST)
    first = preset.first_round()
    for run in first.values():
        build_config(run, source)  # a wrong key fails here, not trial by trial
    claim(preset, data_directory, directory)
    if isinstance(source, DatasetSource):
        source.factors.save(directory / FORECAST)
    return SweepPlan(preset, source, directory, first)


def _source(
    preset: Preset, data: Path | None, forecast: Path | None = None
) -> tuple[ScenarioSource, str]:
    """Where inventories come from, and the data set's folder ("" for a setting of the study)."""
    study = isinstance(preset.data, StudyData)
    if study != (data is None):
        raise ConfigError(
            "data", str(data or "(absent)"),
            "Leave --data out: the preset names a setting of the study." if study
            else "Name a data set with --data.",
            f"does not go with preset {preset.name}",
        )  # fmt: skip
    if isinstance(preset.data, StudyData):
        return preset.data.source(), ""
    assert data is not None
    data = data.resolve()
    factors = None
    if forecast is not None:
        with suppress(DataError):  # absent, or cut by a crash: the data gives the same again
            factors = DayFactors.load(forecast)
    source = DatasetSource(data, factors)
    validate_inventories(source.panel)
    return source, str(data)


@contextmanager
def preset_source(preset: Preset, data: Path | None) -> Iterator[ScenarioSource]:
    """A data set's inventories; of none, those that a preset's sweep would generate.

    Raises:
        ConfigError: ``data`` was given, and the preset names a setting of the study.
        DataError: The data set is wrong.
    """
    if data is not None or isinstance(preset.data, StudyData):
        yield _source(preset, data)[0]
        return
    with tempfile.TemporaryDirectory() as folder:
        preset.data.make(Path(folder) / "data")
        yield DatasetSource(Path(folder) / "data")


def run_sweep(
    plan: SweepPlan,
    *,
    retry_failed: bool = False,
    on_trial: Callable[[Path], None] = lambda folder: None,
) -> Sweep:
    """Trains what is not trained yet, then chooses each method's model on validation.

    Args:
        plan: From :func:`plan_sweep`.
        retry_failed: Forget failed and diverged trials of earlier sessions.
        on_trial: Called with the folder of every trial that has ended.
    """
    directory = plan.directory
    trials = directory / "trials"
    if retry_failed:
        forget_failures(trials.glob("*"))
    stages = SweepStages(
        plan.preset,
        plan.first,
        lambda key, run: TrialPlan(key, trials / key, run),
        on_trial,
    )
    train_trials(
        stages.pending, {"": plan.source}, directory, left=stages.remaining, on_trial=on_trial
    )
    selected = select({**plan.first, **stages.further()}, directory)
    write_selection(directory, with_earlier(selected, plan.preset, directory))
    return read_sweep(directory)


def with_earlier(
    selected: Mapping[Method, Selected], preset: Preset, directory: Path
) -> dict[Method, Selected]:
    """A selection with the methods that only earlier calls asked for, in the preset's order."""
    before = read_sweep(directory).selected if (directory / SELECTION).exists() else {}
    both = {**before, **selected}
    return {method: both[method] for method in preset.known_methods if method in both}


def claim(preset: Preset, data_directory: str, directory: Path) -> None:
    """Makes the folder, or checks that it belongs to the same plan and data."""
    plan = {"data_directory": data_directory, **preset.model_dump(mode="json")}
    path = directory / PRESET
    if path.exists():
        before = yaml.safe_load(path.read_text())
        changed = sorted(key for key in plan if plan[key] != before.get(key))
        # Further methods or seeds extend a sweep; anything else is another sweep.
        if set(changed) - {
            "description",
            "finalists",
            "methods",
            "seeds",
            "seeds_for",
            "other_seeds",
        }:
            raise ConfigError(
                "out", str(directory),
                "Choose another folder, or delete this one to start over.",
                f"holds a sweep that differs in {', '.join(changed)}",
            )  # fmt: skip
    with writing(directory):
        (directory / "trials").mkdir(parents=True, exist_ok=True)
        write_yaml(path, plan)
