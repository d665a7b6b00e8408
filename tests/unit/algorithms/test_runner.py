"""The columnar runner and the modules, without a Ray cluster."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
import torch
from ray.rllib.core.columns import Columns

from envs.metrics import metric_names
from envs.problems.settings import study_setting1
from envs.state import InventoryState
from pipeline.algorithms.build import build_config
from pipeline.algorithms.runner import ShardRunner
from pipeline.evaluation.play import summarize_source
from pipeline.runs.config import RunConfig
from pipeline.scenarios.dataset import DatasetSource
from pipeline.scenarios.given import GivenScenarios
from pipeline.scenarios.start import training_start
from tests.runners import SMALL, make_runner, sample


def training_start_of(source: DatasetSource) -> InventoryState:
    return training_start(source.load("train", 0), torch.Generator().manual_seed(0))


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    assert set(one) == set(other)
    return all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("algorithm", list(SMALL))
def test_a_sample_is_a_function_of_weights_shard_and_iteration(
    source: DatasetSource, algorithm: str
) -> None:
    """DDPG's rows come from a replay: there it holds for replays of one history."""
    rows = sample(make_runner(source, algorithm), iteration=3)
    state = torch.get_rng_state()
    fresh = make_runner(source, algorithm)
    torch.manual_seed(99)  # who asks, and when, does not matter
    before = torch.get_rng_state()
    assert same(rows, sample(fresh, iteration=3))
    assert torch.equal(torch.get_rng_state(), before)
    assert not torch.equal(before, state)
    assert not same(rows, sample(make_runner(source, algorithm), iteration=4))
    assert not same(rows, sample(make_runner(source, algorithm, seed=2), iteration=3))
    workers = [make_runner(source, algorithm, worker=w, workers=2) for w in (1, 2)]
    assert not same(*(sample(worker, iteration=3) for worker in workers))


def test_without_a_number_the_next_iteration_is_played(source: DatasetSource) -> None:
    counting, asked = make_runner(source, "ppo"), make_runner(source, "ppo")
    for iteration in range(2):
        assert same(sample(counting), sample(asked, iteration))
    sample(counting, iteration=7)
    assert same(sample(counting), sample(asked, iteration=8))


@pytest.mark.parametrize("workers", [0, 2, 8])
def test_every_tile_is_played_before_any_is_played_twice(
    source: DatasetSource, workers: int
) -> None:
    tiles = source.num_tiles("train")
    played: dict[int, list[int]] = {}
    for worker in range(1, workers + 1) if workers else [0]:
        runner = make_runner(source, "ppo", worker=worker, workers=workers)
        played[worker] = [runner.fragment(number)[0] for number in range(2 * tiles)]
    shards = [set(numbers) for numbers in played.values()]
    assert set().union(*shards) == set(range(tiles))
    if workers <= tiles:
        assert sum(map(len, shards)) == tiles  # nobody plays another's tiles
    for numbers, shard in zip(played.values(), shards, strict=True):
        for first in range(0, 2 * tiles - len(shard) + 1, len(shard)):
            assert set(numbers[first : first + len(shard)]) == shard


def test_all_runners_of_a_configuration_read_a_tile_once(
    source: DatasetSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RLlib copies a configuration for each; a sweep's trials have one source after the other."""
    own, opened = DatasetSource(source.directory), []
    read = own.panel.read
    monkeypatch.setattr(own.panel, "read", lambda *tile: opened.append(tile) or read(*tile))
    run = RunConfig(algorithm="ds", action_model="base", training=SMALL["ds"])
    config = build_config(run, own)
    for _ in range(2):
        runner = ShardRunner(config=config.copy(copy_frozen=False), worker_index=0, num_workers=0)
        for number in range(own.num_tiles("train")):
            runner.fragment(number)
    assert len(opened) == own.num_tiles("train") > 1


def test_fragments_lie_inside_the_training_days(source: DatasetSource) -> None:
    runner = make_runner(source, "ppo")
    firsts = set()
    for number in range(30):
        tile, first, window, state = runner.fragment(number)
        whole = source.load("train", tile)
        assert window.num_days == 40
        assert torch.equal(window.demand, whole.demand[first : first + 40])
        assert state.on_hand.shape == (window.num_inventories,)
        firsts.add(first)
    assert min(firsts) >= 0
    assert max(firsts) <= 74 - 40
    assert len(firsts) > 10


@pytest.mark.parametrize("first", [0.05, 0.4])
@pytest.mark.parametrize("algorithm", ["ddpg", "ppo"])
def test_exploration_is_counted_in_first_actions(
    source: DatasetSource, algorithm: str, first: float
) -> None:
    """Orders are a small part of a range in which levels lie in the middle."""
    training = {**SMALL[algorithm], "initial_action": first}
    run = RunConfig(algorithm=algorithm, action_model="none", training=training)
    torch.manual_seed(0)
    runner = ShardRunner(config=build_config(run, source), worker_index=0, num_workers=0)
    seen = source.load("train", 0).observe(5, training_start_of(source))
    with torch.no_grad():
        for parameter in runner.module.policy.net[-1].parameters():
            parameter.mul_(torch.tensor(0.0 if parameter.ndim == 2 else 1.0))
        tried = torch.cat([runner.module.explore(seen).columns[Columns.ACTIONS] for _ in range(9)])
    assert float(tried.mean()) == pytest.approx(first, rel=0.05)
    assert float(tried.std()) == pytest.approx(0.1 * first, rel=0.1)


@pytest.mark.parametrize("algorithm", list(SMALL))
def test_exploration_off_is_the_policy(source: DatasetSource, algorithm: str) -> None:
    runner = make_runner(source, algorithm)
    scenario = source.load("train", 0)
    state = training_start(scenario, torch.Generator().manual_seed(0))
    observation = scenario.observe(3, state)
    with torch.no_grad():
        out = runner.module.forward_inference({Columns.OBS: observation.flatten()})
        decision = runner.module.policy.decide(observation)
    torch.testing.assert_close(out[Columns.ACTIONS], decision.columns["action"])
    torch.testing.assert_close(out[Columns.ACTIONS_FOR_ENV], decision.order.unsqueeze(-1))


def test_evaluation_is_the_projects_evaluator(source: DatasetSource) -> None:
    run = RunConfig(algorithm="ds", action_model="both", training=SMALL["ds"])
    config = build_config(run, source).copy(copy_frozen=False)
    config.in_evaluation, config.split = True, "validation"
    runner = ShardRunner(config=config, worker_index=0, num_workers=0)
    with torch.no_grad():
        for parameter in runner.module.averaged.parameters():  # not the policy of the last update
            parameter.mul_(1.5)
    runner.sample()
    metrics = runner.get_metrics()
    expected, _, _ = summarize_source(source, "validation", runner.module.averaged.decide)
    for name in metric_names():
        assert float(np.asarray(metrics[name].peek())) == pytest.approx(expected[name])


@pytest.mark.parametrize("algorithm", list(SMALL))
def test_copies_of_a_few_trajectories_are_explored_differently(algorithm: str) -> None:
    few = GivenScenarios(
        {"train": [study_setting1(3, seed=1)], "validation": [study_setting1(2, seed=2)]}
    )
    rows = {}
    for copies in (1, 5):
        run = RunConfig(
            algorithm=algorithm, action_model="base",
            training={**SMALL[algorithm], "fragment_copies": copies},
        )  # fmt: skip
        torch.manual_seed(0)
        runner = ShardRunner(config=build_config(run, few), worker_index=0, num_workers=0)
        rows[copies] = sample(runner)
        if algorithm == "ddpg":
            assert runner.rows.replay.size == copies * 3 * 14
    if algorithm == "ppo":
        assert len(rows[1][Columns.OBS]) == 3 * 14
        actions = rows[5][Columns.ACTIONS]
        assert len(actions) == 5 * 3 * 14
        assert len(actions.unique()) == len(actions)
    if algorithm == "ds":
        assert not rows[5]["stock"].any()  # trajectories held in memory start empty


@pytest.mark.parametrize("algorithm", ["ddpg", "ppo", "ds"])
def test_what_a_runner_keeps_goes_with_it(source: DatasetSource, algorithm: str) -> None:
    """Not when Python next looks for circles: a process trains one trial after the other, and
    each would leave its replay behind."""
    runner = make_runner(source, algorithm)
    sample(runner, 0)
    kept = weakref.ref(runner), weakref.ref(runner.rows)
    gc.disable()
    try:
        del runner
        assert [left() for left in kept] == [None, None]
    finally:
        gc.enable()
