"""Ratios within one run, so that a slow machine does not matter: `make bench` gives the rates."""

from __future__ import annotations

import pytest

from pipeline.bench import bench_memory, bench_rollout

pytestmark = pytest.mark.slow


def test_the_columnar_runner_outruns_the_stock_runner() -> None:
    table = bench_rollout().set_index("what")
    for name in ("ddpg", "ppo"):
        assert table.loc[f"columnar runner, {name}", "times_stock_runner"] > 15


def test_memory_is_bounded_by_the_resident_tiles_not_by_the_shard() -> None:
    small, large = bench_memory(tiles=(4, 16))["peak_mib"]
    assert large < 1.15 * small
