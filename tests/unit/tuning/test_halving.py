"""Successive halving: who goes on, whatever the order of events, and what is left to do."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path

import pytest

from envs.errors import ConfigError
from envs.objective import DEFAULT_OBJECTIVE
from pipeline.runs.config import RunConfig
from pipeline.runs.method import AlgorithmName
from pipeline.runs.result import RunResult
from tuning.halving import Bracket, value_at
from tuning.preset import Preset, load_preset
from tuning.trials import TrialPlan

ITERATIONS, EVERY = 45, 5
RUNGS = [(5, 4), (15, 2)]
Curve = Callable[[int], float]


def plans(directory: Path, count: int, method: str = "ds-base") -> list[TrialPlan]:
    algorithm, model = method.split("-")
    run = RunConfig(
        algorithm=AlgorithmName(algorithm), action_model=model,
        iterations=ITERATIONS, validate_every=EVERY,
    )  # fmt: skip
    keys = [run.key(number) for number in range(count)]
    return [TrialPlan(key, directory / key, run) for key in keys]


def train(trial: TrialPlan, curve: Curve, diverges_at: int | None = None) -> None:
    """What :class:`~pipeline.training.run.TrainingRun` leaves on the disk when it is trained."""
    trial.folder.mkdir(parents=True, exist_ok=True)
    stop = trial.until or trial.run.iterations
    if diverges_at is not None and diverges_at <= stop:
        stop = diverges_at
    validations = range(EVERY, stop + 1, EVERY)
    lines = [{"iteration": i, "seconds": random.random(), "cost": curve(i)} for i in validations]
    (trial.folder / "history.jsonl").write_text("".join(json.dumps(x) + "\n" for x in lines))
    best = min((line["cost"] for line in lines), default=0.0)
    result = RunResult("finished", {"cost": best}, iterations=stop, seconds=1.0)
    if stop == diverges_at:
        result.status = "diverged"
    if stop == diverges_at or stop == trial.run.iterations:
        result.write(trial.folder)
        return
    checkpoint = trial.folder / "checkpoint"
    checkpoint.mkdir(exist_ok=True)
    (checkpoint / "progress.json").write_text(json.dumps({"result": asdict(result), "best": best}))


def play(
    bracket: Bracket, curves: Mapping[str, Curve], order: random.Random, at_a_time: int = 1
) -> None:
    """Trains what is pending in any order, ``at_a_time`` trials between two questions."""
    while pending := bracket.pending():
        for trial in order.sample(pending, min(at_a_time, len(pending))):
            train(trial, curves[trial.key])


def outcome(trials: list[TrialPlan]) -> dict[str, tuple[str, int]]:
    results = {trial.key: RunResult.read(trial.folder) for trial in trials}
    return {key: (r.status, r.iterations) for key, r in results.items() if r is not None}


def test_the_best_go_on_and_ties_go_to_the_earlier(tmp_path: Path) -> None:
    trials = plans(tmp_path, 10)
    # c07, c09 tie at the first rung for the last place; the second rung turns the order around.
    first = [9.0, 2.0, 8.0, 1.0, 7.0, 3.0, 6.0, 4.0, 5.0, 4.0]
    later = {"ds-base-c07-s0": 0.5, "ds-base-c05-s0": 0.6, "ds-base-c01-s0": 0.7}
    curves: dict[str, Curve] = {
        t.key: (lambda i, t=t, c=c: c if i <= 5 else later.get(t.key, 9.0))  # type: ignore[misc]
        for t, c in zip(trials, first, strict=True)
    }
    stopped: list[str] = []
    bracket = Bracket("ds-base", trials, RUNGS, on_stop=lambda folder: stopped.append(folder.name))
    play(bracket, curves, random.Random(0))
    found = outcome(trials)
    assert {key for key, (status, _) in found.items() if status == "finished"} == {
        "ds-base-c05-s0", "ds-base-c07-s0"
    }  # fmt: skip
    assert {key for key, end in found.items() if end == ("stopped", 15)} == {
        "ds-base-c01-s0", "ds-base-c03-s0"
    }  # fmt: skip
    assert sum(end == ("stopped", 5) for end in found.values()) == 6
    assert sorted(stopped) == sorted(k for k, (status, _) in found.items() if status == "stopped")
    # Nobody goes on from a stopped trial's checkpoint, and they are large.
    assert {path.parent.name for path in tmp_path.glob("*/checkpoint")}.isdisjoint(stopped)


@pytest.mark.parametrize("at_a_time", [1, 2, 7])
def test_the_outcome_does_not_depend_on_the_order_of_events(tmp_path: Path, at_a_time: int) -> None:
    noise = random.Random(4)
    costs = {(n, i): noise.random() for n in range(10) for i in range(EVERY, 46, EVERY)}
    found = []
    for number in range(3):
        trials = plans(tmp_path / str(number), 10)
        curves: dict[str, Curve] = {
            t.key: (lambda i, n=n: costs[n, i])  # type: ignore[misc]
            for n, t in enumerate(trials)
        }
        play(Bracket("ds-base", trials, RUNGS), curves, random.Random(number), at_a_time)
        found.append(outcome(trials))
    assert found[0] == found[1] == found[2]
    assert (
        sorted(found[0].values())
        == [("finished", 45)] * 2 + [("stopped", 5)] * 6 + [("stopped", 15)] * 2
    )


def test_a_decision_is_the_same_when_it_is_made_again(tmp_path: Path) -> None:
    """The folder is read anew by the next command; what ran on meanwhile must not count."""
    trials = plans(tmp_path, 4)
    # c03 is worst at the rung, and is trained on by mistake of nobody: c00 gets worse later.
    curves: list[Curve] = [lambda i: i, lambda i: 6.0, lambda i: 7.0, lambda i: 50.0 - i]
    bracket = Bracket("ds-base", trials, [(5, 2)])
    for trial, curve in zip(bracket.pending(), curves, strict=True):
        train(trial, curve)
    assert [t.key for t in bracket.pending()] == ["ds-base-c00-s0", "ds-base-c01-s0"]
    train(trials[0], curves[0])
    assert [t.key for t in bracket.pending()] == ["ds-base-c01-s0"]
    # One that fails later has passed the rung, and nobody takes its place.
    RunResult("failed", iterations=17).write(trials[1].folder)
    assert bracket.pending() == []
    assert outcome(trials)["ds-base-c02-s0"] == ("stopped", 5)


def test_failed_trials_count_as_worst(tmp_path: Path) -> None:
    trials = plans(tmp_path, 5)
    curves: list[Curve] = [lambda i: 1.0, lambda i: 5.0, lambda i: 4.0, lambda i: 3.0]
    bracket = Bracket("ds-base", trials, [(5, 3)])
    pending = bracket.pending()
    train(pending[0], lambda i: 0.1, diverges_at=5)  # its last validation was the best of all
    train(pending[1], lambda i: float("nan"))
    train(pending[2], curves[2])
    train(pending[3], curves[3])
    assert [t.key for t in bracket.pending()] == ["ds-base-c04-s0"]  # all wait for the last one
    trials[4].folder.mkdir()
    RunResult("failed", cause="died").write(trials[4].folder)
    assert [t.key for t in bracket.pending()] == ["ds-base-c02-s0", "ds-base-c03-s0"]
    assert outcome(trials)["ds-base-c01-s0"] == ("stopped", 5)
    assert outcome(trials)["ds-base-c00-s0"][0] == "diverged"


def test_a_rung_judges_by_the_last_third(tmp_path: Path) -> None:
    (trial,) = plans(tmp_path, 1)
    train(trial, lambda i: {5: 0.01, 25: 3.0, 30: 4.0}.get(i, 2.0))
    assert value_at(trial.folder, 30, DEFAULT_OBJECTIVE) == 3.5
    assert value_at(trial.folder, 5, DEFAULT_OBJECTIVE) == 0.01
    assert value_at(trial.folder, 50, DEFAULT_OBJECTIVE) == float("inf")


def test_rungs_are_at_validations_before_the_end() -> None:
    quick = load_preset("quick")
    for run in quick.first_round().values():
        iterations = [iteration for iteration, _ in quick.rung_iterations(run)]
        assert len(iterations) == 2
        assert iterations == sorted(set(iterations))
        assert all(i % run.validate_every == 0 and i < run.iterations for i in iterations)
    run = RunConfig(algorithm="ds", action_model="base", iterations=6, validate_every=3)
    # The two fall together: the narrower counts.
    assert quick.rung_iterations(run) == [(3, min(rung.keep for rung in quick.rungs))]
    short = RunConfig(algorithm="ds", action_model="base", iterations=3, validate_every=3)
    assert quick.rung_iterations(short) == []
    assert load_preset("full").rungs == []


def test_the_quick_sweep_costs_what_its_comment_says(tmp_path: Path) -> None:
    trials = plans(tmp_path, 10)
    bracket = Bracket("ds-base", trials, RUNGS)
    assert bracket.remaining() == pytest.approx(10 / 9 + 8 / 9 + 4 / 3)
    assert Bracket("ds-base", trials).remaining() == 10
    assert Bracket("ds-base", trials[:2], RUNGS).remaining() == 2  # nobody would be stopped
    while pending := bracket.pending():
        before, part = bracket.remaining(), (pending[0].until or 45) - pending[0].progress
        train(pending[0], lambda i: 1.0)
        assert before - bracket.remaining() == pytest.approx(part / 45)
    assert bracket.remaining() == 0


@pytest.mark.parametrize(
    "rungs",
    [
        [{"share": 0.3, "keep": 4}, {"share": 0.1, "keep": 2}],
        [{"share": 0.1, "keep": 4}, {"share": 0.3, "keep": 4}],
        [{"share": 1.0, "keep": 4}],
        [{"share": 0.1, "keep": 0}],
    ],
)
def test_rungs_that_make_no_sense_are_refused(rungs: list[dict[str, float]]) -> None:
    with pytest.raises(ConfigError, match="rungs"):
        load_preset("quick", {"rungs": rungs})


def test_configurations_are_shared_by_the_action_models() -> None:
    preset: Preset = load_preset("quick")
    runs = preset.first_round()
    assert preset.configurations == 10
    for algorithm in preset.algorithms:
        for number in range(preset.configurations):
            same = [
                run.model_dump(exclude={"action_model"})
                for key, run in runs.items()
                if run.algorithm == algorithm and f"-c{number:02d}-" in key
            ]
            assert len(same) == 4
            assert all(one == other for one, other in itertools.pairwise(same))
    assert runs["ddpg-none-c00-s0"].training["lr"] != runs["ds-none-c00-s0"].training["lr"]
    only = preset.only(["ddpg-both"]).first_round()
    assert only == {key: runs[key] for key in only}
