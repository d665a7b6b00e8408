"""What Tune is told to train next, and what happens when it is interrupted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray.tune.search import Searcher

from pipeline.runs.config import RunConfig
from pipeline.runs.result import RunResult
from tuning import trials as module
from tuning.reporter import SweepReporter
from tuning.trials import TrialPlan, TrialQueue, forget_failures, not_ended, train_trials

RUN = RunConfig.model_validate({"algorithm": "ds", "action_model": "base", "iterations": 10})


def plans(directory: Path, *keys: str) -> list[TrialPlan]:
    return [TrialPlan(key, directory / key, RUN) for key in keys]


def end(trial: TrialPlan, result: RunResult | None = None) -> None:
    trial.folder.mkdir(exist_ok=True)
    (result or RunResult("finished")).write(trial.folder)


def test_the_next_trial_may_follow_from_another(tmp_path: Path) -> None:
    a, b, c = plans(tmp_path, "a", "b", "c")

    def pending() -> list[TrialPlan]:
        waiting = [trial for trial in (a, b) if not trial.ended]
        return waiting or [trial for trial in (c,) if not trial.ended]

    queue = TrialQueue(pending)
    assert queue.suggest("1")["trial"]["key"] == "a"
    assert queue.suggest("2")["trial"]["key"] == "b"
    assert queue.suggest("3") is None
    end(a)
    queue.on_trial_complete("1")
    assert queue.suggest("3") is None  # b is being trained: it is not given twice
    end(b)
    queue.on_trial_complete("2")
    assert queue.suggest("3")["trial"]["key"] == "c"
    queue.on_trial_complete("3", error=True)  # without a result: not given again
    assert queue.suggest("4") == Searcher.FINISHED


def test_a_trial_is_at_work_in_one_process_only(tmp_path: Path) -> None:
    (a,) = plans(tmp_path, "a")
    stages = [replace(a, until=5), a]
    queue = TrialQueue(lambda: stages)
    assert queue.suggest("1")["trial"]["until"] == 5
    assert queue.suggest("2") is None
    queue.on_trial_complete("1")
    assert queue.suggest("2")["trial"]["until"] is None


def fit(monkeypatch: pytest.MonkeyPatch, play: Callable[[], None]) -> None:
    """Makes Tune do this."""
    monkeypatch.setattr(module.tune, "Tuner", lambda *args, **kwargs: SimpleNamespace(fit=play))
    monkeypatch.setattr(module.ray, "cluster_resources", dict)


def test_trials_that_were_interrupted_are_left_to_the_next_call(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    done, cut = plans(tmp_path, "done", "cut")
    fit(monkeypatch, lambda: end(done))
    with pytest.raises(KeyboardInterrupt):
        train_trials(not_ended([done, cut]), {}, tmp_path, left=lambda: 1.0)
    fit(monkeypatch, lambda: end(cut))
    train_trials(not_ended([done, cut]), {}, tmp_path, left=lambda: 1.0)

    def must_not_run() -> None:
        raise AssertionError

    fit(monkeypatch, must_not_run)
    train_trials(not_ended([done, cut]), {}, tmp_path, left=lambda: 1.0)


def test_a_trial_whose_process_died_has_failed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ended: list[Path] = []
    reporter = SweepReporter(lambda: 2.0 - len(ended), ended.append)
    (plan,) = plans(tmp_path, "a")
    trial: Any = SimpleNamespace(
        trial_id="1", config={"trial": plan.parameters()}, error_file="error.txt",
        get_error=lambda: RuntimeError("node\nlost"),
    )  # fmt: skip
    reporter.on_trial_error(0, [], trial)
    failed = RunResult.read(plan.folder)
    assert failed is not None
    assert (failed.status, failed.cause) == ("failed", "lost")
    assert ended == [plan.folder]
    assert "[50 %] a failed; see error.txt" in capsys.readouterr().out


def test_only_failures_are_forgotten(tmp_path: Path) -> None:
    trials = plans(tmp_path, "a", "b", "c", "d", "e")
    for trial, status in zip(trials, ("finished", "failed", "diverged", "stopped"), strict=False):
        end(trial, RunResult(status))  # type: ignore[arg-type]
    forget_failures(trial.folder for trial in trials)
    assert [trial.ended for trial in trials] == [True, False, False, True, False]
