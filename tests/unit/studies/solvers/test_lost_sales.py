"""Exact solvers of lost-sales problems, against the literature and an enumeration."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

from envs.errors import ScenarioError
from envs.problems.classical import PROBLEMS, ClassicalProblem, Normal
from pipeline.studies.solvers import (
    CappedBaseStock,
    TablePolicy,
    best_base_stock,
    best_capped_base_stock,
    optimal,
)
from pipeline.studies.solvers.laws import daily_probabilities
from pipeline.studies.solvers.lost_sales import (
    TOLERANCE,
    base_stock_cost,
    capped_base_stock_table,
    table_cost,
)

LOST_SALES = [p for p in PROBLEMS.values() if not p.backlog and p.lead_time > 0]

OFF = {
    ("lost_sales_poisson_p4_L1", "capped_base_stock"): 0.59,
    ("lost_sales_poisson_p4_L3", "base_stock"): 0.51,
    ("lost_sales_poisson_p9_L1", "capped_base_stock"): 0.78,
    ("lost_sales_poisson_p9_L1", "optimal"): 0.82,
    ("lost_sales_poisson_p9_L3", "optimal"): 0.73,
    ("lost_sales_poisson_p9_L4", "optimal"): 0.60,
    ("lost_sales_poisson_p19_L4", "capped_base_stock"): 0.63,
    ("lost_sales_poisson_p39_L1", "capped_base_stock"): 0.53,
    ("lost_sales_poisson_p39_L3", "optimal"): 0.53,
    ("lost_sales_poisson_p39_L4", "capped_base_stock"): 2.61,
    ("lost_sales_poisson_p39_L4", "optimal"): 1.42,
    ("lost_sales_geometric_p39_L1", "base_stock"): 0.67,
    ("lost_sales_geometric_p39_L4", "base_stock"): 1.23,
}
"""Published numbers that are off by more than rounding; by how many units of the last digit.

Ours are enclosed to a millionth and do not move when the state space grows; the enumeration
below (another program) confirms them. docs/classical-problems.md says more.
"""


def numbers_differ(problem: ClassicalProblem, kind: str, cost: float) -> str | None:
    """What is wrong with a cost, if anything is."""
    known = problem.published[kind]
    units = abs(cost - known.value) / (2 * known.half_unit)
    if units > OFF.get((problem.name, kind), 0.5 + TOLERANCE / known.half_unit):
        return f"{problem.name} {kind}: {cost:.5f}, published {known.value}"
    if (problem.name, kind) in OFF and units <= 0.5:
        return f"{problem.name} {kind} is listed as off, but is not"
    return None


SMALL = [p for p in LOST_SALES if p.lead_time <= 3 or "poisson" in p.name]
LARGE = [p for p in LOST_SALES if p not in SMALL]


@pytest.mark.parametrize("problem", LOST_SALES, ids=lambda p: p.name)
def test_optimal_costs_are_the_published_ones(problem: ClassicalProblem) -> None:
    solution = optimal(problem)
    assert solution.error <= TOLERANCE
    assert numbers_differ(problem, "optimal", solution.cost) is None


def check_base_stock(problem: ClassicalProblem) -> None:
    solution = best_base_stock(problem)
    assert solution.error <= TOLERANCE
    assert numbers_differ(problem, "base_stock", solution.cost) is None
    if "base_stock_level" in problem.published:
        assert solution.parameters["level"] == problem.published["base_stock_level"].value


@pytest.mark.parametrize("problem", SMALL, ids=lambda p: p.name)
def test_base_stock_levels_and_costs_are_the_published_ones(problem: ClassicalProblem) -> None:
    check_base_stock(problem)


@pytest.mark.slow
@pytest.mark.parametrize("problem", LARGE, ids=lambda p: p.name)
def test_base_stock_costs_of_large_problems_are_the_published_ones(
    problem: ClassicalProblem,
) -> None:
    check_base_stock(problem)


@pytest.mark.parametrize(
    "problem", [p for p in SMALL if "capped_base_stock" in p.published], ids=lambda p: p.name
)
def test_capped_base_stock_costs_are_the_published_ones(problem: ClassicalProblem) -> None:
    solution = best_capped_base_stock(problem)
    assert solution.error <= TOLERANCE
    assert numbers_differ(problem, "capped_base_stock", solution.cost) is None
    assert isinstance(solution.policy, CappedBaseStock)
    assert optimal(problem).cost - 2 * TOLERANCE < solution.cost < best_base_stock(problem).cost


@pytest.mark.parametrize("name", ["poisson_p9_L2", "geometric_p19_L1", "geometric_p39_L1"])
def test_the_capped_base_stock_is_the_best_of_all_pairs(name: str) -> None:
    """Geometric p = 19, L = 1 has a second-best pair whose neighbours are all worse."""
    problem = PROBLEMS[f"lost_sales_{name}"]
    solution = best_capped_base_stock(problem)
    level = int(solution.parameters["level"])
    costs = [
        table_cost(problem, capped_base_stock_table(problem, s, r))[0]
        for s in range(level - 5, level + 6)
        for r in range(1, 21)
    ]
    assert min(costs) == pytest.approx(solution.cost, abs=2 * TOLERANCE)


@pytest.mark.parametrize("name", ["poisson_p39_L3", "poisson_p4_L4", "geometric_p9_L2"])
def test_wider_bounds_on_states_and_orders_change_nothing(name: str) -> None:
    problem = PROBLEMS[f"lost_sales_{name}"]
    assert optimal(problem, slack=3).cost == pytest.approx(optimal(problem).cost, abs=2e-6)


@pytest.mark.parametrize("name", ["poisson_p9_L3", "geometric_p4_L2", "poisson_p19_L1"])
def test_the_optimal_table_costs_what_it_promises(name: str) -> None:
    problem = PROBLEMS[f"lost_sales_{name}"]
    solution = optimal(problem)
    assert isinstance(solution.policy, TablePolicy)
    cost, error = table_cost(problem, solution.policy.orders)
    assert cost == pytest.approx(solution.cost, abs=2 * TOLERANCE)
    assert error <= TOLERANCE


State = tuple[int, ...]


def enumerated_cost(problem: ClassicalProblem, order: Callable[[State], int]) -> float:
    """Average cost of a policy from the stationary distribution of the states it reaches.

    State: on hand, then what arrives in 1..L-1 days. Shares nothing with the solvers but the
    probabilities of demand.
    """
    demand = daily_probabilities(problem.demand)
    start: State = (0,) * problem.lead_time
    number = {start: 0}
    todo = [start]
    rows: list[int] = []
    columns: list[int] = []
    shares: list[float] = []
    cost: dict[int, float] = {}
    while todo:
        state = todo.pop()
        on_hand, row = state[0], number[state]
        due = (*state[1:], order(state))
        left_shares = [float(demand[on_hand - left]) if on_hand - left < len(demand) else 0.0
                       for left in range(1, on_hand + 1)]  # fmt: skip
        left_shares.insert(0, 1.0 - sum(left_shares))
        leftover = sum(left * share for left, share in enumerate(left_shares))
        lost = problem.demand.mean - (on_hand - leftover)
        cost[row] = problem.holding_cost * leftover + problem.shortage_cost * lost
        for left, share in enumerate(left_shares):
            after = (left + due[0], *due[1:])
            if after not in number:
                number[after] = len(number)
                todo.append(after)
            rows.append(row)
            columns.append(number[after])
            shares.append(share)
    size = len(number)
    moves = sparse.csr_matrix((shares, (columns, rows)), shape=(size, size))
    share = np.full(size, 1 / size)
    for _ in range(5000):
        after_day = moves @ share
        if np.abs(after_day - share).sum() < 1e-13:
            break
        share = after_day
    return float(share @ [cost[row] for row in range(size)])


@pytest.mark.parametrize(
    ("name", "level", "cap"),
    [
        ("poisson_p4_L3", 20, 99),
        ("poisson_p9_L2", 19, 6),
        ("geometric_p39_L1", 27, 99),
        ("geometric_p9_L2", 22, 99),
        ("poisson_p39_L3", 28, 7),
    ],
)
def test_costs_of_given_policies_are_those_of_an_enumeration(
    name: str, level: int, cap: int
) -> None:
    check_against_enumeration(PROBLEMS[f"lost_sales_{name}"], level, cap)


@pytest.mark.slow
@pytest.mark.parametrize(("level", "cap"), [(33, 99), (34, 6)])
def test_costs_where_published_ones_are_off_are_those_of_an_enumeration(
    level: int, cap: int
) -> None:
    check_against_enumeration(PROBLEMS["lost_sales_poisson_p39_L4"], level, cap)


def check_against_enumeration(problem: ClassicalProblem, level: int, cap: int) -> None:
    expected = enumerated_cost(problem, lambda state: min(max(level - sum(state), 0), cap))
    if cap < level:
        cost, _ = table_cost(problem, capped_base_stock_table(problem, level, cap))
    else:
        cost, _ = base_stock_cost(problem, level)
    assert cost == pytest.approx(expected, abs=2 * TOLERANCE)


def test_a_cap_that_never_binds_is_a_base_stock() -> None:
    problem = PROBLEMS["lost_sales_poisson_p9_L2"]
    capped, _ = table_cost(problem, capped_base_stock_table(problem, 19, 19))
    assert capped == pytest.approx(base_stock_cost(problem, 19)[0], abs=2 * TOLERANCE)


def test_nothing_on_hand_loses_everything() -> None:
    problem = PROBLEMS["lost_sales_poisson_p9_L2"]
    cost, _ = table_cost(problem, np.zeros((2, 1), dtype=np.int64))
    assert cost == pytest.approx(9 * 5.0)


def test_what_cannot_be_solved_is_said() -> None:
    problem = PROBLEMS["lost_sales_poisson_p9_L2"]
    for solver in (best_base_stock, best_capped_base_stock, optimal):
        with pytest.raises(ScenarioError, match="search_by_simulation") as raised:
            solver(replace(problem, review_period=2))
        assert raised.value.field == "review_period"
        with pytest.raises(ScenarioError, match=r"newsvendor\(\)"):
            solver(replace(problem, backlog=True))
        with pytest.raises(ScenarioError, match="search_by_simulation"):
            solver(replace(problem, demand=Normal(5.0, 1.6)))
        with pytest.raises(ScenarioError, match="states"):
            solver(replace(problem, lead_time=12))
