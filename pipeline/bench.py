"""``python -m pipeline bench``: how fast inventories are played, and in how much memory.

Rates are inventory-days per CPU-second of one thread, on a generated data set, [64, 64]
networks, all features; the variants take turns in one process, so a slow moment of the
machine hits them alike. The first fragments (reading tiles, making features) are not counted.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

import click
import pandas as pd
import torch

from envs.rollout import Decision, rollout
from pipeline.action_models import ActionModelKind
from pipeline.algorithms.build import build_config
from pipeline.algorithms.runner import ShardRunner
from pipeline.config import AlgorithmName, RunConfig
from pipeline.data.generate import make
from pipeline.sources import DatasetSource

TILE_ROWS, DAYS, ROUNDS = 2048, 180, 5
STOCK_ENVS, STOCK_DAYS = 1024, 20


def bench_rollout() -> pd.DataFrame:
    """Rates of the columnar runner, bare dynamics and RLlib's runner.

    DDPG's rows go to the replay; assembling its 64 minibatches of 1,024 (two rows drawn for
    every one that was played) is timed apart. PPO's row includes values and advantages.

    Returns:
        Columns ``what``, ``inventory_days_per_cpu_s`` (median over rounds) and
        ``times_stock_runner``.
    """
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        make(4 * TILE_ROWS, DAYS, 1, data, tile_rows=TILE_ROWS)
        source = DatasetSource(data)
        work: dict[str, Callable[[], int]] = {
            "dynamics only (constant order)": _dynamics(source),
            "columnar runner, ddpg": _runner(source, AlgorithmName.DDPG, updates_per_iteration=1),
            "columnar runner, ddpg with 64 minibatches": _runner(source, AlgorithmName.DDPG),
            "columnar runner, ppo": _runner(source, AlgorithmName.PPO),
            "RLlib's stock runner": _stock_runner(source),
        }
        rates: dict[str, list[float]] = {what: [] for what in work}
        for play in work.values():
            play()
        for _ in range(ROUNDS):
            for what, play in work.items():
                start = time.process_time()
                steps = play()
                rates[what].append(steps / (time.process_time() - start))
    table = pd.DataFrame(
        {"what": list(rates), "inventory_days_per_cpu_s": [median(r) for r in rates.values()]}
    )
    stock = table["inventory_days_per_cpu_s"].iloc[-1]
    table["times_stock_runner"] = table["inventory_days_per_cpu_s"] / stock
    return table


def bench_memory(tiles: tuple[int, ...] = (4, 16), resident: int = 2) -> pd.DataFrame:
    """Peak memory of a runner that plays shards of different size.

    Args:
        tiles: Sizes of the shard.
        resident: Tiles that the runner may hold.

    Returns:
        Columns ``tiles``, ``inventories``, ``peak_mib``: of a fresh process each.
    """
    peaks = []
    with tempfile.TemporaryDirectory() as folder:
        for count in tiles:
            data = Path(folder) / f"data{count}"
            make(count * TILE_ROWS, DAYS, 1, data, tile_rows=TILE_ROWS)
            # A process of its own: the operating system only knows the peak of a whole one.
            with get_context("spawn").Pool(1) as pool:
                peaks.append(pool.apply(_peak_memory, (data, count, resident)))
    return pd.DataFrame(
        {"tiles": tiles, "inventories": [c * TILE_ROWS for c in tiles], "peak_mib": peaks}
    )


def _dynamics(source: DatasetSource) -> Callable[[], int]:
    scenario = source.load("train", 0)

    def play() -> int:
        rollout(scenario, lambda observation: Decision(observation.scale / 2))
        return scenario.num_days * scenario.num_inventories

    return play


def _runner(source: DatasetSource, algorithm: AlgorithmName, **training: Any) -> Callable[[], int]:
    run = RunConfig(algorithm=algorithm, action_model=ActionModelKind.BOTH, training=training)
    runner = ShardRunner(config=build_config(run, source), worker_index=0, num_workers=0)

    def play() -> int:
        before = runner.num_env_steps_sampled_lifetime
        for _ in range(source.num_tiles("train")):
            runner.sample()
        return runner.num_env_steps_sampled_lifetime - before

    return play


def _stock_runner(source: DatasetSource) -> Callable[[], int]:
    from ray.rllib.env.single_agent_env_runner import SingleAgentEnvRunner
    from ray.tune import register_env

    from envs.gym_env import InventoryVectorEnv

    scenario = source.load("train", 0).inventories(torch.arange(STOCK_ENVS))
    name = "deepstock-bench"
    register_env(name, lambda _: InventoryVectorEnv(scenario))
    config: Any = build_config(
        RunConfig(algorithm=AlgorithmName.PPO, action_model=ActionModelKind.BOTH), source
    )
    config = config.copy(copy_frozen=False)
    config.environment(env=name).env_runners(
        env_runner_cls=SingleAgentEnvRunner,
        num_envs_per_env_runner=STOCK_ENVS,
        gym_env_vectorize_mode="vector_entry_point",
    )
    runner = SingleAgentEnvRunner(config=config, worker_index=0, num_workers=0)

    def play() -> int:
        runner.sample(num_timesteps=STOCK_ENVS * STOCK_DAYS)
        return STOCK_ENVS * STOCK_DAYS

    return play


def _peak_memory(data: Path, tiles: int, resident: int) -> float:
    """MiB that this process needed at most while it played every tile twice."""
    torch.set_num_threads(1)
    source = DatasetSource(data, resident_tiles=resident)
    run = RunConfig(
        algorithm=AlgorithmName.DDPG,
        action_model=ActionModelKind.BOTH,
        training={"replay_capacity": 20_000},
    )
    runner = ShardRunner(config=build_config(run, source), worker_index=0, num_workers=0)
    for _ in range(2 * tiles):
        runner.sample()
    # Not getrusage(): a spawned process inherits its parent's peak there.
    (line,) = (x for x in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in x)
    return int(line.split()[1]) / 1024


def run_benchmarks() -> None:
    """Prints both tables."""
    with pd.option_context("display.float_format", "{:,.1f}".format):
        click.echo(bench_rollout().to_string(index=False))
        click.echo()
        click.echo(bench_memory().to_string(index=False))
