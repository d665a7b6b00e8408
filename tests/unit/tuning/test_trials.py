"""What Tune hands back after Ctrl-C is no failure."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.config import RunConfig
from pipeline.train import RunResult
from tuning import trials as module
from tuning.trials import TrialPlan, train_trials

RUN = RunConfig.model_validate({"algorithm": "ds", "action_model": "base"})


def hands_back(monkeypatch: pytest.MonkeyPatch, outcomes: list[Any]) -> None:
    """Makes Tune end at once with these outcomes."""
    tuner = SimpleNamespace(fit=lambda: outcomes)
    monkeypatch.setattr(module.tune, "Tuner", lambda *args, **kwargs: tuner)


def outcome(folder: Path, error: Exception | None) -> SimpleNamespace:
    return SimpleNamespace(config={"trial": {"directory": str(folder)}}, error=error)


def test_trials_that_were_interrupted_are_left_to_the_next_call(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cut, broken = tmp_path / "cut", tmp_path / "broken"
    never_started = SimpleNamespace(config=None, error=None)
    hands_back(
        monkeypatch,
        [outcome(cut, None), never_started, outcome(broken, RuntimeError("node\nlost"))],
    )
    plans = [TrialPlan(folder.name, folder, RUN) for folder in (cut, broken)]
    with pytest.raises(KeyboardInterrupt):
        train_trials(plans, {}, tmp_path)
    assert RunResult.read(cut) is None
    failed = RunResult.read(broken)
    assert failed is not None
    assert (failed.status, failed.cause) == ("failed", "lost")
