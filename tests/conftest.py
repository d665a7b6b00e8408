"""What tests of all layers share: where shared material lies, and small problems to play."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from envs.state import InventoryState, Scenario
from pipeline.data.synthetic.generate import make
from pipeline.scenarios.dataset import DatasetSource
from pipeline.tools.environment import prepare
from tests.own_coming import AnyDemand

prepare()
torch.set_num_threads(1)


@pytest.fixture(scope="session")
def shared() -> Path:
    """Material that is not part of the repository."""
    return Path(os.environ.get("DEEPSTOCK_SHARED", "../shared"))


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A generated data set of 600 inventories × 180 days in six tiles; read-only."""
    out = tmp_path_factory.mktemp("dataset") / "tiny"
    make(600, 180, 3, out, tile_rows=128, order_multiple=0.0)
    return out


@pytest.fixture(scope="session")
def source(dataset: Path) -> DatasetSource:
    """The scenarios of :func:`dataset`."""
    return DatasetSource(dataset)


RandomProblem = Callable[..., tuple[Scenario, InventoryState]]


@pytest.fixture(scope="session")
def random_problem() -> RandomProblem:
    """Makes a scenario in which everything varies, and a stock to start with (float64)."""
    return make_random_problem


def make_random_problem(
    seed: int,
    *,
    n: int = 4,
    days: int = 12,
    longest: int = 4,
    backlog: bool = False,
    shared_lead_time: bool = False,
    random_lead_time: bool = False,
    random_fill: bool = False,
    random_counted: bool = False,
    expected: bool = False,
    order_multiple: float | str = 0.0,
    order_max: float = float("inf"),
    longest_period: int = 4,
) -> tuple[Scenario, InventoryState]:
    """A scenario whose one basis feature is a random order, and a random initial stock.

    A policy that returns that feature wants the same whatever the stock is. ``expected``: something
    is known of the demand to come, and some items end or are off sale. ``order_multiple="each"``:
    inventories have multiples of their own.
    """
    generator = torch.Generator().manual_seed(seed)

    def uniform(*shape: int) -> torch.Tensor:
        return torch.rand(shape, generator=generator, dtype=torch.float64)

    def integers(low: int, high: int, *shape: int) -> torch.Tensor:
        return torch.randint(low, high + 1, shape, generator=generator)

    lead = integers(0, longest, 1).expand(n) if shared_lead_time else integers(0, longest, n)
    period = integers(1, longest_period, n)
    offset = integers(0, 6, n) % period
    order = 20 * uniform(days, n) * (uniform(days, n) < 0.8)
    demand = torch.where(uniform(days, n) < 0.3, 0.0, 12 * uniform(days, n))
    facts: dict[str, torch.Tensor] = {}
    if expected:
        ends, off = uniform(days, n) < 0.2, uniform(days, n) < 0.1
        near = 25 * uniform(days, n)
        facts = {
            "demand_rate": 3 * uniform(days, n) ** 3,
            "demand_until_arrival": 12 * uniform(days, n),
            "sellable": near.masked_fill(~ends | off, float("inf")),
            "incoming": (near * uniform(days, n)).masked_fill(~ends, float("inf")),
        }
        facts["incoming"].masked_fill_(off, 0.0)
    multiple: float | torch.Tensor = 0.0
    if isinstance(order_multiple, str):
        multiple = torch.tensor([0.0, 1.0, 3.0, 7.0], dtype=torch.float64)[integers(0, 3, n)]
    else:
        multiple = order_multiple
    scenario = Scenario(
        demand=demand,
        lead_time=lead,
        review_period=period,
        review=(torch.arange(days).unsqueeze(1) - offset) % period == 0,
        shortage_cost=1 + 8 * uniform(n),
        holding_cost=0.1 + uniform(n),
        scale=5 + uniform(days, n),
        basis=order.unsqueeze(-1),
        features=uniform(days, n, 2),
        counted=uniform(days, n) < 0.8 if random_counted else None,
        order_lead_time=integers(0, longest, days, n) if random_lead_time else None,
        fill=uniform(days, n) if random_fill else None,
        coming=AnyDemand(backlog),
        max_lead_time=longest,
        backlog=backlog,
        order_multiple=multiple,
        order_max=order_max,
        **facts,
    ).validate()
    on_hand = 20 * uniform(n) - (10 if backlog else 0)
    pipeline = tuple(5 * uniform(n) for _ in range(longest))
    return scenario, InventoryState(on_hand, pipeline)
