"""Search over the few whole-number parameters of a policy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product

from envs.problems.classical import ClassicalProblem
from envs.rollout import Policy
from pipeline.studies.solvers.simulation import simulate
from pipeline.studies.solvers.solution import Solution

Parameters = tuple[int, ...]
CostOf = Callable[[Parameters], tuple[float, float]]
"""Cost per day of a choice of parameters, and its error."""


def lowest_neighbour(
    cost_of: CostOf,
    start: Parameters,
    smallest: Sequence[int],
    *,
    step: int = 1,
    reach: int = 1,
) -> tuple[Parameters, tuple[float, float]]:
    """Walks to the best neighbour until there is none better; then halves the step, down to 1.

    Args:
        cost_of: Called once per choice.
        start: Where to begin.
        smallest: Least value of each parameter.
        step: First step of the walk.
        reach: How many steps away, in every parameter at once, a neighbour may be.

    Returns:
        Parameters that no choice within ``reach`` of them beats; their cost and error.
    """
    known: dict[Parameters, tuple[float, float]] = {}

    def cost(parameters: Parameters) -> float:
        if parameters not in known:
            known[parameters] = cost_of(parameters)
        return known[parameters][0]

    best = start
    while step >= 1:
        around = [
            tuple(max(p + step * move, low) for p, move, low in zip(best, moves, smallest,
                                                                     strict=True))
            for moves in product(range(-reach, reach + 1), repeat=len(best))
        ]  # fmt: skip
        candidate = min(around, key=cost)
        if cost(candidate) < cost(best):
            best = candidate
        else:
            step //= 2
    return best, known[best]


def search_by_simulation(
    problem: ClassicalProblem,
    policy_of: Callable[..., Policy],
    start: Parameters,
    *,
    periods: int = 1_000_000,
    seed: int = 0,
    names: Sequence[str] = ("level", "cap"),
) -> Solution:
    """The best parameters of a policy where no exact solver applies.

    All choices see the same demand, so their differences are far more exact than their costs.
    The cost that is returned is that of another, independent simulation: the least of many
    noisy costs would be too low.

    Args:
        problem: Any.
        policy_of: Makes a policy of parameters, e.g. :class:`~pipeline.studies.solvers.BaseStock`
            or :class:`~pipeline.studies.solvers.CappedBaseStock`.
        start: Where to begin, units.
        periods: Counted inventory-days per choice.
        seed: Of the demand.
        names: What the parameters are called.

    Returns:
        The policy; its error is two standard errors.
    """

    def cost_of(parameters: Parameters) -> tuple[float, float]:
        estimate = simulate(problem, policy_of(*parameters), periods=periods, seed=seed)
        return estimate.cost, 2 * estimate.standard_error

    best, _ = lowest_neighbour(
        cost_of, start, [0] * len(start), step=max(1, round(problem.demand.mean / 2)), reach=2
    )
    fresh = simulate(problem, policy_of(*best), periods=periods, seed=seed + 1)
    parameters = {name: float(value) for name, value in zip(names, best, strict=False)}
    return Solution(policy_of(*best), fresh.cost, 2 * fresh.standard_error, parameters)
