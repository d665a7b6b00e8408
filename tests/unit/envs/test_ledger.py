"""Two hand-checked ledgers of the study's setting 1, reproduced column by column."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from envs.credit import decision_rewards, governed_days
from envs.objective import day_cost
from envs.problems.settings import feature_of, study_scenario
from envs.rollout import Decision, Policy, rollout

LEDGERS: dict[str, Policy] = {
    "basestock_40": lambda o: Decision((40.0 - o.stock.sum(-1)).clamp(min=0.0)),
    "constant_order_12": lambda o: Decision(torch.full_like(o.scale, 12.0)),
}


@pytest.fixture(params=LEDGERS)
def ledger(request: pytest.FixtureRequest, shared: Path) -> tuple[pd.DataFrame, Policy]:
    path = shared / "reference" / "synthetic" / f"ledger_setting1_{request.param}.csv"
    if not path.exists():
        pytest.skip(f"the ledger {path} is not there: set DEEPSTOCK_SHARED")
    return pd.read_csv(path), LEDGERS[request.param]


def test_every_column_of_the_ledger(ledger: tuple[pd.DataFrame, Policy]) -> None:
    table, policy = ledger
    demand = torch.tensor(table["demand"].to_list(), dtype=torch.float64).unsqueeze(1)
    assert demand.dtype == torch.float64
    scenario = study_scenario(demand)
    played = rollout(scenario, policy, record=True)
    assert played.stock is not None
    assert scenario.counted is not None
    cost = day_cost(played.outcome, scenario.shortage_cost, scenario.holding_cost)
    mornings = torch.cat((played.stock[:, 0, 0], played.final.on_hand))
    columns = {
        "counted": scenario.counted[:, 0],
        "start_net_inv": mornings[:-1],
        "pipeline_in_transit_before_order": played.stock[:, 0, 1:].sum(-1),
        "inv_position_before_order": played.stock[:, 0].sum(-1),
        "order": played.order[:, 0],
        "end_net_inv": played.outcome.end[:, 0],
        "leftover": played.outcome.end[:, 0].clamp(min=0.0),
        "shortage": played.outcome.unmet[:, 0],
        "cost": cost[:, 0],
        "next_start_net_inv": mornings[1:],
    }
    others = {"day", "demand", "review", "rl_reward_of_order", "obs_seen"}
    assert others | set(columns) == set(table.columns)
    for name, values in columns.items():
        np.testing.assert_allclose(
            values.double().numpy(), table[name], rtol=0, atol=1e-9, err_msg=name
        )

    # The ledger marks day 30 as a review day, but no order is placed so late.
    orders_are_placed = (table["review"] == 1) & (table["day"] <= 28)
    assert scenario.review[:, 0].tolist() == orders_are_placed.tolist()
    # It states an order's reward per governed day.
    orders = table["rl_reward_of_order"].notna().to_numpy().copy()
    assert orders.tolist() == scenario.review[:, 0].tolist()
    reward, complete = decision_rewards(cost, scenario.lead_time, scenario.review_period)
    assert complete[orders].all()
    np.testing.assert_allclose(
        reward[orders, 0].numpy() / 2.0, table["rl_reward_of_order"][orders], rtol=0, atol=1e-9
    )

    seen = np.array([[float(x) for x in row.split()] for row in table["obs_seen"][orders]])
    observed = torch.cat((feature_of("setting1", scenario.features[:, 0]), played.stock[:, 0]), -1)[
        orders
    ]
    np.testing.assert_allclose(observed.numpy(), seen, rtol=0, atol=1e-9)


def test_counted_days_are_the_governed_days(ledger: tuple[pd.DataFrame, Policy]) -> None:
    table, _ = ledger
    scenario = study_scenario(
        torch.tensor(table["demand"].to_list(), dtype=torch.float64).unsqueeze(1)
    )
    after_warm_up, governed = governed_days(
        scenario.review, scenario.lead_time, scenario.review_period
    )
    assert scenario.counted is not None
    assert torch.equal(after_warm_up, scenario.counted)
    assert torch.equal(governed, scenario.counted)
    assert int(scenario.counted.sum()) == 28
