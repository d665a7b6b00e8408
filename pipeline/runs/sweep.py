"""What a finished sweep's folder holds; written by ``tuning``, read by comparison and reports.

SWEEP/preset.yaml           what was asked for, resolved, and ``data_directory``
SWEEP/forecast.json         the forecaster of all trials
SWEEP/trials/<key>/         one folder per trial (see pipeline.training.run)
SWEEP/selection.json        per method: the chosen trial, how many were tried and failed

A sweep's policies may be judged on another data set, in a folder of its own that holds copies of
all but the trials, and says in ``preset.yaml`` where these are (``trained_in``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import yaml

from envs.errors import ConfigError
from envs.objective import DEFAULT_OBJECTIVE, Objective, objective_of
from pipeline.features.forecast import DayFactors
from pipeline.runs.config import RunConfig
from pipeline.runs.method import Method
from pipeline.scenarios.dataset import DatasetSource
from pipeline.tools.files import write_json, write_text, write_yaml

SELECTION, PRESET, FORECAST = "selection.json", "preset.yaml", "forecast.json"


@dataclass(frozen=True)
class Selected:
    """What a method's trials came to."""

    trial: str | None
    """Key of the validation-median seed of the chosen configuration; None if no trial finished."""
    validation: float | None
    """The objective's figure on validation: mean over seeds of the chosen configuration."""
    configurations: int
    failed: int
    """Trials that failed or diverged."""
    seconds: float
    """Training time of all trials."""
    causes: dict[str, str]
    """Failed trial -> cause."""
    trials: list[str] = field(default_factory=list)
    """Keys of all seeds of the chosen configuration that finished; ``trial`` is one of them."""
    stopped: int = 0
    """Trials that were stopped at a rung, others being better."""
    cpu_seconds: float = 0.0
    """CPU time of all trials."""


@dataclass(frozen=True)
class Sweep:
    """A finished sweep."""

    directory: Path
    preset: Mapping[str, Any]
    """The resolved preset."""
    selected: Mapping[Method, Selected]
    """By method (``ddpg-both``)."""

    @property
    def trained_in(self) -> Path:
        """The folder in which it was trained; its own, unless it is judged on other data."""
        return Path(self.preset.get("trained_in") or self.directory)

    @property
    def elsewhere(self) -> bool:
        """It is judged on data that it was not trained on."""
        return self.trained_in != self.directory

    def trial(self, key: str) -> Path:
        """A trial's folder."""
        return self.trained_in / "trials" / key

    @property
    def objective(self) -> Objective:
        """What it was trained and selected for."""
        return objective_of(self.preset.get("objective", DEFAULT_OBJECTIVE))

    def best(self) -> tuple[Method, float] | None:
        """Method that validated best, and the objective's figure; None if no trial has finished."""
        figures = {
            method: choice.validation
            for method, choice in self.selected.items()
            if choice.trial is not None and choice.validation is not None
        }
        signed = self.objective.signed
        return min(figures.items(), key=lambda found: signed(found[1])) if figures else None

    def best_trial(self) -> str:
        """Key of the selected trial of the method that validated best.

        Raises:
            ConfigError: No trial has finished.
        """
        best = self.best()
        trial = None if best is None else self.selected[best[0]].trial
        if trial is None:
            raise ConfigError(
                "sweep", str(self.directory), "Look into trials/*/error.txt, and train again.",
                "holds no trial that finished",
            )  # fmt: skip
        return trial

    def seeds(self, method: Method) -> list[str]:
        """Keys of the trials that go to test: the median seed first, then the others."""
        choice = self.selected[method]
        if choice.trial is None:
            return []
        return [choice.trial, *(key for key in choice.trials if key != choice.trial)]

    def trials(self) -> dict[str, RunConfig]:
        """Trial key -> what was trained."""
        return {
            path.parent.name: RunConfig(**yaml.safe_load(path.read_text()))
            for path in sorted((self.trained_in / "trials").glob("*/config.yaml"))
        }

    def imitating(self) -> list[Method]:
        """Methods whose chosen policy started from what a rule orders."""
        started = {key for key, run in self.trials().items() if run.imitation_updates}
        return [method for method, choice in self.selected.items() if choice.trial in started]

    def source(self) -> DatasetSource:
        """The sweep's data, with the forecaster that its trials used.

        Raises:
            ConfigError: It was a sweep on a setting of the study, not on a data set.
        """
        if not self.preset["data_directory"]:
            raise ConfigError(
                "sweep", str(self.directory), "Use `python -m cluster study` for the study.",
                "was trained on a setting of the study, not on a data set",
            )  # fmt: skip
        source = DatasetSource(
            self.preset["data_directory"], DayFactors.load(self.directory / FORECAST)
        )
        if self.elsewhere:
            known = int(self.preset["max_lead_time"])
            if source.max_lead_time > known:
                raise ConfigError(
                    "data", str(source.directory), "Train with lead times as long as these.",
                    f"has lead times up to {source.max_lead_time} days, the policies know {known}",
                )  # fmt: skip
            source.max_lead_time = known
        return source

    def on(self, data: Path, out: Path) -> Sweep:
        """The same policies, to be judged on another data set; written to ``out``.

        Raises:
            ConfigError: ``out`` holds something else, or lead times are longer than the policies
                know.
            DataError: The data set is missing or wrong.
        """
        preset = {
            **self.preset,
            "data_directory": str(data.resolve()),
            "trained_in": str(self.trained_in.resolve()),
            "trained_on": self.preset.get("trained_on", self.preset["data_directory"]),
            "max_lead_time": self.source().max_lead_time,
        }
        if (out / PRESET).exists() and yaml.safe_load((out / PRESET).read_text()) != preset:
            raise ConfigError(
                "out", str(out), "Name another folder, or delete this one.",
                "holds another comparison",
            )  # fmt: skip
        other = Sweep(out, preset, self.selected)
        write_yaml(out / PRESET, preset)
        write_text(out / FORECAST, (self.directory / FORECAST).read_text())
        write_selection(out, self.selected)
        other.source()
        return other


def write_selection(directory: Path, selected: Mapping[Method, Selected]) -> None:
    """Marks a sweep as finished."""
    write_json(directory / SELECTION, {m: asdict(s) for m, s in selected.items()}, indent=1)


def read_sweep(directory: Path) -> Sweep:
    """A sweep whose trials have all ended.

    Raises:
        ConfigError: There is none in that folder.
    """
    path = directory / SELECTION
    if not path.exists():
        raise ConfigError(
            "sweep", str(directory),
            "Name a sweep's folder, and run `python -m tuning sweep` to its end first.",
            "holds no finished sweep",
        )  # fmt: skip
    selected = {}
    for method, choice in json.loads(path.read_text()).items():
        if "validation_cost" in choice:  # as it was called when cost was the only objective
            choice["validation"] = choice.pop("validation_cost")
        selected[Method(method)] = Selected(**choice)
    preset = yaml.safe_load((directory / PRESET).read_text())
    return Sweep(directory, preset, selected)
