"""A sweep comes to the same whatever the number of CPUs, and however often it is interrupted."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import ray

from pipeline.runs.result import read_history
from pipeline.runs.sweep import Sweep
from tuning.preset import load_preset
from tuning.sweep import plan_sweep, run_sweep

pytestmark = pytest.mark.timeout(600)  # two sweeps
PRESET = """
extends: quick
configurations: 4
rungs: [{share: 0.2, keep: 3}, {share: 0.5, keep: 2}]
seeds: 2
action_models: [both, "tests.own_action_models:NearStock"]
methods: [ddpg-both, ds-near_stock]
algorithms:
  ddpg:
    iterations: 10
    validate_every: 1
    training: {hidden: [8], critic_hidden: [8], fragment_days: 40, updates_per_iteration: 3,
               critic_warm_up: 4, train_batch_size_per_learner: 64}
    search: {replay_fragments: {choice: [5]}}
  ds:
    iterations: 10
    validate_every: 1
    training: {hidden: [8], fragment_days: 30, updates_per_iteration: 2}
    search: {train_batch_size_per_learner: {choice: [32]}}
"""


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    """Two CPUs."""
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield
    ray.shutdown()


def without_times(figures: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in figures.items() if "seconds" not in name}


def all_of(sweep: Sweep) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Selection, results and histories, without times."""
    trials = sorted(path.parent for path in sweep.directory.glob("trials/*/result.json"))
    return (
        {method: without_times(asdict(choice)) for method, choice in sweep.selected.items()},
        {t.name: without_times(json.loads((t / "result.json").read_text())) for t in trials},
        {t.name: [without_times(line) for line in read_history(t)] for t in trials},
    )


def test_cpus_and_interruptions_change_nothing(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "tiny.yaml"
    path.write_text(PRESET)
    preset = load_preset(str(path))
    through = run_sweep(plan_sweep(preset, dataset, tmp_path / "through"))
    said = capsys.readouterr().out
    assert "ddpg-both: after iteration 2 of 10 " in said
    assert "of 4 go on" in said
    assert "[100 %]" in said

    @ray.remote(num_cpus=1)
    class Busy:
        def ready(self) -> bool:
            return True

    busy = Busy.remote()
    assert ray.get(busy.ready.remote())
    stopped: list[Path] = []

    def interrupt(folder: Path) -> None:
        """Ctrl-C at the first method's first rung, when others are being trained or wait."""
        stopped.append(folder)
        if len(stopped) == 1:
            os.kill(os.getpid(), signal.SIGINT)

    plan = plan_sweep(preset, dataset, tmp_path / "cut")
    with pytest.raises(KeyboardInterrupt):
        run_sweep(plan, on_trial=interrupt)
    assert len(list(plan.directory.glob("trials/*/result.json"))) < 8
    cut = run_sweep(plan_sweep(preset, dataset, tmp_path / "cut"))
    ray.kill(busy)

    selection, results, histories = all_of(through)
    again = all_of(cut)
    assert again[0] == selection
    assert again[1] == results
    for key, history in histories.items():
        assert again[2][key] == history, key
    for method, choice in selection.items():
        assert (choice["configurations"], choice["stopped"], choice["failed"]) == (4, 2, 0)
        own = [r for key, r in results.items() if key.startswith(f"{method}-c")]
        ends = sorted(r["iterations"] for r in own if r["status"] == "stopped")
        assert ends == [2, 5]
    # Seeds for DS's best method and for DDPG's, which is the reference too.
    assert len(selection["ddpg-both"]["trials"]) == len(selection["ds-near_stock"]["trials"]) == 2
    # What every trial cost in CPU time: not nothing, and no more than one core gave.
    for choice in through.selected.values():
        assert 0 < choice.cpu_seconds < 1.5 * choice.seconds
    assert not list(tmp_path.glob("*/trials/*/checkpoint"))
