"""Which of a method's trials goes to test: chosen on validation, by the sweep's objective."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from envs.objective import objective_of
from pipeline.runs.config import RunConfig
from pipeline.runs.method import Method, TrialKey
from pipeline.runs.result import RunResult
from pipeline.runs.sweep import Selected


def select(runs: Mapping[str, RunConfig], directory: Path) -> dict[Method, Selected]:
    """Best mean over seeds on validation; of its seeds, the median one.

    Of trials that were trained to their end: what was stopped at a rung had less of a chance.
    """
    selected: dict[Method, Selected] = {}
    for method in dict.fromkeys(run.method for run in runs.values()):
        keys = [key for key, run in runs.items() if run.method == method]
        results = {key: RunResult.read(directory / "trials" / key) for key in keys}
        ended = {key: result for key, result in results.items() if result is not None}
        objective = objective_of(runs[keys[0]].objective)  # a sweep has one
        figures: dict[str, dict[str, float]] = {}
        for key, result in ended.items():
            if result.status == "finished":
                of_seeds = figures.setdefault(TrialKey.parse(key).configured, {})
                of_seeds[key] = result.validation[objective.metric]
        # A configuration is compared on as many seeds as the most tried one has, so that
        # a lucky single seed does not beat a mean over five.
        seeds = max((len(c) for c in figures.values()), default=0)
        means = {
            configuration: float(np.mean(list(by_seed.values())))
            for configuration, by_seed in figures.items()
            if len(by_seed) == seeds
        }
        trial, mean, seeds_of_best = None, None, []
        if means:
            best = min(means, key=lambda configuration: objective.signed(means[configuration]))
            mean, of_best = means[best], figures[best]
            ordered = sorted(of_best, key=lambda key: objective.signed(of_best[key]))
            trial = ordered[(len(ordered) - 1) // 2]
            seeds_of_best = sorted(of_best)
        selected[method] = Selected(
            trial=trial,
            validation=mean,
            configurations=len({TrialKey.parse(key).configured for key in keys}),
            failed=sum(result.failed for result in ended.values()),
            seconds=sum(result.seconds for result in ended.values()),
            causes={k: r.cause for k, r in ended.items() if r.failed},
            trials=seeds_of_best,
            stopped=sum(result.status == "stopped" for result in ended.values()),
            cpu_seconds=sum(result.cpu_seconds for result in ended.values()),
        )
    return selected
