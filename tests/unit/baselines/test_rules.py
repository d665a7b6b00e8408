"""Baselines: the bound that is a bound, and rules that choose what they may choose."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from envs.objective import DEFAULT_OBJECTIVE
from envs.rollout import Decision, Policy
from envs.state import InventoryState, Observation, ObservationLayout, Scenario
from pipeline.baselines.rules import (
    LEVEL_FACTORS,
    SAFETY_FACTORS,
    BaseStockPerClass,
    ForecastSafetyStock,
    perfect_hindsight,
)
from pipeline.evaluation.play import PolicyFor, evaluate_scenario, play_policy
from pipeline.features.build import BASIS, FEATURES
from pipeline.policies.order_up_to import FORECAST, order_up_to
from pipeline.scenarios.dataset import DatasetSource
from pipeline.scenarios.source import Split
from pipeline.scenarios.start import evaluation_start

Problem = Callable[..., tuple[Scenario, InventoryState]]


def asked(observation: Observation) -> Decision:
    return Decision(observation.basis[..., 0])


def base_stock(factor: float) -> Policy:
    return lambda o: order_up_to(factor * o.scale, o)


def cost_of(scenario: Scenario, policy: PolicyFor | Policy) -> np.ndarray:
    policy_for = policy if policy is perfect_hindsight else play_policy(policy)  # type: ignore[arg-type]
    return evaluate_scenario(scenario, policy_for)["cost"].to_numpy()  # type: ignore[arg-type]


# -- perfect hindsight ---------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("choices", [
    {},
    {"backlog": True, "longest_period": 7},
    {"random_lead_time": True},
    {"random_fill": True},
    {"random_counted": True, "longest_period": 7},
    {"order_multiple": 5.0},
    {"order_max": 6.0},
])  # fmt: skip
def test_nobody_beats_perfect_hindsight(
    random_problem: Problem, seed: int, choices: dict[str, object]
) -> None:
    scenario, _ = random_problem(seed, n=200, days=30, **choices)
    if scenario.counted is not None:
        # As in data sets: what is not on sale has no demand.
        scenario = replace(scenario, demand=scenario.demand * scenario.counted)
    bound = cost_of(scenario, perfect_hindsight)
    policies: list[Policy] = [asked, *(base_stock(f) for f in (0.0, 0.5, 1.0, 2.0, 4.0))]
    for policy in policies:
        other = cost_of(scenario, policy)
        counted = ~np.isnan(other)
        assert counted.mean() > 0.95
        assert (bound[counted] <= other[counted] + 1e-9).all()


def tiny(
    demand: Sequence[float], b: float, h: float, lead: int, period: int, *, backlog: bool, most: int
) -> Scenario:
    """All plans of whole orders 0..most on the review days, one inventory each."""
    days = len(demand)
    reviews = [t for t in range(days) if t % period == 0]
    plans = torch.tensor(list(itertools.product(range(most + 1), repeat=len(reviews)))).double()
    n = len(plans)
    orders = torch.zeros(days, n, dtype=torch.float64)
    orders[reviews] = plans.T
    return Scenario(
        demand=torch.tensor(demand, dtype=torch.float64).unsqueeze(1).expand(days, n).contiguous(),
        lead_time=torch.full((n,), lead),
        review_period=torch.full((n,), period),
        review=(torch.arange(days) % period == 0).unsqueeze(1).expand(days, n).contiguous(),
        shortage_cost=torch.full((n,), b).double(),
        holding_cost=torch.full((n,), h).double(),
        scale=torch.ones(days, n, dtype=torch.float64),  # i.e. one unit on hand at the start
        basis=orders.unsqueeze(-1),
        features=torch.zeros(days, n, 1).double(),
        max_lead_time=lead,
        backlog=backlog,
    ).validate()


@pytest.mark.parametrize("backlog", [False, True])
@pytest.mark.parametrize(("lead", "period", "days"), [(0, 2, 6), (1, 2, 6), (2, 4, 8), (1, 3, 7)])
@pytest.mark.parametrize(("b", "h"), [(9.0, 1.0), (1.0, 1.0), (1.0, 2.0), (2.0, 1.0)])
@pytest.mark.parametrize("constant_lead_time", [True, False])
def test_hindsight_is_the_best_of_all_plans(
    backlog: bool, lead: int, period: int, days: int, b: float, h: float, constant_lead_time: bool
) -> None:
    """With whole demand the best plan is whole, so trying all of them finds it."""
    rng = np.random.default_rng([lead, period, int(b), int(h)])
    for _ in range(3):
        demand = rng.integers(0, 3, days).astype(float).tolist()
        scenario = tiny(demand, b, h, lead, period, backlog=backlog, most=9 if period > 2 else 6)
        if not constant_lead_time:
            lead_time = torch.as_tensor(rng.integers(0, 3, (days, 1)))
            scenario = replace(
                scenario, order_lead_time=lead_time.expand_as(scenario.demand), max_lead_time=2
            )
        best = cost_of(scenario, asked).min()
        bound = cost_of(scenario, perfect_hindsight)
        np.testing.assert_allclose(bound, best, rtol=0, atol=1e-9)


def test_hindsight_is_a_bound_on_a_data_set_too(source: DatasetSource) -> None:
    scenario = source.load("test", 0)
    bound = cost_of(scenario, perfect_hindsight)
    for policy in (base_stock(0.5), base_stock(1.0), ForecastSafetyStock(1.0)):
        other = cost_of(scenario, policy)
        # Nothing is counted, and nothing costs, where an item ended before the test.
        np.testing.assert_array_equal(np.isnan(bound), np.isnan(other))
        assert not (bound > other + 1e-4).any()
        assert np.nanmean(bound) < 0.7 * np.nanmean(other)


# -- rules -----------------------------------------------------------------------------------


class OneTile:
    """A source of one small tile."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.asked_for: set[str] = set()

    @property
    def layout(self) -> ObservationLayout:
        return self.scenario.layout

    def num_tiles(self, split: Split) -> int:
        self.asked_for.add(split)
        return 1

    def load(self, split: Split, tile: int) -> Scenario:
        self.asked_for.add(split)
        return self.scenario

    def evaluation_start(self, scenario: Scenario) -> InventoryState:
        return evaluation_start(scenario)


@pytest.fixture(scope="module")
def one_tile(source: DatasetSource) -> OneTile:
    return OneTile(source.load("train", 0).inventories(torch.arange(60)))


def test_order_up_to_orders_what_the_position_lacks() -> None:
    observation = Observation(
        torch.tensor([[3.0, 2.0], [9.0, 4.0]]), torch.ones(2), torch.ones(2, 1), torch.ones(2, 0)
    )
    assert order_up_to(torch.tensor([7.5, 10.0]), observation).order.tolist() == [2.5, 0.0]


def test_the_safety_stock_is_a_normal_quantile_of_the_forecast_error() -> None:
    features = torch.zeros(1, len(FEATURES))
    basis = torch.zeros(1, len(BASIS))
    b, h, period, error, scale, forecast = 19.0, 1.0, 1.0, 0.3, 50.0, 40.0
    values = {
        "log_cost_ratio": np.log(b / h) / 4,
        "review_period": period / 7,
        "forecast_error": error,
    }
    for name, value in values.items():
        features[0, FEATURES.index(name)] = value
    basis[0, FORECAST] = forecast
    observation = Observation(torch.tensor([[5.0]]), torch.tensor([scale]), basis, features)
    # b / (b + h P) = 0.95, whose normal quantile is 1.6449.
    expected = forecast + 2.0 * 1.6449 * error * scale - 5.0
    order = ForecastSafetyStock(2.0)(observation).order
    assert order.item() == pytest.approx(expected, rel=1e-4)


def test_the_safety_factor_is_tuned_on_training_inventories(one_tile: OneTile) -> None:
    one_tile.asked_for.clear()
    best = ForecastSafetyStock.tune(one_tile, DEFAULT_OBJECTIVE)
    assert one_tile.asked_for == {"train"}
    costs = {
        factor: np.nansum(cost_of(one_tile.scenario, ForecastSafetyStock(factor)))
        for factor in SAFETY_FACTORS[::5]
    }
    chosen = np.nansum(cost_of(one_tile.scenario, best))
    assert best.safety_factor in SAFETY_FACTORS
    assert chosen <= min(costs.values()) + 1e-6
    assert chosen < max(costs.values())


def test_levels_are_tuned_per_class_on_training_inventories(one_tile: OneTile) -> None:
    one_tile.asked_for.clear()
    best = BaseStockPerClass.tune(one_tile, DEFAULT_OBJECTIVE)
    assert one_tile.asked_for == {"train"}
    assert len(best.factors) == BaseStockPerClass.CLASSES
    scenario = one_tile.scenario
    group = BaseStockPerClass.class_of(scenario).numpy()
    assert len(np.unique(group)) > 5

    def per_class(policy_for: PolicyFor) -> pd.Series:
        rows = evaluate_scenario(scenario, policy_for)
        return rows["cost"].groupby(group).sum()

    chosen = per_class(best.policy_for)
    for factor in LEVEL_FACTORS[::10]:
        same_for_all = BaseStockPerClass([factor] * BaseStockPerClass.CLASSES)
        assert (chosen <= per_class(same_for_all.policy_for) + 1e-4).all()
    assert len({best.factors[g] for g in np.unique(group)}) > 1


def test_a_constant_level_is_fixed_on_the_first_day(one_tile: OneTile) -> None:
    scenario = one_tile.scenario
    played, policy = BaseStockPerClass([2.0] * BaseStockPerClass.CLASSES).policy_for(scenario)
    empty = InventoryState.empty(60, scenario.max_lead_time, like=scenario.demand)
    for day in (0, 40):
        order = policy(played.observe(day, empty)).order
        torch.testing.assert_close(order, 2.0 * scenario.scale[0])
