"""Policies that solvers return: what they order, and searches and simulations of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from envs.problems.classical import PROBLEMS, ClassicalProblem, Poisson, scenario
from envs.rollout import rollout
from envs.state import Observation
from pipeline.studies.solvers import (
    BaseStock,
    CappedBaseStock,
    TablePolicy,
    best_base_stock,
    best_capped_base_stock,
    optimal,
    search_by_simulation,
    simulate,
    solve,
)
from pipeline.studies.solvers.lost_sales import capped_base_stock_table
from pipeline.studies.solvers.search import lowest_neighbour


def observed(*stock: tuple[float, ...]) -> Observation:
    n = len(stock)
    return Observation(torch.tensor(stock), torch.ones(n), torch.ones(n, 1), torch.ones(n, 1))


def test_base_stock_and_cap() -> None:
    seen = observed((3.0, 2.0, 0.0), (10.0, 9.0, 0.0), (20.0, 0.0, 0.0))
    assert BaseStock(19)(seen).order.tolist() == [14.0, 0.0, 0.0]
    assert CappedBaseStock(19, 6)(seen).order.tolist() == [6.0, 0.0, 0.0]
    assert CappedBaseStock(6, 6)(seen).order.tolist() == [1.0, 0.0, 0.0]


def test_a_table_is_read_by_on_hand_and_arrivals() -> None:
    # orders[x_1, x_2, x_0] = 100 x_1 + 10 x_2 + x_0
    orders = np.add.outer(100 * np.arange(3), np.add.outer(10 * np.arange(3), np.arange(5)))
    policy = TablePolicy(orders)
    # Stock lists x_0, x_1, x_2 and the empty place of the order to come.
    seen = observed((4.0, 1.0, 2.0, 0.0), (0.0, 2.0, 0.0, 0.0), (9.0, 7.0, 1.0, 0.0))
    # The last state lies outside: it is read at the ends, on hand 4 and arrival 2.
    assert policy(seen).order.tolist() == [124.0, 200.0, 214.0]


@pytest.mark.parametrize("lead", [1, 2, 3])
def test_a_capped_base_stock_and_its_table_order_the_same(lead: int) -> None:
    problem = PROBLEMS[f"lost_sales_poisson_p9_L{lead}"]
    level, cap = 8 + 5 * lead, 7
    given = scenario(problem, 200, 60, seed=2)
    one = rollout(given, CappedBaseStock(level, cap))
    other = rollout(given, TablePolicy(capped_base_stock_table(problem, level, cap)))
    assert torch.equal(one.order, other.order)
    assert one.order.unique().numel() > 3


def test_solve_orders_policies_by_cost() -> None:
    solutions = solve(PROBLEMS["lost_sales_poisson_p9_L2"])
    assert list(solutions) == ["base_stock", "capped_base_stock", "optimal"]
    costs = [solution.cost for solution in solutions.values()]
    assert costs == sorted(costs, reverse=True)
    assert len(set(costs)) == 3


def test_optimal_orders_are_whole_and_fall_with_stock() -> None:
    policy = optimal(PROBLEMS["lost_sales_poisson_p9_L3"]).policy
    assert isinstance(policy, TablePolicy)
    reached = policy.orders[:6, :6, :20]
    assert reached.max() > 5
    # Morton (1969): one more unit anywhere lowers the order by 0 or 1.
    for axis in range(3):
        steps = np.diff(reached, axis=axis)
        assert steps.max() <= 0
        assert steps.min() >= -1


def test_the_walk_finds_a_minimum_once_per_choice() -> None:
    asked: list[tuple[int, ...]] = []

    def cost_of(parameters: tuple[int, ...]) -> tuple[float, float]:
        asked.append(parameters)
        x, y = parameters
        return (x - 7) ** 2 + abs(y - 21), 0.5

    best, known = lowest_neighbour(cost_of, (1, 40), (0, 0), step=8)
    assert (best, known) == ((7, 21), (0, 0.5))
    assert len(asked) == len(set(asked))
    assert min(min(parameters) for parameters in asked) >= 0


def test_the_walk_respects_the_smallest_values() -> None:
    best, _ = lowest_neighbour(lambda p: (float(p[0]), 0.0), (5,), (2,), step=4)
    assert best == (2,)


def test_search_by_simulation_finds_what_the_exact_solver_finds() -> None:
    problem = PROBLEMS["lost_sales_poisson_p9_L1"]
    exact = best_base_stock(problem)
    found = search_by_simulation(problem, BaseStock, (10,), periods=200_000)
    assert found.parameters == exact.parameters
    assert found.cost == pytest.approx(exact.cost, abs=2 * found.error)
    exact = best_capped_base_stock(problem)
    found = search_by_simulation(problem, CappedBaseStock, (18, 9), periods=200_000)
    assert found.parameters == exact.parameters


def test_search_by_simulation_solves_what_has_no_exact_solver() -> None:
    """Lost sales with an order every third day."""
    problem = ClassicalProblem("mine", Poisson(5.0), 2, shortage_cost=9.0, review_period=3)
    found = search_by_simulation(problem, BaseStock, (30,), periods=200_000)
    level = found.parameters["level"]
    for other in (level - 2, level + 2):
        cost = simulate(problem, BaseStock(other), periods=200_000, seed=0).cost
        assert cost > simulate(problem, BaseStock(level), periods=200_000, seed=0).cost


def test_simulations_state_their_error() -> None:
    problem = PROBLEMS["backlog_poisson_b9_L1"]
    runs = [simulate(problem, BaseStock(14), periods=20_000, seed=seed) for seed in range(30)]
    costs = torch.tensor([run.cost for run in runs])
    errors = torch.tensor([run.standard_error for run in runs])
    assert all(20_000 <= run.periods < 21_000 for run in runs)
    # The spread between 30 simulations is known to 13 %.
    assert float(costs.std()) == pytest.approx(float(errors.mean()), rel=0.5)
    assert runs[0] == simulate(problem, BaseStock(14), periods=20_000, seed=0)


def test_simulations_of_long_review_periods_count_whole_ones() -> None:
    problem = replace(PROBLEMS["backlog_poisson_b9_L1"], review_period=11)
    assert simulate(problem, BaseStock(60), periods=1, seed=0).periods == 2 * 495
    longest = replace(problem, review_period=600)
    assert simulate(longest, BaseStock(60), periods=1, seed=0).periods == 2 * 600


def test_a_control_takes_the_luck_of_the_sample_off() -> None:
    problem = PROBLEMS["lost_sales_poisson_p9_L2"]
    best, exact = best_base_stock(problem), optimal(problem)
    control = (best.policy, best.cost)
    itself = simulate(problem, best.policy, periods=20_000, seed=3, control=control)
    assert itself.cost == pytest.approx(best.cost, rel=1e-6)
    assert itself.standard_error < 1e-6
    plain = simulate(problem, exact.policy, periods=100_000, seed=3)
    controlled = simulate(problem, exact.policy, periods=100_000, seed=3, control=control)
    assert controlled.standard_error < 0.6 * plain.standard_error
    assert controlled.cost == pytest.approx(exact.cost, abs=4 * controlled.standard_error)
