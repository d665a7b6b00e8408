"""Ratios within one run, so that a slow machine does not matter: `make bench` gives the rates."""

from __future__ import annotations

import pytest
from torch.profiler import ProfilerActivity, profile

from pipeline.runs.method import AlgorithmName
from pipeline.studies.speed import problems, sections
from pipeline.studies.speed.limits import Limits
from pipeline.studies.speed.scaling import bench_memory
from pipeline.studies.speed.stock import stock_runner
from pipeline.studies.speed.timing import Work, take_turns

UNLIMITED = Limits(flops=1.0, bandwidth=1.0)


def best_rates(work: dict[str, Work], rounds: int = 3) -> dict[str, float]:
    """The best round is the one that other processes disturbed least."""
    rows = take_turns("guard", work, UNLIMITED, rounds=rounds)
    return {row.what: row.best_rate for row in rows}


def allocated(work: Work) -> int:
    """Bytes that torch asks the allocator for while doing it once."""
    work.play()  # what is made once is not counted
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as found:
        work.play()
    return sum(max(row.self_cpu_memory_usage, 0) for row in found.key_averages())


def test_tiles_in_place_allocate_less_than_half_of_days_of_everything() -> None:
    """Bytes, not seconds: how much faster that is depends on the caches of the machine."""
    given = problems.scenario(100_000, 28, features=0)
    in_place = allocated(sections.metrics_only(given))
    assert in_place < 0.5 * allocated(sections.with_gradients(given))


def test_the_columnar_runner_outruns_the_stock_runner() -> None:
    source = problems.in_tiles(2048, 40, 1)
    settings = {"updates_per_iteration": 1, "replay_capacity": 20_000}
    work = {
        "ddpg": Work(sections.runner_work(source, AlgorithmName.DDPG, 1024, **settings)),
        "ppo": Work(sections.runner_work(source, AlgorithmName.PPO, 1024)),
        "stock": Work(stock_runner(source.load("train", 0), n=512, days=5)),
    }
    rates = best_rates(work)
    for name in ("ddpg", "ppo"):
        assert rates[name] > 10 * rates["stock"]


@pytest.mark.slow
def test_memory_is_bounded_by_the_resident_tiles_not_by_the_shard() -> None:
    small, large = bench_memory(tiles=(4, 16))["peak_mib"]
    assert large < 1.15 * small
