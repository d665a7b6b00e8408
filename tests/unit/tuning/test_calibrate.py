"""Equal effort: which iterations come to the same CPU time, and when a preset is refused."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from envs.errors import ConfigError
from pipeline.tools import cpu_time
from pipeline.tools.cpu_time import CpuClock
from tuning import calibrate as module
from tuning.calibrate import Calibration, MethodCost, calibrate
from tuning.preset import load_preset

METHODS = ["ddpg-none", "ddpg-base", "ppo-base", "ds-base"]


def preset(tmp_path: Path, **iterations: int | str) -> Any:
    path = tmp_path / "mine.yaml"
    plans = ", ".join(f"{name}: {{iterations: {n}}}" for name, n in iterations.items())
    path.write_text(
        f"extends: quick\nalgorithms: {{{plans}}}\nmethods: {METHODS}\n"
        "action_models: [none, base]\n"
    )
    return load_preset(str(path)).only(METHODS)


COSTS = {
    "ddpg-none": MethodCost(iteration=0.4, validation=0.5),
    "ddpg-base": MethodCost(iteration=0.5, validation=0.5),
    "ppo-base": MethodCost(iteration=0.9, validation=0.4),
    "ds-base": MethodCost(iteration=0.3, validation=0.5),
}


def test_a_run_is_its_iterations_and_validations() -> None:
    assert MethodCost(2.0, 3.0).run(10, 5) == 26
    assert MethodCost(2.0, 3.0).run(11, 5) == 31  # the last iteration is validated too


def test_the_iterations_that_are_proposed_are_equal_effort(tmp_path: Path) -> None:
    uneven = Calibration(preset(tmp_path, ddpg=60, ppo=40, ds=150), COSTS)
    assert uneven.spread > 0.15
    with pytest.raises(ConfigError, match=r"iterations to ddpg {none: \d+, base: \d+}, ppo"):
        uneven.check()
    proposed = uneven.iterations()
    assert proposed["ddpg-none"] > proposed["ddpg-base"]
    texts = {
        name: text if name == "ddpg" else text.replace("}", ", none: 1}")
        for name, text in uneven.as_yaml().items()
    }
    equal = Calibration(preset(tmp_path, **texts), COSTS)
    assert {r.method: r.iterations for r in equal.preset.first_round().values()} == proposed
    assert equal.spread < 0.1
    equal.check()
    assert f"ddpg: {{iterations: {texts['ddpg']}}}" in uneven.table()
    doubled = uneven.iterations(2 * 40)
    once = uneven.iterations(40)
    assert all(abs(doubled[name] - 2 * once[name]) <= 1 for name in once)


def test_iterations_of_every_action_model_are_needed(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"ds\.iterations lacks base"):
        preset(tmp_path, ds="{none: 5}")
    with pytest.raises(ConfigError, match="iterations"):
        preset(tmp_path, ds="{none: 5, base: 0}")


def test_every_configuration_of_every_method_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured: list[str] = []

    def measure(run: Any, source: Any) -> tuple[float, float]:
        measured.append(run.method)
        return (float(len(measured)), 1.0)

    monkeypatch.setattr(module, "_measure", measure)
    source: Any = SimpleNamespace(num_tiles=lambda split: 0)
    found = calibrate(preset(tmp_path, ds=10), source, configurations=2)
    assert measured == METHODS * 2  # in turn, so that a busy machine meets all alike
    assert found.costs["ppo-base"] == MethodCost((3 + 7) / 2, 1.0)
    measured.clear()
    calibrate(preset(tmp_path, ds=10), source)
    assert len(measured) == 10 * len(METHODS)


def test_cpu_time_is_summed_over_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    own, remote = [10.0], {1: 5.0, 2: 7.0}
    monkeypatch.setattr(cpu_time, "_measure", lambda *_: (("here", 0), own[0]))
    algorithm = SimpleNamespace(
        env_runner_group=SimpleNamespace(
            num_remote_env_runners=lambda: 2,
            foreach_env_runner=lambda f, local_env_runner: [
                (("there", pid), seconds) for pid, seconds in remote.items()
            ],
        ),
        learner_group=SimpleNamespace(is_local=True),
    )
    clock = CpuClock(algorithm)
    own[0], remote[1], remote[2] = 11.0, 5.5, 7.25
    assert clock.lap() == 1.75
    del remote[2]
    remote[3] = 0.5  # a runner was restarted in a new process
    assert clock.lap() == 0.5
    assert clock.lap() == 0
