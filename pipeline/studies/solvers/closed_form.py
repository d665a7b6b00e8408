"""The newsvendor, and what reduces to it: backlog with any lead time and review period."""

from __future__ import annotations

import numpy as np
from scipy import optimize

from envs.errors import ScenarioError
from envs.problems.classical import ClassicalProblem, Normal
from pipeline.studies.solvers.laws import expected_cost, total_demand
from pipeline.studies.solvers.solution import BaseStock, Solution


def newsvendor(problem: ClassicalProblem) -> Solution:
    """The optimal base-stock level and its cost per day.

    With backlog, the stock at the end of day t + L + j (j = 0..P-1), t a review day, is the
    level of day t minus the demand of L + j + 1 days. So the cost per day is the mean over j of
    E[h (S - D_j)+ + b (D_j - S)+], and the best S is where the mean of P(D_j <= S) reaches
    b / (b + h) (Zipkin 2000, Foundations of Inventory Management, 9.4 to 9.6). With P = 1 and
    Normal demand that is S = mu + z sigma and the cost (b + h) phi(z) sigma, z the quantile of
    b / (b + h), mu and sigma of L + 1 days.

    Without a lead time and with an order every day, lost sales come to the same: orders restore
    the level before any demand.

    N(100, 10), b = 9 h: z = 1.28155 and (b + h) phi(z) = 1.75498 h.

    >>> solution = newsvendor(
    ...     ClassicalProblem("mine", Normal(100.0, 10.0), 0, 0.9, 0.1, backlog=True)
    ... )
    >>> round(solution.parameters["level"], 4), round(solution.cost, 5)
    (112.8155, 1.75498)

    Raises:
        ScenarioError: Unmet demand is lost, and the lead time or the review period is longer.
    """
    if not problem.backlog and (problem.lead_time > 0 or problem.review_period > 1):
        raise ScenarioError(
            "backlog", problem.backlog,
            "Use pipeline.studies.solvers.best_base_stock() for lost sales with a lead time.",
            "has no closed form here",
        )  # fmt: skip
    days = [problem.lead_time + 1 + j for j in range(problem.review_period)]
    level = _level(problem, days)
    cost = np.mean([
        expected_cost(problem.demand, d, level, problem.shortage_cost, problem.holding_cost)
        for d in days
    ])  # fmt: skip
    return Solution(BaseStock(level), float(cost), parameters={"level": level})


def _level(problem: ClassicalProblem, days: list[int]) -> float:
    """The level that covers the mean over ``days`` of demand with the critical ratio."""
    totals = [total_demand(problem.demand, d) for d in days]
    ratio = problem.critical_ratio
    lowest, highest = (float(total.ppf(ratio)) for total in (totals[0], totals[-1]))
    if lowest == highest:
        return lowest

    def short_of_ratio(level: float) -> float:
        return float(np.mean([total.cdf(level) for total in totals])) - ratio

    if isinstance(problem.demand, Normal):
        return float(optimize.brentq(short_of_ratio, lowest, highest, xtol=1e-12))
    candidates = np.arange(int(lowest), int(highest) + 1)
    return float(next(s for s in candidates if short_of_ratio(float(s)) >= 0.0))
