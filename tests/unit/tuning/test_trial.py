"""A trial that goes wrong becomes a result with its cause; what has ended is left alone."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from envs.objective import DEFAULT_OBJECTIVE
from pipeline.runs.result import RunResult
from tuning import trial as module
from tuning.trial import MethodTrial

RUN = {"algorithm": "ds", "action_model": "base", "iterations": 4}


class Labels:
    """Stands in for the actor of the dashboard's labels."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.run = SimpleNamespace(options=lambda name: self._method(f"run {name}"))
        self.end = self._method("end")

    def _method(self, name: str) -> SimpleNamespace:
        return SimpleNamespace(remote=lambda key: self.said.append(f"{name} {key}"))


class Broken:
    """A training run that fails in its third iteration."""

    objective = DEFAULT_OBJECTIVE

    def __init__(self, run: Any, source: Any, directory: Path) -> None:
        self.result = RunResult("finished", seconds=1.5)
        self.done = False

    def step(self) -> dict[str, float]:
        self.result.iterations += 1
        if self.result.iterations == 3:
            raise ValueError("no luck\nmore detail")
        return {"cost": 1.0} if self.result.iterations == 2 else {}

    def close(self) -> None:
        pass


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(module, "TrialLabels", SimpleNamespace(remote=Labels))

    def build(training: Any) -> MethodTrial:
        monkeypatch.setattr(module, "TrainingRun", training)
        trial = MethodTrial.__new__(MethodTrial)
        config = {"trial": {"key": "ds-base-c00-s0", "directory": str(tmp_path), "run": RUN}}
        trial.setup(config, sources={"": SimpleNamespace()})
        return trial

    return build


def test_a_trials_label_ends_with_it(start: Any) -> None:
    trial = start(Broken)
    trial.step()
    labels = trial._labels
    key = "ds-base-c00-s0"
    assert labels.said == [f"run {key} {key}"]
    for _ in range(2):
        trial.cleanup()
        assert labels.said[1:] == [f"end {key}"]


def test_trials_of_a_process_share_sources_and_labels(start: Any) -> None:
    trial = start(Broken)
    sources = trial.sources
    trial.step()
    labels = trial._labels
    config = {"trial": {"key": "ds-base-c01-s0", "directory": trial._directory, "run": RUN}}
    trial.reset_config(config)
    trial.setup(config, sources={"": SimpleNamespace()})  # as Tune's with_parameters does
    trial.step()
    assert trial.sources is sources
    assert trial._labels is labels


def test_a_step_ends_at_a_validation(start: Any) -> None:
    assert start(Broken).step() == {"cost": 1.0, "training_iteration": 2, "done": False}


def test_an_error_while_training_is_kept_with_its_cause(start: Any, tmp_path: Path) -> None:
    trial = start(Broken)
    trial.step()
    assert trial.step() == {"done": True}
    result = RunResult.read(tmp_path)
    assert result is not None
    assert (result.status, result.iterations, result.seconds) == ("failed", 3, 1.5)
    assert result.cause == "ValueError: no luck"
    assert "Traceback" in (tmp_path / "error.txt").read_text()


def test_an_error_at_the_start_is_kept_too(start: Any, tmp_path: Path) -> None:
    def refuse(*arguments: Any) -> None:
        raise RuntimeError("out of memory")

    assert start(refuse).step() == {"done": True}
    result = RunResult.read(tmp_path)
    assert result is not None
    assert result.cause == "RuntimeError: out of memory"


def test_a_trial_that_has_ended_is_not_trained_again(start: Any, tmp_path: Path) -> None:
    RunResult("finished", validation={"cost": 1.0}).write(tmp_path)

    def must_not_run(*arguments: Any) -> None:
        raise AssertionError

    assert start(must_not_run).step() == {"done": True}
    result = RunResult.read(tmp_path)
    assert result is not None
    assert result.status == "finished"


def test_a_trial_that_is_set_up_only_leaves_its_folder_alone(start: Any) -> None:
    """Tune starts a process, and gives the trial to another that comes free meanwhile."""
    opened: list[int] = []

    class Counted(Broken):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            opened.append(1)

    given_up, trains = start(Counted), start(Counted)
    assert opened == []
    trains.step()
    assert opened == [1]
    given_up.cleanup()
    assert opened == [1]
