"""Trains every method's configurations with Ray Tune; the same call again resumes.

The folder's layout is in :mod:`pipeline.sweep_folder`; Tune keeps its own files and
TensorBoard's events in ``SWEEP/tune``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml
from ray import tune

from envs.errors import ConfigError
from pipeline.algorithms.build import build_config
from pipeline.config import RunConfig
from pipeline.data.panel import validate_inventories
from pipeline.forecast import DayFactors
from pipeline.sources import DatasetSource
from pipeline.sweep_folder import (
    FORECAST,
    PRESET,
    Selected,
    Sweep,
    read_sweep,
    write_selection,
)
from pipeline.train import RunResult
from tuning.preset import Preset, trial_key
from tuning.reporter import SweepReporter
from tuning.trial import MethodTrial

RETRIES = 2
"""Times that a trial is started again (from its checkpoint) when its process dies."""


@dataclass(frozen=True)
class SweepPlan:
    """A sweep that has been checked and may start; see :func:`plan_sweep`."""

    preset: Preset
    source: DatasetSource
    directory: Path
    first: Mapping[str, RunConfig]
    """Trial key -> the trials with seed 0."""


def plan_sweep(preset: Preset, data: Path, directory: Path) -> SweepPlan:
    """Checks everything that can be wrong with a sweep, then makes (or finds) its folder.

    Args:
        preset: What is to be trained.
        data: Data-set folder.
        directory: The sweep's folder.

    Raises:
        ConfigError: A key or value of the preset is wrong, or the folder holds another sweep.
        DataError: The data set is wrong.
    """
    data, directory = data.resolve(), directory.resolve()
    forecast = directory / FORECAST
    source = DatasetSource(data, DayFactors.load(forecast) if forecast.exists() else None)
    validate_inventories(source.panel)
    first = preset.first_round()
    for run in first.values():
        build_config(run, source)  # a wrong key fails here, not trial by trial
    _claim(preset, data, directory)
    if not forecast.exists():
        source.factors.save(forecast)
    return SweepPlan(preset, source, directory, first)


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
    _train(plan.first, plan.source, directory, retry_failed, on_trial)
    further = _further_seeds(plan.preset, plan.first, directory)
    _train(further, plan.source, directory, retry_failed, on_trial)
    write_selection(directory, _select({**plan.first, **further}, directory))
    return read_sweep(directory)


def _claim(preset: Preset, data: Path, directory: Path) -> None:
    """Makes the folder, or checks that it belongs to the same plan and data."""
    plan = {"data_directory": str(data), **preset.model_dump(mode="json")}
    path = directory / PRESET
    if path.exists():
        before = yaml.safe_load(path.read_text())
        changed = sorted(key for key in plan if plan[key] != before.get(key))
        # Further methods or seeds extend a sweep; anything else is another sweep.
        if set(changed) - {"description", "finalists", "methods", "seeds"}:
            raise ConfigError(
                "out", str(directory),
                "Choose another folder, or delete this one to start over.",
                f"holds a sweep that differs in {', '.join(changed)}",
            )  # fmt: skip
    try:
        (directory / "trials").mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(plan, sort_keys=False))
    except OSError as error:
        raise ConfigError(
            "out", str(directory), "Name a folder that can be written.",
            f"cannot be written ({error.strerror})",
        ) from None  # fmt: skip


def _train(
    runs: Mapping[str, RunConfig],
    source: DatasetSource,
    directory: Path,
    retry_failed: bool,
    on_trial: Callable[[Path], None],
) -> None:
    pending: list[dict[str, object]] = []
    for key, run in runs.items():
        folder = directory / "trials" / key
        result = RunResult.read(folder)
        if result is not None and retry_failed and result.status != "finished":
            (folder / "result.json").unlink()
            result = None
        if result is None:
            pending.append(
                {"key": key, "directory": str(folder), "run": run.model_dump(mode="json")}
            )
    if not pending:
        return
    done = len(runs) - len(pending)
    print(
        f"sweep: {len(pending)} trials to train"
        + (f", {done} of {len(runs)} are trained already" if done else ""),
        flush=True,
    )
    tuner = tune.Tuner(
        tune.with_resources(
            tune.with_parameters(MethodTrial, source=source), MethodTrial.default_resource_request
        ),
        param_space={"trial": tune.grid_search(pending)},
        tune_config=tune.TuneConfig(
            reuse_actors=True,
            trial_name_creator=lambda trial: trial.config["trial"]["key"],
            trial_dirname_creator=lambda trial: trial.config["trial"]["key"],
        ),
        run_config=tune.RunConfig(
            name="tune",
            storage_path=str(directory),
            verbose=0,
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            failure_config=tune.FailureConfig(max_failures=RETRIES),
            callbacks=[SweepReporter(len(runs), done, on_trial)],
        ),
    )
    for outcome in tuner.fit():
        folder = Path(outcome.config["trial"]["directory"])
        if RunResult.read(folder) is None:
            cause = str(outcome.error or "ended without a result").strip().splitlines()[-1]
            folder.mkdir(parents=True, exist_ok=True)
            RunResult("failed", cause=cause).write(folder)
            on_trial(folder)


def _further_seeds(
    preset: Preset, first: Mapping[str, RunConfig], directory: Path
) -> dict[str, RunConfig]:
    """The finalists' runs with seeds 1, 2, ..."""
    by_method: dict[str, list[tuple[float, str]]] = {}
    for key, run in first.items():
        result = RunResult.read(directory / "trials" / key)
        if result is not None and result.status == "finished":
            by_method.setdefault(run.method, []).append((result.validation["cost"], key))
    further: dict[str, RunConfig] = {}
    for costs in by_method.values():
        for _, key in sorted(costs)[: preset.finalists]:
            for seed in range(1, preset.seeds):
                run = first[key].model_copy(update={"seed": seed})
                further[trial_key(run, int(key.split("-c")[1].split("-")[0]))] = run
    return further


def _select(runs: Mapping[str, RunConfig], directory: Path) -> dict[str, Selected]:
    """Best mean over seeds on validation; of its seeds, the median one."""
    selected: dict[str, Selected] = {}
    for method in dict.fromkeys(run.method for run in runs.values()):
        keys = [key for key, run in runs.items() if run.method == method]
        results = {key: RunResult.read(directory / "trials" / key) for key in keys}
        ended = {key: result for key, result in results.items() if result is not None}
        costs: dict[str, dict[str, float]] = {}
        for key, result in ended.items():
            if result.status == "finished":
                costs.setdefault(key.rsplit("-s", 1)[0], {})[key] = result.validation["cost"]
        # A configuration is compared on as many seeds as the most tried one has, so that
        # a lucky single seed does not beat a mean over five.
        seeds = max((len(c) for c in costs.values()), default=0)
        means = {
            configuration: float(np.mean(list(by_seed.values())))
            for configuration, by_seed in costs.items()
            if len(by_seed) == seeds
        }
        trial, mean = None, None
        if means:
            best = min(means, key=means.__getitem__)
            mean = means[best]
            ordered = sorted(costs[best], key=costs[best].__getitem__)
            trial = ordered[(len(ordered) - 1) // 2]
        selected[method] = Selected(
            trial=trial,
            validation_cost=mean,
            configurations=len({key.rsplit("-s", 1)[0] for key in keys}),
            failed=sum(result.status != "finished" for result in ended.values()),
            seconds=sum(result.seconds for result in ended.values()),
            causes={k: r.cause for k, r in ended.items() if r.status != "finished"},
        )
    return selected
