"""Capped base stock: what the cap does, and where it pays."""

from __future__ import annotations

from typing import Any

import torch

from envs.objective import DEFAULT_OBJECTIVE
from envs.state import Observation
from pipeline.baselines.capped import CappedBaseStock
from pipeline.baselines.classes import BANDS, Classes
from pipeline.baselines.per_class import OrderUpToPerClass
from pipeline.evaluation.play import evaluate_scenario
from pipeline.features.build import BASIS, FEATURES
from pipeline.policies.order_up_to import FORECAST
from pipeline.scenarios.given import GivenScenarios

EVERYONE = Classes({name: [] for name in BANDS})


def test_it_orders_what_is_lacking_up_to_the_cap() -> None:
    rule = CappedBaseStock(OrderUpToPerClass(EVERYONE, [1.0], [0.0]), EVERYONE, [1.2], [2.0])
    features, basis = torch.zeros(3, len(FEATURES)), torch.zeros(3, len(BASIS))
    features[:, FEATURES.index("lead_time")] = 3 / 14
    features[:, FEATURES.index("review_period")] = 1 / 7
    basis[:, FORECAST] = 10.0
    stock = torch.tensor([[0.0, 0.0], [4.0, 5.0], [9.0, 9.0]])
    order = rule(Observation(stock, torch.ones(3), basis, features)).order
    # The level is 12, of which a review after every of 4 days takes 3: the cap is 6.
    torch.testing.assert_close(order, torch.tensor([6.0, 3.0, 0.0]))


def test_the_cap_pays_where_sales_are_lost_and_lead_times_long(law: Any) -> None:
    problem = {"dispersion": 50.0, "lead": (8, 8), "cost_ratio": (4.0, 4.01), "backlog": False}
    train, later = (law(seed, n=300, days=200, **problem) for seed in (1, 2))
    source = GivenScenarios({"train": [train]})
    cost = {
        kind: evaluate_scenario(later, kind.tune(source, DEFAULT_OBJECTIVE).policy_for)[
            "cost"
        ].sum()
        for kind in (OrderUpToPerClass, CappedBaseStock)
    }
    assert cost[CappedBaseStock] < 0.97 * cost[OrderUpToPerClass]
