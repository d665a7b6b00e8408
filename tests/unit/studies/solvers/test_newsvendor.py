"""Closed forms, against the literature, stockpyl and a plain search."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from stockpyl.newsvendor import newsvendor_discrete, newsvendor_normal, newsvendor_poisson

from envs.errors import ScenarioError
from envs.problems.classical import PROBLEMS, ClassicalProblem, Geometric, Normal, Poisson
from pipeline.studies.solvers import BaseStock, newsvendor, solve
from pipeline.studies.solvers.laws import expected_cost, total_demand

CLOSED = [p for p in PROBLEMS.values() if p.backlog or p.lead_time == 0]


@pytest.mark.parametrize("problem", CLOSED, ids=lambda p: p.name)
def test_levels_and_costs_are_the_published_ones(problem: ClassicalProblem) -> None:
    solution = newsvendor(problem)
    known = problem.published["base_stock"]
    assert abs(solution.cost - known.value) <= known.half_unit
    if "base_stock_level" in problem.published:
        level = problem.published["base_stock_level"]
        assert abs(solution.parameters["level"] - level.value) <= level.half_unit
    assert solution.policy == BaseStock(solution.parameters["level"])
    assert set(solve(problem)) == {"base_stock"}


@pytest.mark.parametrize("problem", CLOSED, ids=lambda p: p.name)
def test_levels_and_costs_are_stockpyls(problem: ClassicalProblem) -> None:
    solution = newsvendor(problem)
    b, h, days = problem.shortage_cost, problem.holding_cost, problem.lead_time + 1
    if isinstance(problem.demand, Normal):
        law = problem.demand
        level, cost = newsvendor_normal(h, b, law.mean, law.std, lead_time=problem.lead_time)
    else:
        level, cost = newsvendor_poisson(h, b, days * problem.demand.mean)
    assert solution.parameters["level"] == pytest.approx(level, abs=1e-9)
    # stockpyl sums the Poisson losses up to a tail that it leaves out.
    assert solution.cost == pytest.approx(cost, rel=1e-5)


@pytest.mark.parametrize("lead", [0, 3])
def test_geometric_demand_is_stockpyls(lead: int) -> None:
    problem = ClassicalProblem("mine", Geometric(5.0), lead, 19.0, backlog=True)
    solution = newsvendor(problem)
    level, cost = newsvendor_discrete(
        1.0, 19.0, demand_distrib=total_demand(problem.demand, lead + 1)
    )
    assert solution.parameters["level"] == level
    assert solution.cost == pytest.approx(cost, rel=1e-4)


@pytest.mark.parametrize("law", [Poisson(5.0), Geometric(2.0), Normal(5.0, 1.6)], ids=str)
@pytest.mark.parametrize("period", [1, 2, 7])
def test_no_other_level_is_better(law: Poisson | Geometric | Normal, period: int) -> None:
    problem = ClassicalProblem("mine", law, 2, 9.0, backlog=True, review_period=period)
    solution = newsvendor(problem)
    step = 0.01 if isinstance(law, Normal) else 1.0
    levels = solution.parameters["level"] + step * np.arange(-30, 31)
    costs = [
        np.mean([expected_cost(law, 3 + j, level, 9.0, 1.0) for j in range(period)])
        for level in levels
    ]
    assert solution.cost == pytest.approx(costs[30], rel=1e-12)
    assert min(costs) >= solution.cost - 1e-12


def test_lost_sales_with_a_lead_time_have_no_closed_form() -> None:
    with pytest.raises(ScenarioError, match="best_base_stock"):
        newsvendor(PROBLEMS["lost_sales_poisson_p4_L1"])
    longer_review = replace(PROBLEMS["newsvendor_normal"], review_period=2)
    with pytest.raises(ScenarioError, match="best_base_stock"):
        newsvendor(longer_review)
