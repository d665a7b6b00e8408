"""Best policies of classical problems, by closed form or exactly by computation.

Every solver returns a :class:`~pipeline.studies.solvers.solution.Solution`: a policy that the
simulator plays, its expected cost per day, and how far that cost may be off.
"""

from __future__ import annotations

from envs.problems.classical import ClassicalProblem
from pipeline.studies.solvers.closed_form import newsvendor
from pipeline.studies.solvers.lost_sales import best_base_stock, best_capped_base_stock, optimal
from pipeline.studies.solvers.search import search_by_simulation
from pipeline.studies.solvers.setting1 import solve_setting1
from pipeline.studies.solvers.simulation import Estimate, simulate
from pipeline.studies.solvers.solution import BaseStock, CappedBaseStock, Solution, TablePolicy

__all__ = [
    "BaseStock",
    "CappedBaseStock",
    "Estimate",
    "Solution",
    "TablePolicy",
    "best_base_stock",
    "best_capped_base_stock",
    "newsvendor",
    "optimal",
    "search_by_simulation",
    "simulate",
    "solve",
    "solve_setting1",
]


def solve(problem: ClassicalProblem) -> dict[str, Solution]:
    """All that is known about a problem, by name of the policy class.

    Returns:
        ``base_stock`` always; ``capped_base_stock`` and ``optimal`` too under lost sales with
        a lead time. Elsewhere the base stock is optimal.

    Raises:
        ScenarioError: The problem has lost sales, and a review period above 1, continuous
            demand or too many states: use :func:`search_by_simulation`.
    """
    if problem.backlog or problem.lead_time == 0:
        return {"base_stock": newsvendor(problem)}
    return {
        "base_stock": best_base_stock(problem),
        "capped_base_stock": best_capped_base_stock(problem),
        "optimal": optimal(problem),
    }
