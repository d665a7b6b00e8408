"""Ratios within one run, so that a slow machine does not matter: `make bench` gives the rates."""

from __future__ import annotations

import pytest

from pipeline.runs.method import AlgorithmName
from pipeline.studies.speed import problems, sections
from pipeline.studies.speed.limits import Limits
from pipeline.studies.speed.scaling import bench_memory
from pipeline.studies.speed.stock import stock_runner
from pipeline.studies.speed.timing import Work, take_turns

UNLIMITED = Limits(flops=1.0, bandwidth=1.0)


def best_rates(work: dict[str, Work], rounds: int = 5) -> dict[str, float]:
    """The best round is the one that other processes disturbed least."""
    rows = take_turns("guard", work, UNLIMITED, rounds=rounds)
    return {row.what: row.best_rate for row in rows}


def test_tiles_in_place_outrun_days_of_everything() -> None:
    given = problems.scenario(400_000, 28, features=0)
    rates = best_rates(
        {
            "in place": sections.metrics_only(given),
            "day by day": sections.with_gradients(given),
        }
    )
    assert rates["in place"] > 1.5 * rates["day by day"]


def test_the_columnar_runner_outruns_the_stock_runner() -> None:
    source = problems.in_tiles(2048, 40, 1)
    settings = {"updates_per_iteration": 1, "replay_capacity": 20_000}
    work = {
        "ddpg": Work(sections.runner_work(source, AlgorithmName.DDPG, 1024, **settings)),
        "ppo": Work(sections.runner_work(source, AlgorithmName.PPO, 1024)),
        "stock": Work(stock_runner(source.load("train", 0), n=512, days=5)),
    }
    rates = best_rates(work, rounds=3)
    for name in ("ddpg", "ppo"):
        assert rates[name] > 10 * rates["stock"]


@pytest.mark.slow
def test_memory_is_bounded_by_the_resident_tiles_not_by_the_shard() -> None:
    small, large = bench_memory(tiles=(4, 16))["peak_mib"]
    assert large < 1.15 * small
