"""The simulator, playing the best policies of their kind, costs what the literature says.

Three numbers must agree: the simulated cost, the solver's expected cost, and the published
cost. A simulation of independent inventories states its own standard error; all comparisons
allow ``DEVIATIONS`` of them (with some 200 comparisons a right simulator fails one in a hundred
times; seeds are fixed, so it either does or not), plus half of the last published digit. Where
the published last digit is known to be off (:mod:`tests.unit.studies.solvers.test_lost_sales` lists
where and why) that is far below the simulation's error.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats

from envs.objective import day_cost
from envs.problems.classical import PROBLEMS, ClassicalProblem, Normal, scenario
from envs.rollout import Policy, rollout
from pipeline.scenarios.start import evaluation_start
from pipeline.studies.solvers import Estimate, newsvendor, simulate, solve

DEVIATIONS = 4.0
FAST = (
    "lost_sales_poisson_p4_L1",
    "lost_sales_poisson_p9_L4",
    "lost_sales_poisson_p39_L2",
    "lost_sales_geometric_p9_L3",
    "backlog_poisson_b9_L4",
    "newsvendor_normal",
)
SEED = 20


def assert_costs(estimate: Estimate, expected: float, slack: float, what: str) -> None:
    allowed = DEVIATIONS * estimate.standard_error + slack
    assert abs(estimate.cost - expected) <= allowed, (
        f"{what}: simulated {estimate.cost:.4f} ± {estimate.standard_error:.4f} (s.e., "
        f"{estimate.periods:,} inventory-days), expected {expected}"
    )


def check_cell(problem: ClassicalProblem, periods: int) -> None:
    """Every policy that is known for a problem, simulated."""
    compared = 0
    for kind, solution in solve(problem).items():
        estimate = simulate(problem, solution.policy, periods=periods, seed=SEED)
        assert estimate.periods >= periods
        # Without an error this small the comparison would say nothing.
        assert estimate.standard_error < 0.005 * solution.cost * (1e7 / periods) ** 0.5
        assert_costs(estimate, solution.cost, solution.error, f"{problem.name} {kind}, solver")
        if kind in problem.published:
            known = problem.published[kind]
            assert_costs(estimate, known.value, known.half_unit, f"{problem.name} {kind}")
            compared += 1
        if kind == "base_stock" and "base_stock_level" in problem.published:
            level = problem.published["base_stock_level"]
            assert abs(solution.parameters["level"] - level.value) <= level.half_unit
    assert compared >= 1


@pytest.mark.parametrize("name", FAST)
def test_simulated_costs_are_the_published_ones_in_some_cells(name: str) -> None:
    check_cell(PROBLEMS[name], periods=1_000_000)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [name for name, p in PROBLEMS.items() if not isinstance(p.demand, Normal)]
)
def test_simulated_costs_are_the_published_ones(name: str) -> None:
    check_cell(PROBLEMS[name], periods=10_000_000)


NORMAL = [name for name, p in PROBLEMS.items() if isinstance(p.demand, Normal)]


def simulate_uncut(problem: ClassicalProblem, policy: Policy, periods: int) -> Estimate:
    """As :func:`simulate`, but negative draws stay: what the closed forms are about."""
    law = problem.demand
    assert isinstance(law, Normal)
    days, warm_up, n = (1, 0, 500_000) if problem.horizon else (700, 200, 4096)
    costs: list[torch.Tensor] = []
    while sum(map(len, costs)) * (days - warm_up) < periods:
        played = scenario(problem, n, days, seed=len(costs))
        noise = torch.randn(days, n, generator=torch.Generator().manual_seed(len(costs)))
        played = replace(played, demand=law.mean + law.std * noise)
        outcome = rollout(played, policy, evaluation_start(played)).outcome
        cost = day_cost(outcome, played.shortage_cost, played.holding_cost)
        costs.append(cost[warm_up:].double().mean(0))
    mean = torch.cat(costs)
    return Estimate(
        float(mean.mean()), float(mean.std() / len(mean) ** 0.5), len(mean) * (days - warm_up)
    )


@pytest.mark.parametrize("name", ["backlog_normal_b9_L4"])
def test_normal_demand_costs_the_closed_form_in_a_cell(name: str) -> None:
    check_uncut(name, 1_000_000)


@pytest.mark.slow
@pytest.mark.parametrize("name", NORMAL)
def test_normal_demand_costs_the_closed_form(name: str) -> None:
    check_uncut(name, 10_000_000)


def check_uncut(name: str, periods: int) -> None:
    solution, known = newsvendor(PROBLEMS[name]), PROBLEMS[name].published["base_stock"]
    estimate = simulate_uncut(PROBLEMS[name], solution.policy, periods)
    assert estimate.periods >= periods
    assert_costs(estimate, known.value, known.half_unit, name)
    assert_costs(estimate, solution.cost, 0.0, name)


def cost_of_cut_normal(problem: ClassicalProblem, level: float, step: float = 0.004) -> float:
    """Expected cost of a level where negative draws are days without demand, on a grid."""
    law = problem.demand
    assert isinstance(law, Normal)
    periods = problem.lead_time + 1
    grid = step * np.arange(int((law.mean + 9 * law.std) * periods / step))
    day = stats.norm(law.mean, law.std)
    mass = day.cdf(grid + step / 2) - day.cdf(grid - step / 2)
    mass[0] = day.cdf(step / 2)
    size = 2 ** math.ceil(math.log2(2 * len(grid)))
    total = np.fft.irfft(np.fft.rfft(mass, size) ** periods, size)[: len(grid)]
    held, short = np.maximum(level - grid, 0), np.maximum(grid - level, 0)
    return float(total @ (problem.holding_cost * held + problem.shortage_cost * short))


@pytest.mark.parametrize("lead", [1, 4, 20])
def test_cutting_normal_demand_at_zero_costs_under_a_thousandth(lead: int) -> None:
    """What the docstring of :class:`~envs.problems.classical.Normal` says about its demand."""
    problem = PROBLEMS[f"backlog_normal_b9_L{lead}"]
    solution = newsvendor(problem)
    cut = cost_of_cut_normal(problem, solution.parameters["level"])
    assert 0.999 * solution.cost < cut < solution.cost
    estimate = simulate(problem, solution.policy, periods=1_000_000, seed=SEED)
    assert_costs(estimate, cut, 0.0, problem.name)


@pytest.mark.parametrize("period", [2, 4, 7])
@pytest.mark.parametrize("name", ["backlog_poisson_b9_L2", "backlog_poisson_b4_L0"])
def test_longer_review_periods_cost_the_closed_form(name: str, period: int) -> None:
    problem = replace(PROBLEMS[name], review_period=period)
    solution = newsvendor(problem)
    estimate = simulate(problem, solution.policy, periods=2_000_000, seed=SEED)
    assert_costs(estimate, solution.cost, 0.0, f"{name} P{period}")
