"""Compiled days are the same days."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import Any

import pytest
import torch

from envs.errors import ConfigError
from envs.rollout import Decision, rollout, rollout_metrics
from envs.state import InventoryState, Observation, Scenario

Problem = Callable[..., tuple[Scenario, InventoryState]]
needs_compiler = pytest.mark.skipif(
    not any(map(shutil.which, ("g++", "clang++", "c++"))), reason="no C++ compiler on this machine"
)
EVERYTHING: dict[str, Any] = {
    "random_lead_time": True, "random_fill": True, "random_counted": True,
    "order_multiple": 3.0, "order_max": 40.0, "expected": True,
}  # fmt: skip


def base_stock(seen: Observation) -> Decision:
    """Up to a level of twice the scale, and a bit of the feature."""
    level = 2 * seen.scale + 0.1 * seen.basis[:, 0]
    return Decision((level - seen.stock.sum(-1)).clamp(min=0.0))


def assert_equal_metrics(
    scenario: Scenario, start: InventoryState, tile_rows: int | None = None
) -> None:
    torch.compiler.reset()
    orders = rollout(scenario, base_stock, start).order
    assert float(orders.std()) > 0
    for answer in (base_stock, orders):
        eager, compiled = (
            rollout_metrics(scenario, answer, start, tile_rows=tile_rows, compiled=compiled)
            for compiled in (False, True)
        )
        torch.testing.assert_close(
            vars(compiled), vars(eager), rtol=1e-9, atol=1e-9, equal_nan=True
        )


@needs_compiler
def test_compiled_metrics_are_the_eager_ones(random_problem: Problem) -> None:
    assert_equal_metrics(*random_problem(4, n=30, days=6, longest=2, **EVERYTHING))


@pytest.mark.slow
@needs_compiler
@pytest.mark.parametrize(
    "choices",
    [{"shared_lead_time": True, "longest_period": 1}, {"backlog": True}, EVERYTHING],
    ids=["one lead time, daily", "backlog", "everything random"],
)
def test_compiled_metrics_in_tiles_and_blocks_are_the_eager_ones(
    random_problem: Problem, choices: dict[str, Any]
) -> None:
    """13 days: blocks of 7 and 6; 30 inventories in tiles of 20 and 10."""
    assert_equal_metrics(*random_problem(4, n=30, days=13, **choices), tile_rows=20)


def test_without_a_compiler_the_option_is_named(
    random_problem: Problem, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.compiler.reset()
    monkeypatch.setattr(torch._inductor.config.cpp, "cxx", ("/no/such/compiler",))
    monkeypatch.setattr(torch._inductor.config, "force_disable_caches", True)
    scenario, start = random_problem(5, days=3)
    with pytest.raises(ConfigError, match=r"compiled = True needs a C\+\+ compiler"):
        rollout_metrics(scenario, base_stock, start, compiled=True)
    torch.compiler.reset()
