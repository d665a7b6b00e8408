"""Equal effort: what an iteration of each method costs, and how many come to the same CPU time."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from envs.errors import ConfigError
from pipeline.runs.config import RunConfig
from pipeline.runs.method import Method
from pipeline.scenarios.source import ScenarioSource
from pipeline.tools.cpu_time import CpuClock
from pipeline.training.run import TrainingRun
from tuning.preset import Preset

TOLERANCE = 0.15
"""By how much the dearest method may exceed the cheapest."""
WARM_UP, TIMED = 2, 3
"""Iterations of a configuration before and while time is taken."""


@dataclass(frozen=True)
class MethodCost:
    """CPU-seconds of one method; means over its configurations."""

    iteration: float
    """Training only."""
    validation: float
    """Of one."""

    def run(self, iterations: int, validate_every: int) -> float:
        """Of a full training."""
        validations = -(-iterations // validate_every)
        return iterations * self.iteration + validations * self.validation


@dataclass(frozen=True)
class Calibration:
    """What the methods of a preset cost, and what would be equal."""

    preset: Preset
    costs: Mapping[Method, MethodCost]
    """By method."""

    def run_seconds(self) -> dict[Method, float]:
        """CPU-seconds of a full training of each method, as the preset has it."""
        return {
            method: self.costs[method].run(run.iterations, run.validate_every)
            for method, run in self._runs().items()
        }

    def _runs(self) -> dict[Method, RunConfig]:
        return {run.method: run for run in self.preset.first_round().values()}

    @property
    def spread(self) -> float:
        """By how much the dearest method exceeds the cheapest, as a share."""
        seconds = self.run_seconds().values()
        return max(seconds) / min(seconds) - 1.0

    def iterations(self, budget: float | None = None) -> dict[Method, int]:
        """Iterations of each method at which it costs ``budget``.

        Args:
            budget: CPU-seconds of a full training; None: the mean of the preset's methods.
        """
        budget = float(np.mean(list(self.run_seconds().values()))) if budget is None else budget
        return {
            method: max(1, round(budget / (cost.iteration + cost.validation / run.validate_every)))
            for method, run in self._runs().items()
            for cost in [self.costs[method]]
        }

    def as_yaml(self, budget: float | None = None) -> dict[str, str]:
        """Algorithm -> its ``iterations``, as a preset has them."""
        by_algorithm: dict[str, list[str]] = {}
        for method, count in self.iterations(budget).items():
            counts = by_algorithm.setdefault(method.algorithm, [])
            counts.append(f"{method.action_model}: {count}")
        return {name: f"{{{', '.join(counts)}}}" for name, counts in by_algorithm.items()}

    def table(self, budget: float | None = None) -> str:
        """One line per method, and what would be equal; for the terminal."""
        runs, seconds = self._runs(), self.run_seconds()
        mean = float(np.mean(list(seconds.values())))
        lines = [
            f"{'method':12} {'CPU s/iteration':>15} {'s/validation':>12} {'iterations':>10} "
            f"{'CPU s':>7} {'vs mean':>8}"
        ]
        for method, cost in self.costs.items():
            lines.append(
                f"{method:12} {cost.iteration:15.3f} {cost.validation:12.3f} "
                f"{runs[method].iterations:10d} {seconds[method]:7.1f} "
                f"{100 * (seconds[method] / mean - 1):+7.0f}%"
            )
        lines.append(f"{mean if budget is None else budget:.1f} CPU-seconds each:")
        equal = self.as_yaml(budget).items()
        return "\n".join([*lines, *(f"  {name}: {{iterations: {n}}}" for name, n in equal)])

    def check(self) -> None:
        """Methods may be compared as equally trained.

        Raises:
            ConfigError: The dearest costs over :data:`TOLERANCE` more than the cheapest.
        """
        if self.spread > TOLERANCE:
            equal = ", ".join(f"{name} {n}" for name, n in self.as_yaml().items())
            raise ConfigError(
                "preset: iterations", self.preset.name, f"Set the iterations to {equal}.",
                f"trains its dearest method {100 * self.spread:.0f} % longer in CPU time than its "
                f"cheapest; {100 * TOLERANCE:.0f} % are allowed",
            )  # fmt: skip


def calibrate(
    preset: Preset,
    source: ScenarioSource,
    *,
    configurations: int | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> Calibration:
    """Measures every method of a preset in this process (a Ray must be there).

    Configuration by configuration, all methods in turn: how busy the machine is meets all alike.

    Args:
        preset: What is to be measured.
        source: Where inventories come from.
        configurations: The first so many of the design; None: all.
        say: Told how far it is.
    """
    runs = preset.first_round()
    methods = list(dict.fromkeys(run.method for run in runs.values()))
    count = min(configurations or preset.configurations, preset.configurations)
    for tile in range(source.num_tiles("train")):
        source.load("train", tile)  # read once per process, not once per trial
    iteration: dict[str, list[float]] = {method: [] for method in methods}
    validation: dict[str, list[float]] = {method: [] for method in methods}
    for number in range(count):
        for key, run in runs.items():
            if key == run.key(number):
                spent = _measure(run, source)
                iteration[run.method].append(spent[0])
                validation[run.method].append(spent[1])
        say(f"calibrate: {number + 1} of {count} configurations")
    costs = {
        method: MethodCost(float(np.mean(iteration[method])), float(np.mean(validation[method])))
        for method in methods
    }
    return Calibration(preset, costs)


def _measure(run: RunConfig, source: ScenarioSource) -> tuple[float, float]:
    """CPU-seconds of an iteration and of a validation."""
    timed = run.model_copy(
        update={"iterations": 10**6, "validate_every": 10**6, "checkpoint_every": 10**6}
    )
    with tempfile.TemporaryDirectory() as folder:
        training = TrainingRun(timed, source, Path(folder))
        try:
            for _ in range(WARM_UP):
                training.step()
            before = training.result.cpu_seconds
            for _ in range(TIMED):
                training.step()
            iteration = (training.result.cpu_seconds - before) / TIMED
            clock = CpuClock(training.algorithm)
            training.algorithm.evaluate()
            return iteration, clock.lap()
        finally:
            training.close()
