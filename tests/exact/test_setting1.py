"""The study's setting 1: the dynamic programme, and its policy played."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from envs.objective import day_cost
from envs.problems.settings import SETTING1_LOW, feature_of, study_setting1
from envs.rollout import Decision, Policy, rollout
from envs.state import Observation
from pipeline.evaluation.play import evaluate_scenario, play_policy
from pipeline.studies.solvers.setting1 import empirical_law, expected_cost, solve_setting1

PUBLISHED = 0.8543
OF_THE_EMPIRICAL_LAW = 0.8670
"""On one test set of 100 trajectories."""


def played(policy: Policy, n: int) -> tuple[float, float]:
    scenario = study_setting1(n, seed=17)
    outcome = rollout(scenario, policy).outcome
    cost = day_cost(outcome, scenario.shortage_cost, scenario.holding_cost)
    mean = cost[3:].double().mean(0)
    return float(mean.mean()), float(mean.std() / n**0.5)


def levels_of(parameters: dict[str, float]) -> dict[int, int]:
    return {int(name.removeprefix("level_")): int(v) for name, v in parameters.items()}


def test_the_least_expected_cost_is_the_published_one() -> None:
    assert solve_setting1().cost == pytest.approx(PUBLISHED, abs=5e-5)


def test_no_policy_can_cost_less() -> None:
    """A bound without any recursion: every order free to set its own two days' stock."""
    bound = 0.0
    extra = np.array(list(product(range(5), repeat=3)))
    for day in range(2, 29, 2):
        first, second, third = (SETTING1_LOW[day + k] + extra[:, k] for k in range(3))
        costs = []
        for level in range(100):
            ends = np.stack((level - first - second, level - first - second - third))
            costs.append(np.where(ends < 0, -0.9 * ends, 0.1 * ends).sum(0).mean())
        bound += min(costs)
    assert solve_setting1().cost == pytest.approx(bound / 28, rel=1e-9)


def test_the_policy_played_costs_its_expected_cost() -> None:
    solution = solve_setting1()
    cost, error = played(solution.policy, 50_000)
    assert error < 5e-4
    assert cost == pytest.approx(solution.cost, abs=4 * error)
    # The evaluator starts with a scale on hand, which the first order evens out.
    rows = evaluate_scenario(study_setting1(2000, seed=3), play_policy(solution.policy))
    error = float(rows["cost"].std()) / 2000**0.5
    assert float(rows["cost"].mean()) == pytest.approx(solution.cost, abs=4 * error)


def test_every_neighbouring_level_costs_more() -> None:
    solution = solve_setting1()
    levels = levels_of(dict(solution.parameters))
    assert list(levels) == list(range(2, 29, 2))
    for day, move in product(levels, (-1, 1)):
        assert expected_cost({**levels, day: levels[day] + move}) > solution.cost - 1e-12


def test_poor_levels_played_cost_their_expected_cost() -> None:
    """Levels that later stock sometimes exceeds: nothing is ordered then."""
    levels = {day: (60 if day % 4 else 20) for day in range(2, 29, 2)}
    table = torch.tensor([0.0] + [float(levels[d]) for d in range(2, 29, 2)] + [0.0])

    def policy(seen: Observation) -> Decision:
        level = table[feature_of("setting1", seen.features[:, 0]).round().long()]
        return Decision((level - seen.stock.sum(-1)).clamp(min=0.0))

    cost, error = played(policy, 20_000)
    assert expected_cost(levels) == pytest.approx(cost, abs=4 * error)


def test_the_empirical_law_of_ten_trajectories_costs_about_what_is_published(shared: Path) -> None:
    path = shared / "reference" / "synthetic" / "setting1" / "train_demand.csv"
    if not path.is_file():
        pytest.skip(f"the trajectories {path} are not there: set DEEPSTOCK_SHARED")
    demand = torch.tensor(pd.read_csv(path).iloc[:, 1:].to_numpy()).T.float()
    assert demand.shape == (31, 10)
    solution = solve_setting1(empirical_law(demand))
    assert solve_setting1().cost < solution.cost
    # Published: one sample of 100 trajectories. Its standard error follows from our draws.
    cost, error = played(solution.policy, 20_000)
    assert cost == pytest.approx(solution.cost, abs=4 * error)
    of_100 = error * (20_000 / 100) ** 0.5
    assert abs(solution.cost - OF_THE_EMPIRICAL_LAW) < 2 * of_100
