"""Gradients through a rollout are the derivatives of its cost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from scipy import stats
from torch import Tensor

from envs.objective import day_cost
from envs.problems.classical import PROBLEMS, scenario
from envs.rollout import Decision, rollout
from envs.state import InventoryState, Observation, Scenario
from pipeline.scenarios.start import evaluation_start

Problem = Callable[..., tuple[Scenario, InventoryState]]


def in_double(given: Scenario) -> Scenario:
    names = ("demand", "shortage_cost", "holding_cost", "scale", "basis", "features")
    return replace(given, **{name: getattr(given, name).double() for name in names})


def mean_cost(
    given: Scenario,
    policy: Callable[[Observation], Decision],
    start: InventoryState | None,
    first: int = 0,
) -> Tensor:
    outcome = rollout(given, policy, start).outcome
    return day_cost(outcome, given.shortage_cost, given.holding_cost)[first:].mean()


@pytest.mark.parametrize("backlog", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_every_order_has_its_derivative(random_problem: Problem, seed: int, backlog: bool) -> None:
    """All orders of a horizon at once; kinks have probability 0 where everything is random."""
    given, start = random_problem(
        seed, n=3, days=10, backlog=backlog, random_lead_time=True, random_fill=True
    )
    orders = given.basis[..., 0].clone().requires_grad_()

    def cost(orders: Tensor) -> Tensor:
        fixed = replace(given, basis=orders.unsqueeze(-1))
        # Some of the random orders are 0, which is a kink: no order is negative.
        return mean_cost(fixed, lambda seen: Decision(seen.basis[:, 0] + 1.0), start)

    assert torch.autograd.gradcheck(cost, (orders,), eps=1e-6, atol=1e-7, rtol=1e-5)


@pytest.mark.parametrize(
    "name", ["lost_sales_poisson_p9_L4", "lost_sales_geometric_p19_L2", "backlog_normal_b9_L7"]
)
@pytest.mark.parametrize("cap", [float("inf"), 8.3])
def test_a_levels_derivative_is_the_finite_difference(name: str, cap: float) -> None:
    """Through the whole horizon: today's level changes all later stock, orders and costs."""
    given = in_double(scenario(PROBLEMS[name], 64, 60, seed=3))
    start = evaluation_start(given)

    def cost(level: Tensor) -> Tensor:
        def policy(seen: Observation) -> Decision:
            return Decision((level - seen.stock.sum(-1)).clamp(min=0.0, max=cap))

        return mean_cost(given, policy, start)

    mean = given.scale[0, 0].item()
    for factor in (0.83, 1.21, 1.57):
        level = torch.tensor(factor * mean, dtype=torch.float64, requires_grad=True)
        (slope,) = torch.autograd.grad(cost(level), level)
        step = 1e-6
        with torch.no_grad():
            difference = (cost(level + step) - cost(level - step)) / (2 * step)
        assert abs(float(difference)) > 1e-3
        assert float(slope) == pytest.approx(float(difference), rel=1e-5, abs=1e-7)


def test_the_slope_of_the_expected_cost_is_the_newsvendors() -> None:
    """d/dS of E[h (S-D)+ + b (D-S)+] is (b + h) P(D <= S) - b, D the demand of L + 1 days."""
    problem = PROBLEMS["backlog_normal_b9_L4"]
    given = in_double(scenario(problem, 2048, 120, seed=5))
    # Demand cut at 0 would move the slope by more than the error of this many days.
    noise = torch.randn(120, 2048, generator=torch.Generator().manual_seed(5)).double()
    given = replace(given, demand=5 + 1.6 * noise)
    for level in (24.0, 29.585, 33.0):
        variable = torch.tensor(level, dtype=torch.float64, requires_grad=True)

        def policy(seen: Observation, variable: Tensor = variable) -> Decision:
            return Decision(variable - seen.stock.sum(-1))

        (slope,) = torch.autograd.grad(
            mean_cost(given, policy, evaluation_start(given), first=20), variable
        )
        covered = stats.norm(25, 1.6 * 5**0.5).cdf(level)
        # Each of 2,048 inventories shows 20 independent stretches of L + 1 days.
        error = 10 * (covered * (1 - covered) / (2048 * 20)) ** 0.5
        assert float(slope) == pytest.approx(10 * covered - 9, abs=4 * error)
