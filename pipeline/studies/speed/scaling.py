"""How cost grows: with inventories, days, lead time, features and runners; and memory."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pandas as pd
import ray
import torch
from torch import Tensor

from envs.state import Scenario
from pipeline.algorithms.build import build_config
from pipeline.algorithms.runner import ShardRunner
from pipeline.data.synthetic.generate import make
from pipeline.runs.config import RunConfig
from pipeline.runs.method import AlgorithmName
from pipeline.scenarios.dataset import DatasetSource
from pipeline.studies.speed import problems
from pipeline.studies.speed.limits import Limits
from pipeline.studies.speed.sections import metrics_only, with_policy
from pipeline.studies.speed.timing import Row, Work, as_row, take_turns

Records = list[dict[str, Any]]


def inventories(limits: Limits, rounds: int = 5) -> list[Row]:
    """Rates with N from 1e3 to 3e6: with given orders, and with a policy."""
    sizes = (1_000, 10_000, 100_000, 1_000_000, 3_000_000)
    seen = problems.scenario(sizes[-1], 7)
    given = {
        f"given orders, N = {n:,}": metrics_only(problems.scenario(n, 56, features=0))
        for n in sizes
    }
    played = {
        f"policy, N = {n:,}": with_policy(seen.inventories(slice(0, n)), "base") for n in sizes
    }
    repeated = {what: _long_enough(work) for what, work in (given | played).items()}
    return take_turns("inventories", repeated, limits, rounds=rounds)


def shapes(limits: Limits, rounds: int = 5) -> list[Row]:
    """Rates with T, L and F; 8,192 inventories and a policy unless the row says otherwise."""
    work: dict[str, Work] = {}
    for days in (7, 28, 112):
        work[f"policy, T = {days}"] = with_policy(problems.scenario(8192, days), "base")
    for lead in (0, 4, 14, 28):
        given = problems.scenario(8192, 28, lead=lead)
        work[f"policy, L = {lead}"] = with_policy(given, "base")
    for lead in (4, 14, 28):
        given = problems.scenario(65_536, 28, lead=lead, features=0, mixed_leads=True)
        work[f"given orders, L = 0 to {lead}"] = metrics_only(given)
    for count in (1, 5, 20, 80):
        given = problems.scenario(8192, 14, features=count)
        work[f"policy, F = {count}"] = with_policy(given, "base")
    return take_turns("shapes", work, limits, rounds=rounds)


def _long_enough(work: Work, units: int = 1_000_000) -> Work:
    """Repeats short work, so that the clock's steps do not matter."""

    def play() -> int:
        done = 0
        while done < units:
            done += work.play()
        return done

    return Work(play, work.flops, work.bytes_moved)


def runners(limits: Limits, rounds: int = 3) -> list[Row]:
    """1, 2 and 4 remote runners on one raylet, and 2 on two.

    Rates are per second of the clock here, not of a processor: several processes work.
    """
    rows = []
    for raylets, counts in ((1, (1, 2, 4)), (2, (2,))):
        with _raylets(raylets):
            for count in counts:
                what = f"runners: {count}, raylets: {raylets}"
                times = _play_remote(count, min(rounds, 3))
                unit = "inventory-days per second of the clock"
                rows.append(as_row("runners", what, Work(int), times, limits, unit=unit))
    return rows


def _play_remote(count: int, rounds: int) -> list[tuple[int, float]]:
    source = problems.in_tiles(4096, 56, 4)
    training = {"train_batch_size_per_learner": 1024, "updates_per_iteration": 1}
    run = RunConfig(
        algorithm=AlgorithmName.DDPG, action_model="base", training=training,
        num_env_runners=count,
    )  # fmt: skip
    config = ray.put(build_config(run, source))
    remote = ray.remote(num_cpus=0, scheduling_strategy="SPREAD")(ShardRunner)
    workers = [
        remote.remote(config=config, worker_index=index, num_workers=count)
        for index in range(1, count + 1)
    ]
    ray.get([worker.sample.remote() for worker in workers])
    times = []
    units = 2 * 4096 * 56 * count
    for _ in range(rounds):
        start = time.perf_counter()
        ray.get([worker.sample.remote() for worker in workers for _ in range(2)])
        times.append((units, time.perf_counter() - start))
    for worker in workers:
        ray.kill(worker)
    return times


@contextmanager
def _raylets(count: int) -> Iterator[None]:
    """A Ray of one or two raylets on this machine."""
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    cluster = None
    if count == 1:
        ray.init(address="local", num_cpus=2, include_dashboard=False, **quiet)
    else:
        from ray.cluster_utils import Cluster

        head = {"num_cpus": 1, "include_dashboard": False}
        cluster = Cluster(initialize_head=True, head_node_args=head)
        for _ in range(count - 1):
            cluster.add_node(num_cpus=1)
        ray.init(address=cluster.address, **quiet)
    try:
        yield
    finally:
        ray.shutdown()
        if cluster is not None:
            cluster.shutdown()


def sizes(n: int = 8_192, days: int = 400) -> Records:
    """Bytes per inventory of a generated data set: on disk, as a scenario, in the replay."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        make(n, days, 1, data, tile_rows=2048)
        disk = sum(path.stat().st_size for path in data.rglob("*") if path.is_file())
        given = DatasetSource(data).load("train", 0)
    rows = given.num_inventories
    held = sum(_bytes(getattr(given, field.name)) for field in fields(Scenario))
    stock = given.max_lead_time + 1
    return [
        _size(f"on disk, {days} days", disk / n, days),
        _size(f"scenario in memory, {given.num_days} days", held / rows, given.num_days),
        _size("state while it is played", 4.0 * (stock + 16), 1),
        _size("replay row (a decision)", 4.0 * (2 * stock + 5 + 3) + 8.0 * 4, 1),
    ]


def _size(what: str, size: float, days: int) -> dict[str, Any]:
    return {"what": what, "bytes_per_inventory": size, "bytes_per_inventory_day": size / days}


def _bytes(value: object) -> int:
    return value.numel() * value.element_size() if isinstance(value, Tensor) else 0


TILE_ROWS, DAYS = 2048, 180


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


def _peak_memory(data: Path, tiles: int, resident: int) -> float:
    """MiB that this process needed at most while it played every tile twice."""
    torch.set_num_threads(1)
    source = DatasetSource(data, resident_tiles=resident)
    run = RunConfig(
        algorithm=AlgorithmName.DDPG,
        action_model="both",
        training={"replay_capacity": 20_000},
    )
    runner = ShardRunner(config=build_config(run, source), worker_index=0, num_workers=0)
    for _ in range(2 * tiles):
        runner.sample()
    # Not getrusage(): a spawned process inherits its parent's peak there.
    (line,) = (x for x in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in x)
    return int(line.split()[1]) / 1024
