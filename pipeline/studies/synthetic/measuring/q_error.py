"""How well a critic knows what its policy costs: Q against Monte Carlo returns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from envs.rollout import rollout
from envs.state import Scenario
from pipeline.algorithms.decisions import HISTORY, Decisions, extract_decisions, histories
from pipeline.scenarios.start import empty_start
from pipeline.scenarios.trajectories import unseen_scenario
from pipeline.tools.files import write_json

TRAJECTORIES = 1000
Q_ERROR = "q_error.json"


def probe_critic(setting: Any, algorithm: Any, directory: Path) -> dict[str, float]:
    """Tests a trained DDPG's critic on fresh trajectories; writes ``q_error.json``.

    Args:
        setting: Of the study.
        algorithm: A DDPG (RLlib Algorithm), trained.
        directory: The run's folder.

    Returns:
        In decision sizes: ``bias`` (mean of Q minus return), ``rmse``, ``return_mean`` and
        ``return_std``; and ``correlation``.
    """
    module = algorithm.get_module().unwrapped()
    scenario = unseen_scenario(setting, TRAJECTORIES, seed=1)
    error = q_error(module, scenario, float(algorithm.config.gamma))
    write_json(directory / Q_ERROR, error, indent=1)
    return error


@torch.no_grad()
def q_error(module: Any, scenario: Scenario, gamma: float) -> dict[str, float]:
    """See :func:`probe_critic`; ``module`` has a ``policy`` and a ``critic``."""
    policy = module.policy
    played = rollout(scenario, policy.decide, empty_start(scenario), record=True)
    decisions = extract_decisions(
        scenario, played, objective=module.objective, gamma=gamma, weight_power=0.0
    )
    day, inventory = decisions.day, decisions.inventory
    assert played.stock is not None
    observation = scenario.look_up(day, inventory, played.stock[day, inventory])
    action = played.columns["action"][day, inventory]
    past = histories(scenario, played, decisions, module.objective).get(HISTORY)
    q = -module.critic(observation, action, policy.action_model, past).sum(-1)
    returns = discounted_returns(decisions, scenario.num_days)
    error = q - returns
    return {
        "bias": float(error.mean()),
        "rmse": float(error.square().mean().sqrt()),
        "return_mean": float(returns.mean()),
        "return_std": float(returns.std()),
        "correlation": float(torch.corrcoef(torch.stack((q, returns)))[0, 1]),
    }


def discounted_returns(decisions: Decisions, days: int) -> Tensor:
    """[R] reward plus the discounted rewards of the inventory's later decisions."""
    n = int(decisions.inventory.max()) + 1
    value = torch.zeros(days, n)
    result = torch.zeros_like(decisions.reward)
    for day in decisions.day.unique().flip(0).tolist():
        rows = (decisions.day == day).nonzero().squeeze(1)
        where = decisions.inventory[rows]
        after = value[decisions.next_day[rows], where]
        result[rows] = decisions.reward[rows] + decisions.discount[rows] * after
        value[day, where] = result[rows]
    return result
