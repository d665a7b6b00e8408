"""Returns and the critic's error on them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from envs.objective import DEFAULT_OBJECTIVE, day_cost
from envs.problems.settings import study_setting1
from envs.rollout import rollout
from envs.state import Observation
from pipeline.algorithms.decisions import extract_decisions
from pipeline.policies.action_models import ActionModel, make_action_model
from pipeline.policies.networks import PolicyNetwork
from pipeline.studies.synthetic.measuring.q_error import discounted_returns, q_error


def test_returns_are_discounted_sums_of_the_rewards_to_come() -> None:
    scenario = study_setting1(4, seed=1)
    policy = PolicyNetwork(scenario.layout, make_action_model("base", 1), [8], 0.4)
    with torch.no_grad():
        played = rollout(scenario, policy.decide, record=True)
    decisions = extract_decisions(
        scenario, played, objective=DEFAULT_OBJECTIVE, gamma=0.9, weight_power=0.0
    )
    returns = discounted_returns(decisions, scenario.num_days)
    cost = day_cost(played.outcome, scenario.shortage_cost, scenario.holding_cost)
    unit = 2 * 0.1 * 100 / 3
    for row in (0, 17, len(returns) - 1):
        first, n = int(decisions.day[row]), int(decisions.inventory[row])
        expected = sum(
            -(0.9 ** ((day - first) / 2)) * float(cost[day + 1 : day + 3, n].sum()) / unit
            for day in range(first, 29, 2)
        )
        assert float(returns[row]) == pytest.approx(expected, rel=1e-4)


def test_a_critic_that_says_the_mean_has_no_bias() -> None:
    """A critic says costs, in two parts; the value is minus their sum."""
    scenario = study_setting1(50, seed=2)
    policy = PolicyNetwork(scenario.layout, make_action_model("base", 1), [8], 0.4)

    def critic(value: float) -> Any:
        # Nearly constant: a correlation with a constant is not defined.
        def costs(seen: Observation, action: Tensor, model: ActionModel, past: None) -> Tensor:
            holding = -0.25 * value + 1e-6 * seen.features[:, 0]
            return torch.stack((holding, torch.full_like(holding, -0.75 * value)), -1)

        return costs

    module = SimpleNamespace(policy=policy, critic=critic(0.0), objective=DEFAULT_OBJECTIVE)
    first = q_error(module, scenario, 0.98)
    assert first["bias"] == pytest.approx(-first["return_mean"], abs=1e-4)
    module.critic = critic(first["return_mean"])
    second = q_error(module, scenario, 0.98)
    assert second["bias"] == pytest.approx(0.0, abs=1e-4)
    assert second["rmse"] == pytest.approx(second["return_std"], rel=1e-2)
