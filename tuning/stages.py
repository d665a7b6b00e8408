"""What a sweep trains: each method's configurations, then further seeds of the best."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from envs.objective import objective_of
from pipeline.runs.config import RunConfig
from pipeline.runs.method import REFERENCE, Method, TrialKey
from pipeline.runs.result import RunResult
from tuning.halving import Bracket
from tuning.preset import Preset
from tuning.trials import TrialPlan, remaining


@dataclass(frozen=True)
class SweepStages:
    """The trials of a sweep; what has happened is read from their folders."""

    preset: Preset
    first: Mapping[str, RunConfig]
    """Trial key -> the trials with seed 0."""
    plan: Callable[[str, RunConfig], TrialPlan]
    """Where a trial is trained, and on what."""
    on_stop: Callable[[Path], None] = field(default=lambda folder: None)
    """Called with the folder of every trial that is stopped at a rung."""

    def pending(self) -> list[TrialPlan]:
        """What may be trained now, the longest first; empty once all trials have ended.

        Method by method: of few methods at a time there are paused trials on the disk.
        """
        brackets = self._brackets()
        waiting = {method: bracket.pending() for method, bracket in brackets.items()}
        through = [method for method, trials in waiting.items() if not trials]
        further = [self.plan(key, run) for key, run in self.further(through).items()]
        return [
            *(trial for trial in further if not trial.ended),
            *(trial for trials in waiting.values() for trial in trials),
        ]

    def further(self, through: Sequence[Method] | None = None) -> dict[str, RunConfig]:
        """The finalists' runs with seeds 1, 2, ...

        Args:
            through: Methods whose configurations have all ended; None: all of them.
        """
        methods = list(dict.fromkeys(run.method for run in self.first.values()))
        through = methods if through is None else through
        ranked = {method: self._ranked(method) for method in methods if method in through}
        ranked = {method: found for method, found in ranked.items() if found}
        best = list(ranked)
        if self.preset.seeds_for == "best_methods":
            best = self._best_methods(methods, ranked, through)
        return {
            str(TrialKey.parse(key)._replace(seed=seed)): run
            for method, found in ranked.items()
            for _, key in found[: self.preset.finalists]
            for seed in range(1, self.preset.seeds if method in best else self.preset.other_seeds)
            for run in [self.first[key].model_copy(update={"seed": seed})]
        }

    def remaining(self) -> float:
        """Full trainings that are yet to come if none fails."""
        brackets = self._brackets()
        through = [method for method, bracket in brackets.items() if not bracket.remaining()]
        seeds = remaining(self.plan(key, run) for key, run in self.further(through).items())
        still = [method for method in brackets if method not in through]
        best = len(still)
        if self.preset.seeds_for == "best_methods":
            algorithms = {method.algorithm for method in still}
            best = min(best, len(algorithms) + (REFERENCE in still))
        others = (len(still) - best) * (self.preset.other_seeds - 1)
        seeds += self.preset.finalists * (best * (self.preset.seeds - 1) + others)
        return seeds + sum(bracket.remaining() for bracket in brackets.values())

    def _brackets(self) -> dict[Method, Bracket]:
        by_method: dict[Method, list[TrialPlan]] = {}
        for key, run in self.first.items():
            by_method.setdefault(run.method, []).append(self.plan(key, run))
        return {
            method: Bracket(
                method, trials, self.preset.rung_iterations(trials[0].run), self.on_stop
            )
            for method, trials in by_method.items()
        }

    def _ranked(self, method: str) -> list[tuple[float, str]]:
        """A method's finished trials with seed 0, the best on validation first; ties by key.

        The number before each key says how good it is, less being better.
        """
        objective = objective_of(self.preset.objective)
        results = {
            key: RunResult.read(self.plan(key, run).folder)
            for key, run in self.first.items()
            if run.method == method
        }
        return sorted(
            (objective.signed(result.validation[objective.metric]), key)
            for key, result in results.items()
            if result is not None and result.status == "finished"
        )

    def _best_methods(
        self,
        methods: Sequence[Method],
        ranked: Mapping[Method, list[tuple[float, str]]],
        through: Sequence[Method],
    ) -> list[Method]:
        """Each algorithm's best method, once all of its methods are through, and the reference."""
        best = {REFERENCE} & set(ranked)
        for algorithm in {method.algorithm for method in methods}:
            own = [method for method in methods if method.algorithm == algorithm]
            finished = [method for method in own if method in ranked]
            if finished and set(own) <= set(through):
                best.add(min(finished, key=lambda method: ranked[method][0][0]))
        return [method for method in methods if method in best]
