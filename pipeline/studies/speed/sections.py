"""Rates: dynamics, rollouts, training steps, and end to end through RLlib."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.policy.sample_batch import MultiAgentBatch, SampleBatch

from envs.objective import day_cost
from envs.rollout import rollout, rollout_metrics
from envs.state import InventoryState, Scenario
from pipeline.algorithms.adjoint import TrainingRollout
from pipeline.algorithms.build import ALGORITHMS, build_config
from pipeline.algorithms.ddpg import actor_loss_of, critic_loss_of
from pipeline.algorithms.gradients import target_size
from pipeline.algorithms.runner import ShardRunner
from pipeline.runs.config import RunConfig
from pipeline.runs.method import AlgorithmName
from pipeline.scenarios.source import ScenarioSource
from pipeline.studies.speed import problems
from pipeline.studies.speed.limits import Limits
from pipeline.studies.speed.stock import stock_runner
from pipeline.studies.speed.timing import Row, Work, take_turns

MILLION = 1_000_000
DEMAND, OUTCOMES = 4.0, 16.0
"""Bytes of an inventory-day: demand; order, sales, unmet demand and end inventory."""


def dynamics(limits: Limits, rounds: int = 5, n: int = MILLION, days: int = 56) -> list[Row]:
    """Orders that are given, L = 4, lost sales: nothing but the inventory balance."""
    shared = problems.scenario(n, days, features=0)
    mixed = problems.scenario(n // 4, days, lead=14, features=0, mixed_leads=True)
    tile = problems.scenario(8192, days, features=0)
    small = problems.scenario(2048, days, features=0)
    work = {
        f"metrics of {n:,}, one lead time": metrics_only(shared),
        f"metrics of {n:,}, one lead time, compiled": metrics_only(shared, compiled=True),
        f"metrics of {n // 4:,}, lead times 0-14": metrics_only(mixed),
        "trajectory of a tile of 8,192": Work(_trajectory(tile), bytes_moved=DEMAND + OUTCOMES),
        "day by day with gradients, a tile of 2,048": with_gradients(small),
    }
    return take_turns("dynamics", work, limits, rounds=rounds)


def metrics_only(given: Scenario, *, compiled: bool = False) -> Work:
    """Plays constant orders; only demand has to come from main memory."""
    orders = problems.constant_order(given)

    def play() -> int:
        rollout_metrics(given, orders, compiled=compiled)
        return given.demand.numel()

    return Work(play, bytes_moved=DEMAND)


def _trajectory(given: Scenario) -> Callable[[], int]:
    orders = problems.constant_order(given)

    @torch.no_grad()
    def play() -> int:
        rollout(given, orders)
        return given.demand.numel()

    return play


def with_gradients(given: Scenario) -> Work:
    """The same orders on the path that DS takes: every result is a new tensor."""
    orders = problems.constant_order(given)

    def play() -> int:
        with torch.enable_grad():
            rollout(given, orders)
        return given.demand.numel()

    return Work(play)


def rollouts(limits: Limits, rounds: int = 5, n: int = 32_768, days: int = 28) -> list[Row]:
    """[64, 64], 20 features, everyone reviewed daily (or every fourth day), L = 4."""
    daily = problems.scenario(n, days)
    fourth = problems.scenario(n, days, review_period=4)
    work = {
        "base, reviewed daily": with_policy(daily, "base"),
        "both, reviewed daily": with_policy(daily, "both"),
        "proj, reviewed daily": with_policy(daily, "proj"),
        "both, reviewed every 4 days": with_policy(fourth, "both"),
    }
    return take_turns("rollout", work, limits, rounds=rounds)


def with_policy(given: Scenario, kind: str) -> Work:
    """Plays a policy network for the metrics."""
    policy = problems.policy(given, kind)

    def play() -> int:
        rollout_metrics(given, policy.decide)
        return given.demand.numel()

    share = float(given.review.float().mean())
    flops = share * problems.forward_flops(given.layout, policy.action_model.outputs)
    return Work(play, flops=flops)


def training(limits: Limits, rounds: int = 5) -> list[Row]:
    """One update of each algorithm on [64, 64]; DS also without RLlib, by minibatch."""
    source = problems.in_tiles(2048, 56, 2)
    layout = source.layout
    per_day = problems.training_flops(layout)
    simulated = {
        f"ds, bare torch, {n:,} inventories": Work(_bare_ds(n), flops=per_day)
        for n in (256, 1024, 4096, 8192)
    } | {
        "ds, RLlib learner, 1,024 inventories": Work(
            _learner(source, AlgorithmName.DS, 1024, per_row=56), flops=per_day
        ),
    }
    decided = {
        f"{name}, RLlib learner, batches of {rows:,}": Work(_learner(source, name, rows))
        for name in (AlgorithmName.DDPG, AlgorithmName.PPO)
        for rows in (1024, 8192)
    }
    decided["ddpg, bare torch, batches of 8,192"] = Work(_bare_ddpg(source, 8192))
    return [
        *take_turns("training", simulated, limits, rounds=rounds),
        *take_turns("training", decided, limits, rounds=rounds, unit="transitions"),
    ]


def _bare_ds(n: int) -> Callable[[], int]:
    given = problems.scenario(n, 56)
    policy = problems.policy(given)
    optimizer = torch.optim.Adam(list(policy.parameters()), fused=True)
    training_rollout = TrainingRollout(policy)
    empty = InventoryState.empty(n, problems.LEAD, like=given.demand)

    def play() -> int:
        outcome = training_rollout(given, empty)
        day_cost(outcome, given.shortage_cost, given.holding_cost).mean().backward()
        optimizer.step()
        optimizer.zero_grad()
        return given.demand.numel()

    return play


def _config(source: ScenarioSource, algorithm: AlgorithmName, **training: Any) -> Any:
    run = RunConfig(algorithm=algorithm, action_model="base", training=training)
    return build_config(run, source)


def _learner(
    source: ScenarioSource, algorithm: AlgorithmName, rows: int, per_row: int = 1
) -> Callable[[], int]:
    once = {
        "train_batch_size_per_learner": rows, "minibatch_size": rows, "updates_per_iteration": 1,
    }  # fmt: skip
    known = ALGORITHMS.find(algorithm).declared
    settings = {name: value for name, value in once.items() if name in known}
    config = _config(source, algorithm, hidden=list(problems.HIDDEN), **settings)
    runner = ShardRunner(config=config, worker_index=0, num_workers=0)
    learner = config.build_learner(spaces=runner.get_spaces())
    (columns,) = runner.sample()
    batch = MultiAgentBatch({DEFAULT_MODULE_ID: SampleBatch(columns)}, env_steps=rows)

    def play() -> int:
        learner.update(batch=batch, minibatch_size=rows, num_epochs=1)
        return rows * per_row

    return play


def _bare_ddpg(source: ScenarioSource, rows: int) -> Callable[[], int]:
    """The arithmetic of ``DDPGLearner`` without RLlib around it: what the learner adds is seen."""
    config = _config(
        source,
        AlgorithmName.DDPG,
        train_batch_size_per_learner=rows,
        updates_per_iteration=1,
        hidden=list(problems.HIDDEN),
    )
    runner = ShardRunner(config=config, worker_index=0, num_workers=0)
    module = config.get_rl_module_spec(spaces=runner.get_spaces(), inference_only=False).build()
    module.make_target_networks()
    (batch,) = runner.sample()
    columns = {name: torch.as_tensor(column) for name, column in batch.items()}
    networks = (module.policy, module.critic)
    parameters = [list(network.parameters()) for network in networks]
    optimizers = [torch.optim.Adam(group, fused=True) for group in parameters]
    pairs = [
        (list(target.parameters()), list(main.parameters()))
        for main, target in module.get_target_network_pairs()
    ]

    def play() -> int:
        for optimizer in optimizers:
            optimizer.zero_grad()
        out = module._forward_train(columns)
        target = columns["cost"] + columns["discount"].view(-1, 1, 1) * out["next_cost"]
        weight = columns["weight"] / columns["weight"].mean()
        size = target_size(target, weight)
        loss = critic_loss_of(out["cost"], target, weight, size)
        loss = loss + actor_loss_of(out["cost_of_policy"], out["logits"], weight)
        loss.backward()
        for group, optimizer in zip(parameters, optimizers, strict=True):
            torch.nn.utils.clip_grad_norm_(group, 5.0, foreach=True)
            optimizer.step()
        module.average()
        with torch.no_grad():
            for kept, new in pairs:
                torch._foreach_lerp_(kept, new, 0.02)
        return rows

    return play


def through_rllib(limits: Limits, rounds: int = 5) -> list[Row]:
    """``ShardRunner.sample()``, exploration noise and the replay included; and RLlib's own way."""
    small, large = problems.in_tiles(4096, 56, 2), problems.in_tiles(16_384, 56, 2)
    ddpg, ppo = AlgorithmName.DDPG, AlgorithmName.PPO
    in_stock = small.load("train", 0)
    work = {
        "ddpg, 8,192 rows drawn": runner_work(small, ddpg, 8192, updates_per_iteration=1),
        "ddpg, 8,192 rows, tiles of 16,384": runner_work(
            large, ddpg, 8192, updates_per_iteration=1
        ),
        "ddpg, as many rows drawn as played": runner_work(
            small, ddpg, 8192, updates_per_iteration=28
        ),
        "ppo, values and advantages": runner_work(small, ppo, 4096),
        "ppo, tiles of 16,384": runner_work(large, ppo, 4096),
        "RLlib's stock runner": stock_runner(in_stock),
        "RLlib's stock runner, to the learner's batch": stock_runner(in_stock, to_learner=True),
    }
    turns = {what: Work(play) for what, play in work.items()}
    return take_turns("through RLlib", turns, limits, rounds=rounds)


def runner_work(
    source: ScenarioSource, algorithm: AlgorithmName, rows: int, **training: Any
) -> Callable[[], int]:
    """One fragment of every tile."""
    config = _config(source, algorithm, train_batch_size_per_learner=rows, **training)
    runner = ShardRunner(config=config, worker_index=0, num_workers=0)

    def play() -> int:
        before = runner.num_env_steps_sampled_lifetime
        for _ in range(source.num_tiles("train")):
            runner.sample()
        return runner.num_env_steps_sampled_lifetime - before

    return play
