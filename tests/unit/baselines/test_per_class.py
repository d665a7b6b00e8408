"""The class-tuned order-up-to: classes, shrinkage, and what tuning finds."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from envs.objective import DEFAULT_OBJECTIVE
from envs.state import InventoryState, Scenario
from pipeline.baselines.classes import BANDS, Classes
from pipeline.baselines.grid import grid_costs
from pipeline.baselines.per_class import GRID, OrderUpToPerClass, forecast_levels
from pipeline.baselines.rules import ForecastSafetyStock
from pipeline.evaluation.play import play_policy, play_scenario, summarize_source
from pipeline.features.build import BASIS, FEATURES
from pipeline.policies.order_up_to import FORECAST
from pipeline.scenarios.dataset import DatasetSource
from pipeline.scenarios.source import Split
from tests.columns import sample


class CostRatio:
    """A data set's inventories with another ratio of shortage to holding cost."""

    def __init__(self, source: DatasetSource, ratio: float) -> None:
        self.source, self.ratio = source, ratio
        self.asked_for: set[str] = set()

    def num_tiles(self, split: Split) -> int:
        return self.source.num_tiles(split)

    def evaluation_start(self, scenario: Scenario) -> InventoryState:
        return self.source.evaluation_start(scenario)

    def load(self, split: Split, tile: int) -> Scenario:
        self.asked_for.add(split)
        scenario = self.source.load(split, tile)
        features = scenario.features.clone()
        features[..., FEATURES.index("critical_ratio")] = self.ratio / (1 + self.ratio)
        features[..., FEATURES.index("log_cost_ratio")] = math.log(self.ratio) / 4
        shortage = self.ratio * scenario.holding_cost
        return replace(scenario, shortage_cost=shortage, features=features)


@pytest.mark.parametrize("ratio", [4.0, 40.0, 400.0])
def test_it_beats_one_factor_for_all_whatever_the_cost_ratio(
    source: DatasetSource, ratio: float
) -> None:
    problem = CostRatio(source, ratio)
    per_class = OrderUpToPerClass.tune(problem, DEFAULT_OBJECTIVE)  # type: ignore[arg-type]
    assert problem.asked_for == {"train"}
    one_factor = ForecastSafetyStock.tune(problem, DEFAULT_OBJECTIVE)  # type: ignore[arg-type]
    figures = [
        summarize_source(problem, "train", rule)[0]  # type: ignore[arg-type]
        for rule in (per_class, one_factor)
    ]
    assert figures[0]["cost"] < 0.99 * figures[1]["cost"]
    # The grid has room on both sides of what is best.
    assert max(per_class.error_factors) < max(GRID.second)
    if ratio == 400:
        assert figures[0]["stockout_rate_pct"] < 5


def test_the_grids_costs_are_those_of_the_rule(source: DatasetSource) -> None:
    """Levels are laid out for all days ahead; the rule sees one observation at a time."""
    scenario = source.load("validation", 0)
    costs = grid_costs(source, scenario, DEFAULT_OBJECTIVE, GRID, forecast_levels(scenario))
    classes = Classes({name: [] for name in BANDS})
    for pair in (0, 10, len(GRID.pairs) - 1):
        a, k = GRID.pairs[pair]
        rule = OrderUpToPerClass(classes, [a], [k])
        played = play_scenario(scenario, play_policy(rule), source.evaluation_start(scenario))
        np.testing.assert_allclose(costs[:, pair].sum(0), played.cost.numpy(), rtol=1e-4)


def test_each_inventory_gets_its_classs_pair() -> None:
    columns = sample(50)
    classes = Classes.of_sample(columns)
    n = math.prod(classes.sizes)
    a, k = np.linspace(0.5, 1.5, n).tolist(), np.linspace(0, 4, n).tolist()
    features = torch.zeros(50, len(FEATURES))
    for name, values in columns.items():
        features[:, FEATURES.index(name)] = values
    features[:, FEATURES.index("forecast_error")] = 0.25
    basis = torch.zeros(50, len(BASIS))
    basis[:, FORECAST] = 8.0
    from envs.state import Observation

    seen = Observation(torch.ones(50, 2), torch.full((50,), 4.0), basis, features)
    decision = OrderUpToPerClass(classes, a, k)(seen)
    of = classes.of(columns).numpy()
    expected = np.maximum(8 * np.array(a)[of] + 1.0 * np.array(k)[of] - 2, 0)
    np.testing.assert_allclose(decision.order, expected, rtol=1e-5)
    np.testing.assert_allclose(decision.columns["action"][:, 1], np.array(k)[of], rtol=1e-5)
