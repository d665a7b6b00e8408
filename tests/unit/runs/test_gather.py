"""Runs that were trained one by one become a sweep's folder, or a sentence says why not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from envs.errors import ConfigError
from pipeline.policies.action_models import make_action_model
from pipeline.policies.networks import PolicyNetwork
from pipeline.policies.store import save_model
from pipeline.runs.config import RunConfig
from pipeline.runs.gather import gather
from pipeline.runs.result import RunResult
from pipeline.runs.run import Run
from pipeline.runs.sweep import write_selection
from pipeline.scenarios.dataset import DatasetSource


class MakeRun:
    """Writes what training would."""

    def __init__(self, source: DatasetSource, folder: Path) -> None:
        self.source, self.folder = source, folder

    def __call__(self, name: str, cost: float, factors: Any = None, **config: Any) -> Run:
        folder, source = self.folder / name, self.source
        network = PolicyNetwork(source.layout, make_action_model("base", source.layout.basis), [4])
        save_model(folder / "model", network, factors or source.factors)
        run = RunConfig(algorithm="ds", action_model="base", **config)
        (folder / "config.yaml").write_text(yaml.safe_dump(run.model_dump(mode="json")))
        RunResult("finished", {"cost": cost}, 1, 1, 2.0).write(folder)
        return Run.read(folder)


@pytest.fixture
def make(source: DatasetSource, tmp_path: Path) -> MakeRun:
    return MakeRun(source, tmp_path)


def test_seeds_count_together_and_the_best_configuration_wins(
    make: MakeRun, source: DatasetSource, tmp_path: Path
) -> None:
    runs = [
        make("a", 3.0),
        make("b", 5.0, seed=1),
        make("c", 3.5, training={"lr": 0.1}),
        make("d", 3.6, seed=1, training={"lr": 0.1}),
    ]
    for _ in range(2):  # the same again makes the same again
        sweep = gather(runs, source.directory, tmp_path / "all")
    assert list(sweep.selected) == ["ds-base"]
    chosen = sweep.selected[runs[0].method]
    assert (chosen.configurations, chosen.failed, chosen.seconds) == (2, 0, 8.0)
    assert chosen.trials == ["ds-base-c01-s0", "ds-base-c01-s1"]
    assert chosen.validation == pytest.approx(3.55)
    assert sweep.trials()["ds-base-c01-s1"] == runs[3].config
    assert sweep.source().factors == source.factors
    fewer = gather(runs[:1], source.directory, tmp_path / "all")
    assert list(fewer.trials()) == ["ds-base-c00-s0"]


def test_what_does_not_go_together_is_refused(
    make: MakeRun, source: DatasetSource, tmp_path: Path
) -> None:
    run = make("a", 3.0)

    def refused(*runs: Run) -> str:
        with pytest.raises(ConfigError) as error:
            gather(runs, source.directory, tmp_path / "all")
        assert not (tmp_path / "all").exists()
        return str(error.value)

    assert "holds nothing to compare" in refused()
    assert f"is the same as {run.directory}" in refused(run, make("b", 4.0))
    factors = replace(source.factors, rates={"*": 9.0})
    assert "another forecaster than ds-base-c00-s0" in refused(run, make("c", 4.0, factors, seed=1))


@pytest.mark.parametrize("left", ["trials", "preset.yaml"])
def test_a_trained_sweep_is_not_written_over(
    make: MakeRun, source: DatasetSource, tmp_path: Path, left: str
) -> None:
    out = tmp_path / "sweep"
    (out / "trials" / "ds-base-c00-s0").mkdir(parents=True)
    if left == "preset.yaml":
        (out / "preset.yaml").write_text("name: quick")
        write_selection(out, {})
    with pytest.raises(ConfigError, match="holds a sweep that was trained there"):
        gather([make("a", 3.0)], source.directory, out)
    assert (out / "trials" / "ds-base-c00-s0").exists()


def test_a_folder_without_a_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no run that has ended"):
        Run.read(tmp_path)
