"""The columnar runner and the modules, without a Ray cluster."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from ray.rllib.core.columns import Columns

from envs.credit import governed_days
from envs.errors import ConfigError
from envs.metrics import metric_names
from envs.objective import day_cost
from envs.problems.settings import study_setting1
from envs.rollout import rollout
from envs.state import InventoryState
from pipeline.algorithms.build import build_config
from pipeline.algorithms.modules import WIDE, scenario_columns, scenario_from_columns
from pipeline.algorithms.runner import ShardRunner
from pipeline.evaluation.play import summarize_source
from pipeline.policies.action_models import ACTION_MODELS
from pipeline.runs.config import RunConfig
from pipeline.scenarios.dataset import DatasetSource
from pipeline.scenarios.given import GivenScenarios
from pipeline.scenarios.start import training_start

SMALL: dict[str, dict[str, Any]] = {
    "ddpg": {"hidden": [8], "critic_hidden": [8], "fragment_days": 40, "exploration_noise": 0.1,
             "updates_per_iteration": 3, "train_batch_size_per_learner": 50},
    "ppo": {"hidden": [8], "value_hidden": [8], "fragment_days": 40, "initial_std": 0.1,
            "train_batch_size_per_learner": 400, "minibatch_size": 100},
    "ds": {"hidden": [8], "fragment_days": 40, "updates_per_iteration": 2,
           "train_batch_size_per_learner": 30},
}  # fmt: skip
FIRST_ACTION = ACTION_MODELS.find("both").start
"""The unit of exploration, share of the action's range."""


def make_runner(
    source: DatasetSource, algorithm: str, *, worker: int = 0, workers: int = 0, seed: int = 1
) -> ShardRunner:
    run = RunConfig(
        algorithm=algorithm, action_model="both", training=SMALL[algorithm], seed=seed,
        num_env_runners=workers,
    )  # fmt: skip
    torch.manual_seed(0)  # networks start alike, as after a weight sync
    return ShardRunner(config=build_config(run, source), worker_index=worker, num_workers=workers)


def training_start_of(source: DatasetSource) -> InventoryState:
    return training_start(source.load("train", 0), torch.Generator().manual_seed(0))


def sample(runner: ShardRunner, iteration: int | None = None) -> dict[str, torch.Tensor]:
    (batch,) = runner.sample(iteration=iteration)
    return {name: torch.as_tensor(column) for name, column in batch.items()}


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


def test_a_replay_smaller_than_a_fragment_takes_a_part_of_it(source: DatasetSource) -> None:
    run = RunConfig(
        algorithm="ddpg",
        action_model="both",
        training=SMALL["ddpg"] | {"replay_capacity": 60},
    )
    runner = ShardRunner(config=build_config(run, source), worker_index=0, num_workers=0)
    rows = sample(runner)
    assert len(rows["weight"]) == 3 * 50
    assert runner.replay.size == 60
    # A part of each fragment's days, not its first or last decisions.
    assert len(runner.replay._columns["day"].unique()) > 10


def test_a_replay_holds_as_many_fragments_as_it_is_told(source: DatasetSource) -> None:
    run = RunConfig(
        algorithm="ddpg", action_model="both", training=SMALL["ddpg"] | {"replay_fragments": 3}
    )
    runner = ShardRunner(config=build_config(run, source), worker_index=0, num_workers=0)
    smallest = min(range(source.num_tiles("train")), key=lambda t: runner._tile(t).num_inventories)
    first = next(n for n in range(99) if runner._fragment(n)[0] == smallest)
    sizes, capacities = [], set()
    for number in range(first, first + 7):  # begins with the tile that is a part of one
        sample(runner, iteration=number)
        sizes.append(runner.replay.size)
        capacities.add(runner.replay.capacity)
    added = [b - a for a, b in itertools.pairwise([0, *sizes])][:3]
    assert 3 * max(added) <= sizes[-1] == capacities.pop() < 5 * max(added)
    assert not capacities


def test_so_many_decisions_of_a_fragment_are_kept(source: DatasetSource) -> None:
    """The others are played, and their alternatives are not."""
    training = SMALL["ddpg"] | {"replay_fragments": 3, "decisions_per_fragment": 100}
    run = RunConfig(algorithm="ddpg", action_model="both", training=training)
    runner = ShardRunner(config=build_config(run, source), worker_index=0, num_workers=0)
    for size in (100, 200, 300, 300):
        sample(runner)
        assert (runner.replay.size, runner.replay.capacity) == (size, 300)
    assert len(runner.replay._columns["day"].unique()) > 10


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
        played[worker] = [runner._fragment(number)[0] for number in range(2 * tiles)]
    shards = [set(numbers) for numbers in played.values()]
    assert set().union(*shards) == set(range(tiles))
    if workers <= tiles:
        assert sum(map(len, shards)) == tiles  # nobody plays another's tiles
    for numbers, shard in zip(played.values(), shards, strict=True):
        for first in range(0, 2 * tiles - len(shard) + 1, len(shard)):
            assert set(numbers[first : first + len(shard)]) == shard


def test_fragments_lie_inside_the_training_days(source: DatasetSource) -> None:
    runner = make_runner(source, "ppo")
    firsts = set()
    for number in range(30):
        tile, first, window, state = runner._fragment(number)
        whole = source.load("train", tile)
        assert window.num_days == 40
        assert torch.equal(window.demand, whole.demand[first : first + 40])
        assert state.on_hand.shape == (window.num_inventories,)
        firsts.add(first)
    assert min(firsts) >= 0
    assert max(firsts) <= 74 - 40
    assert len(firsts) > 10


def test_ppo_rows_hold_what_was_done_and_how_likely_it_was(source: DatasetSource) -> None:
    runner = make_runner(source, "ppo")
    rows = sample(runner, 0)
    assert {len(column) for column in rows.values()} == {400}
    assert rows[Columns.OBS].shape[1] == source.layout.size
    module = runner.module
    deviation = 0.1 * FIRST_ACTION
    with torch.no_grad():
        observation = source.layout.unflatten(rows[Columns.OBS])
        mean = module.policy.action(observation)
        torch.testing.assert_close(rows[Columns.ACTION_DIST_INPUTS][:, :5], mean)
        density = torch.distributions.Normal(mean, deviation)
        logp = density.log_prob(rows[Columns.ACTIONS]).sum(-1)
        torch.testing.assert_close(rows[Columns.ACTION_LOGP], logp, rtol=1e-4, atol=1e-4)
    spread = rows[Columns.ACTIONS] - mean
    assert spread.std().item() == pytest.approx(deviation, rel=0.1)


def test_ddpg_explores_around_the_policy_within_the_range(source: DatasetSource) -> None:
    """What was tried, the policy's own action and one farther from it."""
    runner = make_runner(source, "ddpg")
    rows = sample(runner, 0)
    assert {len(column) for column in rows.values()} == {150}
    actions, deviation = rows[Columns.ACTIONS], 0.1 * FIRST_ACTION
    assert actions.shape == (150, 3, 5)
    with torch.no_grad():
        own = runner.module.policy.action(source.layout.unflatten(rows[Columns.OBS]))
    assert (actions >= 0).all()
    assert (actions <= 1).all()
    torch.testing.assert_close(actions[:, 1], own)
    assert (actions[:, 0] - own).std().item() == pytest.approx(deviation, rel=0.15)
    assert (actions[:, 2] - own).std().item() == pytest.approx(WIDE * deviation, rel=0.15)
    assert rows["cost"].shape == (150, 3, 2)
    assert (rows["cost"] >= 0).all()
    assert rows[Columns.NEXT_OBS].shape == (150, 3, source.layout.size)


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


@pytest.mark.parametrize("count", [1, 4])
def test_as_many_alternatives_as_asked_for_are_kept(source: DatasetSource, count: int) -> None:
    run = RunConfig(
        algorithm="ddpg", action_model="base", training={**SMALL["ddpg"], "alternatives": count}
    )
    runner = ShardRunner(config=build_config(run, source), worker_index=0, num_workers=0)
    rows = sample(runner)
    assert rows[Columns.ACTIONS].shape == (150, 1 + count, 1)
    assert rows["cost"].shape == (150, 1 + count, 2)


def test_fragments_too_short_for_any_decision_are_refused(source: DatasetSource) -> None:
    run = RunConfig(
        algorithm="ddpg", action_model="both", training={**SMALL["ddpg"], "fragment_days": 1}
    )
    runner = ShardRunner(config=build_config(run, source), worker_index=0, num_workers=0)
    with pytest.raises(ConfigError, match="fragment_days"):
        sample(runner, 0)


def test_ddpg_plays_as_many_fragments_as_asked(source: DatasetSource) -> None:
    run = RunConfig(
        algorithm="ddpg", action_model="both",
        training={**SMALL["ddpg"], "fragments_per_iteration": 3},
    )  # fmt: skip
    runner = ShardRunner(config=build_config(run, source), worker_index=0, num_workers=0)
    sample(runner, 0)
    assert len(runner.replay._columns["tile"][: runner.replay.size].unique()) == 3


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


def test_a_window_survives_its_form_as_columns(random_problem: Any) -> None:
    for choices in (
        {"order_multiple": 2.0},
        {"random_lead_time": True, "random_fill": True, "backlog": True},
        {"expected": True, "order_multiple": "each"},
    ):
        scenario, state = random_problem(3, random_counted=True, order_max=11.0, **choices)
        columns = scenario_columns(scenario, state)
        assert {len(column) for column in columns.values()} == {scenario.num_inventories}
        again, stock = scenario_from_columns(columns, scenario.max_lead_time)
        assert torch.equal(stock.stack(), state.stack())
        for name, value in vars(scenario).items():
            other = getattr(again, name)
            assert torch.equal(value, other) if torch.is_tensor(value) else value == other, name


def test_ds_descends_the_cost_of_governed_days(source: DatasetSource) -> None:
    runner = make_runner(source, "ds")
    rows = sample(runner, 0)
    assert {len(column) for column in rows.values()} == {60}
    scenario, state = scenario_from_columns(rows, source.layout.max_lead_time)
    with torch.no_grad():
        played = rollout(scenario, runner.module.policy.decide, state)
        got = runner.module.forward_train(rows)["loss"]
    cost = day_cost(played.outcome, scenario.shortage_cost, scenario.holding_cost)
    _, governed = governed_days(scenario.review, scenario.lead_time, scenario.review_period)
    assert scenario.counted is not None
    assert not (scenario.counted & ~governed).any()
    assert (scenario.counted.sum(0) > 0).float().mean() > 0.9
    expected = (cost * scenario.counted).sum(0) / scenario.counted.sum(0).clamp(min=1)
    expected = expected / (scenario.holding_cost * scenario.scale[0])
    torch.testing.assert_close(got, expected)
    runner.module.forward_train(rows)["loss"].mean().backward()
    gradients = [p.grad for p in runner.module.policy.parameters()]
    assert all(g is not None and bool((g != 0).any()) for g in gradients)


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
            assert runner.replay.size == copies * 3 * 14
    if algorithm == "ppo":
        assert len(rows[1][Columns.OBS]) == 3 * 14
        actions = rows[5][Columns.ACTIONS]
        assert len(actions) == 5 * 3 * 14
        assert len(actions.unique()) == len(actions)
    if algorithm == "ds":
        assert not rows[5]["stock"].any()  # trajectories held in memory start empty
