"""One set of orders costs the same wherever it is played, to a millionth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from stockpyl.sim import simulation
from stockpyl.supply_chain_network import single_stage_system

from envs.credit import governed_days
from envs.gym_env import InventoryVectorEnv
from envs.objective import day_cost
from envs.problems.classical import PROBLEMS, ClassicalProblem, Poisson, scenario
from envs.problems.settings import study_setting1
from envs.rollout import Decision, Policy, rollout
from envs.state import InventoryState, Observation, Scenario
from pipeline.evaluation.play import evaluate_scenario, play_policy
from pipeline.scenarios.start import evaluation_start
from pipeline.studies.solvers import BaseStock, CappedBaseStock, optimal, solve_setting1

DAYS = 40


def in_double(given: Scenario) -> Scenario:
    """The same scenario in float64: what differs is then the arithmetic, not rounding."""
    names = ("demand", "shortage_cost", "holding_cost", "scale", "basis", "features")
    return replace(given, **{name: getattr(given, name).double() for name in names})


def setting1() -> tuple[Scenario, Policy]:
    return in_double(study_setting1(50, seed=1)), solve_setting1().policy


def cell(name: str, policy: Policy, review_period: int = 1) -> tuple[Scenario, Policy]:
    problem = replace(PROBLEMS[name], review_period=review_period)
    return in_double(scenario(problem, 50, DAYS, seed=1)), policy


CASES = {
    "lost sales, optimum": lambda: cell(
        "lost_sales_poisson_p9_L4", optimal(PROBLEMS["lost_sales_poisson_p9_L4"]).policy
    ),
    "lost sales, capped base stock": lambda: cell(
        "lost_sales_geometric_p39_L2", CappedBaseStock(34, 12)
    ),
    "lost sales, review every third day": lambda: cell(
        "lost_sales_poisson_p9_L2", BaseStock(24), review_period=3
    ),
    "backlog, continuous": lambda: cell("backlog_normal_b9_L4", BaseStock(29.585)),
    "backlog, no lead time": lambda: cell("backlog_poisson_b9_L0", BaseStock(8)),
    "setting 1": setting1,
}


@pytest.mark.parametrize("case", CASES)
def test_evaluator_rollout_and_vector_environment_agree(case: str) -> None:
    given, policy = CASES[case]()
    start = evaluation_start(given)
    played = rollout(given, policy, start, record=True)
    cost = day_cost(played.outcome, given.shortage_cost, given.holding_cost)
    counted, _ = governed_days(given.review, given.lead_time, given.review_period)
    if given.counted is not None:
        counted = counted & given.counted
    expected = ((cost * counted).sum(0) / counted.sum(0)).numpy()
    assert expected.std() > 0

    # The evaluator, given the policy; and given the very orders that were placed.
    rows = evaluate_scenario(given, play_policy(policy))
    np.testing.assert_allclose(rows["cost"], expected, rtol=1e-6)
    np.testing.assert_allclose(rows["counted_days"], counted.sum(0))
    fixed = replace(given, basis=played.order.unsqueeze(-1))
    rows = evaluate_scenario(fixed, play_policy(lambda seen: Decision(seen.basis[:, 0])))
    np.testing.assert_allclose(rows["cost"], expected, rtol=1e-6)

    # The environment, given these orders day by day.
    env = InventoryVectorEnv(given, start=lambda _: start)
    env.reset()
    rewards = []
    for day in range(given.num_days):
        _, reward, _, truncated, happened = env.step(played.order[day].unsqueeze(1).numpy())
        rewards.append(reward)
        np.testing.assert_allclose(happened["end"], played.outcome.end[day], rtol=1e-6, atol=1e-9)
    assert truncated.all()
    on_days = counted.numpy()
    np.testing.assert_allclose(
        -(np.stack(rewards) * on_days).sum(0) / on_days.sum(0), expected, rtol=1e-6
    )


def test_a_policy_asked_through_the_environment_orders_the_same() -> None:
    """The flat float32 observation carries all that an optimal policy needs."""
    problem = PROBLEMS["lost_sales_poisson_p9_L4"]
    policy = optimal(problem).policy
    given = scenario(problem, 50, DAYS, seed=1)
    start = evaluation_start(given)
    played = rollout(given, policy, start)
    env = InventoryVectorEnv(given, start=lambda _: start)
    flat, _ = env.reset()
    for day in range(DAYS):
        seen: Observation = given.layout.unflatten(torch.as_tensor(flat))
        order = policy(seen).order
        assert torch.equal(order, played.order[day])
        flat, *_ = env.step(order.unsqueeze(1).numpy())


@pytest.mark.parametrize("lead", [0, 1, 3])
def test_stockpyls_simulator_has_the_same_stock_every_day(lead: int) -> None:
    """Its order follows the day's demand, ours the night after: its lead time is one longer."""
    level, days = 18 + 5 * lead, 120
    problem = ClassicalProblem("peer", Poisson(5.0), lead, shortage_cost=9.0, backlog=True)
    given = scenario(problem, 1, days, seed=4)
    empty = InventoryState.empty(1, lead, like=given.demand)
    start = InventoryState(torch.full((1,), float(level)), empty.pipeline)
    ours = rollout(given, BaseStock(level), start).outcome
    peer = single_stage_system(
        holding_cost=1.0, stockout_cost=9.0, demand_type="D",
        demand_list=given.demand[:, 0].int().tolist(), policy_type="BS", base_stock_level=level,
        shipment_lead_time=lead + 1, initial_inventory_level=level,
    )  # fmt: skip
    total = simulation(peer, days, progress_bar=False)
    (node,) = peer.nodes
    stock = [next(iter(node.state_vars[t].inventory_level.values())) for t in range(days)]
    assert ours.end[:, 0].tolist() == stock
    cost = day_cost(ours, given.shortage_cost, given.holding_cost)
    assert float(cost.sum()) == pytest.approx(total, rel=1e-6)
