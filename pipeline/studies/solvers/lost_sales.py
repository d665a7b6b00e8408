"""Lost sales with a lead time, exactly: base stock, capped base stock and the optimum.

State on the morning of a day, before the order (Zipkin 2008): x_0 on hand and x_k arriving in
k days, k = 1..L-1; the order z arrives in L days. Demand is whole and independent from day to
day, an order may be placed every day.

All costs are long-run averages found by relative value iteration, V <- c + P V. After every
iteration the true average lies between the smallest and the largest change of V (MacQueen
1966; Puterman 1994, theorem 8.5.6), so the reported error is a certificate, not a guess.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from envs.errors import ScenarioError
from envs.problems.classical import ClassicalProblem
from pipeline.studies.solvers.laws import daily_probabilities, total_demand
from pipeline.studies.solvers.search import lowest_neighbour
from pipeline.studies.solvers.solution import BaseStock, CappedBaseStock, Solution, TablePolicy

Array = NDArray[np.float64]
Orders = NDArray[np.int64]

TOLERANCE = 1e-6
"""Cost per day to which averages are computed."""
MOST_ITERATIONS = 5_000
MOST_STATES = 20_000_000
"""About ten arrays of this many floats are held."""


def best_base_stock(problem: ClassicalProblem) -> Solution:
    """The constant base-stock level with the least cost.

    The cost is convex in the level (Janakiraman and Roundy 2004), so the first level without a
    better neighbour is best; the search starts at the backlog problem's level.

    Raises:
        ScenarioError: See :func:`optimal`.
    """
    _check(problem)
    (level,), (cost, error) = lowest_neighbour(
        lambda levels: base_stock_cost(problem, levels[0]), (_backlog_level(problem),), (0,)
    )
    return Solution(BaseStock(level), cost, error, {"level": level})


def best_capped_base_stock(problem: ClassicalProblem) -> Solution:
    """The base-stock level S and the largest order r with the least cost (Xin 2021).

    A descent over whole (S, r), from the backlog problem's level and a cap somewhat above mean
    demand. It looks up to two units away in both at once: nearer neighbours alone can all be
    worse (geometric demand, p = 19, L = 1) where the best pair is two units off.

    Raises:
        ScenarioError: See :func:`optimal`.
    """
    _check(problem)
    start = (_backlog_level(problem), int(1.2 * problem.demand.mean) + 1)

    def cost(parameters: tuple[int, ...]) -> tuple[float, float]:
        return table_cost(problem, capped_base_stock_table(problem, *parameters))

    (level, cap), (best, error) = lowest_neighbour(cost, start, (1, 1), step=2, reach=2)
    return Solution(CappedBaseStock(level, cap), best, error, {"level": level, "cap": cap})


def optimal(problem: ClassicalProblem, *, slack: int = 0) -> Solution:
    """The optimal policy, a table of orders by state.

    No optimal order brings x_l + ... + x_{L-1} + z above s_l, the newsvendor level for the
    demand of L + 1 - l days, l = 0..L (Morton 1969; Zipkin 2008, section 3). That bounds both
    the states and the orders.

    Args:
        problem: Lost sales, L >= 1, P = 1, demand in whole units.
        slack: Added to every bound; the cost does not depend on it.

    Raises:
        ScenarioError: The problem is another one, or has too many states.
    """
    _check(problem)
    lead = problem.lead_time
    bounds = [
        int(total_demand(problem.demand, lead + 1 - arriving).ppf(problem.critical_ratio)) + slack
        for arriving in range(lead + 1)
    ]
    chain = _TableChain(problem, largest_order=bounds[lead], most_on_hand=bounds[0])
    # The most that may be ordered in each state.
    on_hand, arrivals = chain.state_axes()
    most = np.full(chain.shape, bounds[lead])
    position = np.zeros(chain.shape, dtype=np.int64)
    for arriving in range(lead - 1, -1, -1):
        position = position + (arrivals[arriving - 1] if arriving else on_hand)
        most = np.minimum(most, bounds[arriving] - position)
    most = most.clip(min=0)

    def backup(values: Array) -> Array:
        best = chain.continuation(values, 0)
        for order in range(1, bounds[lead] + 1):
            np.minimum(best, chain.continuation(values, order), out=best, where=order <= most)
        return best + chain.cost

    cost, error, values = _average_cost(backup, chain.shape)
    best = chain.continuation(values, 0)
    orders = np.zeros(chain.shape, dtype=np.int64)
    for order in range(1, bounds[lead] + 1):
        to_go = chain.continuation(values, order)
        better = (order <= most) & (to_go < best)
        orders[better], best[better] = order, to_go[better]
    return Solution(TablePolicy(orders), cost, error)


def table_cost(problem: ClassicalProblem, orders: Orders) -> tuple[float, float]:
    """Average cost of any table of orders, and its error.

    Args:
        problem: As in :func:`optimal`.
        orders: [x_1, ..., x_{L-1}, x_0]; the axes of x_1..x_{L-1} have one place more than the
            largest order, and stock on hand beyond the last axis is read (and kept) at its end.
    """
    _check(problem)
    chain = _TableChain(problem, orders.shape[0] - 1 if orders.ndim > 1 else int(orders.max()),
                        orders.shape[-1] - 1)  # fmt: skip
    placed = [(order, orders == order) for order in np.unique(orders).tolist()]

    def backup(values: Array) -> Array:
        result = np.broadcast_to(chain.cost, chain.shape).copy()
        for order, states in placed:
            result[states] += chain.continuation(values, order)[states]
        return result

    return _average_cost(backup, chain.shape)[:2]


def capped_base_stock_table(problem: ClassicalProblem, level: int, cap: int) -> Orders:
    """Orders min(max(S - tot(I), 0), r) as a table for :func:`table_cost`."""
    shape = (cap + 1,) * (problem.lead_time - 1) + (level + 1,)
    _check_size(problem, math.prod(shape))
    orders: Orders = (level - np.indices(shape).sum(0)).clip(0, cap)
    return orders


def base_stock_cost(problem: ClassicalProblem, level: int) -> tuple[float, float]:
    """Average cost of a constant base-stock level, and its error.

    Every order replaces the sales of the day before, so after an order the state is the last L
    sales (they are what is on order), and level minus their sum is on hand.
    """
    _check(problem)
    lead, size = problem.lead_time, level + 1
    _check_size(problem, size**lead)
    served, cost = _one_day(problem, level)
    sold = np.zeros_like(served)  # sold[y, s] = P(sales = s | y on hand)
    for on_hand in range(size):
        sold[on_hand, : on_hand + 1] = served[on_hand, on_hand::-1]
    # Rows: the L-1 older sales (x_1..x_{L-1}) whose sum the level allows; columns: the latest.
    older = np.indices((size,) * (lead - 1)).reshape(lead - 1, size ** (lead - 1))
    older = older[:, older.sum(0) <= level]
    code = size ** np.arange(lead - 1)[::-1]
    latest = np.arange(size)
    left = level - older.sum(0)[:, None] - latest
    # Tomorrow the oldest has arrived: the row of (x_2..x_{L-1}, latest).
    tomorrow = np.zeros(left.shape, dtype=np.int64)
    if lead > 1:
        row_of = np.zeros(size ** (lead - 1), dtype=np.int64)
        row_of[code @ older] = np.arange(older.shape[1])
        tomorrow = row_of[(code[:-1] @ older[1:])[:, None] + latest]
    # Combinations above the level do not occur: they copy the first state.
    possible = left >= 0
    left = np.where(possible, left, level)
    tomorrow = np.where(possible, tomorrow, 0)
    today = cost[left]

    def backup(values: Array) -> Array:
        return today + (values @ sold.T)[tomorrow, left]

    return _average_cost(backup, left.shape)[:2]


class _TableChain:
    """Costs and transitions over the states [x_1, ..., x_{L-1}, x_0]."""

    def __init__(self, problem: ClassicalProblem, largest_order: int, most_on_hand: int) -> None:
        self.lead = problem.lead_time
        self.sizes = largest_order + 1
        self.on_hand = most_on_hand + 1
        self.shape = (self.sizes,) * (self.lead - 1) + (self.on_hand,)
        _check_size(problem, math.prod(self.shape))
        served, self.cost = _one_day(problem, most_on_hand)
        # morning[x, a, y] = P(x on hand tomorrow | a arrives, y on hand today).
        self._morning = np.zeros((self.on_hand, self.sizes, self.on_hand))
        for arrival in range(self.sizes):
            for left in range(self.on_hand):
                on_hand = min(left + arrival, most_on_hand)
                self._morning[on_hand, arrival] += served[:, left]

    def state_axes(self) -> tuple[NDArray[np.int64], list[NDArray[np.int64]]]:
        """x_0 and [x_1, ..., x_{L-1}] of every state, each of a shape that broadcasts."""
        axes = np.indices(self.shape, sparse=True)
        return axes[-1], list(axes[:-1])

    def continuation(self, values: Array, order: int) -> Array:
        """Expected value of tomorrow's state, for every state of today, after one order."""
        if self.lead == 1:
            result: Array = values @ self._morning[:, order]
            return result
        # Tomorrow's (x_1, ..., x_{L-1}) is today's (x_2, ..., x_{L-1}, order).
        rows = values[..., order, :].reshape(-1, self.on_hand)
        expected = rows @ self._morning.reshape(self.on_hand, -1)
        shape = (self.sizes,) * (self.lead - 2) + (self.sizes, self.on_hand)
        return np.moveaxis(expected.reshape(shape), -2, 0)


def _backlog_level(problem: ClassicalProblem) -> int:
    """Where searches start: never far above the best level with lost sales."""
    demand = total_demand(problem.demand, problem.lead_time + 1)
    return int(demand.ppf(problem.critical_ratio))


def _one_day(problem: ClassicalProblem, most_on_hand: int) -> tuple[Array, Array]:
    """P(r left at the end | y on hand) as [y, r], and the expected cost of the day [y]."""
    probabilities = daily_probabilities(problem.demand)
    size = most_on_hand + 1
    demand = np.zeros(size)
    demand[: len(probabilities)] = probabilities[:size]
    served = np.zeros((size, size))
    for on_hand in range(size):
        served[on_hand, 1 : on_hand + 1] = demand[:on_hand][::-1]
        served[on_hand, 0] = 1.0 - demand[:on_hand].sum()
    on_hand_axis = np.arange(size)
    left = served @ on_hand_axis
    lost = problem.demand.mean - (on_hand_axis - left)
    return served, problem.holding_cost * left + problem.shortage_cost * lost


def _average_cost(
    backup: Callable[[Array], Array], shape: tuple[int, ...]
) -> tuple[float, float, Array]:
    """Relative value iteration: average cost, its error, and the relative values."""
    values = np.zeros(shape)
    low, high = -np.inf, np.inf
    for _ in range(MOST_ITERATIONS):
        after = backup(values)
        change = after - values
        low, high = float(change.min()), float(change.max())
        values = after - after.flat[0]
        if high - low <= 2 * TOLERANCE:
            break
    return (low + high) / 2, (high - low) / 2, values


def _check(problem: ClassicalProblem) -> None:
    if problem.backlog or problem.lead_time < 1:
        raise ScenarioError(
            "problem", problem.name, "Use pipeline.studies.solvers.newsvendor().",
            "has backlog or no lead time",
        )  # fmt: skip
    if problem.review_period != 1:
        raise ScenarioError(
            "review_period", problem.review_period,
            "Use pipeline.studies.solvers.search_by_simulation().",
            "is above 1, which has no exact solver here",
        )  # fmt: skip


def _check_size(problem: ClassicalProblem, states: int) -> None:
    if states > MOST_STATES:
        raise ScenarioError(
            "problem", problem.name, "Use pipeline.studies.solvers.search_by_simulation().",
            f"has {states:,} states, more than the {MOST_STATES:,} that exact solvers take",
        )  # fmt: skip
