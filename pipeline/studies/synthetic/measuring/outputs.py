"""How far a policy's output (level or order) moves with the inventory it sees."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import torch

from envs.rollout import rollout
from envs.state import Observation
from pipeline.policies.networks import PolicyNetwork
from pipeline.policies.store import load_model
from pipeline.scenarios.start import empty_start
from pipeline.studies.synthetic.measuring.references import References

TRAJECTORIES = 500
STEP = 1.0
"""Units that the inventory is moved by, up and down, to find the output's slope."""
POINTS = 41


@torch.no_grad()
def outputs_of(best: Mapping[tuple[str, str], Path], references: References) -> pd.DataFrame:
    """Curves of output against inventory on one day, and slopes over all visited states.

    Args:
        best: (setting, method) -> folder of the selected run.
        references: For test trajectories.

    Returns:
        Rows ``setting``, ``method``, ``inventory`` (net, units), ``output`` (units: the level
        of BASE, the order of NONE, before it is cut at 0), ``slope`` (mean over visited states
        of the change of output per unit of inventory: the best policy orders up to a level, so
        that it is 0 for BASE and -1 for NONE).
    """
    tables = []
    for (setting, method), run in best.items():
        policy = load_model(run / "model").policy
        scenario = references.of(setting).scenario
        scenario = scenario.inventories(torch.arange(min(TRAJECTORIES, scenario.num_inventories)))
        played = rollout(scenario, policy.decide, empty_start(scenario), record=True)
        assert played.stock is not None
        day, inventory = scenario.review.nonzero(as_tuple=True)
        seen = scenario.look_up(day, inventory, played.stock[day, inventory])
        slope = (_output(policy, _moved(seen, STEP)) - _output(policy, _moved(seen, -STEP))) / (
            2 * STEP
        )
        stock = seen.stock.sum(-1)
        middle = day == int(day.unique()[len(day.unique()) // 2])
        low, high = torch.quantile(stock[middle], torch.tensor([0.01, 0.99])).tolist()
        grid = torch.linspace(low - 10.0, high + 10.0, POINTS)
        rows = middle.nonzero().squeeze(1)
        curve = []
        for level in grid.tolist():
            at = Observation(*(part[rows] for part in seen))
            shifted = at.stock.clone()
            shifted[:, 0] += level - at.stock.sum(-1)
            curve.append(float(_output(policy, at._replace(stock=shifted)).mean()))
        tables.append(
            pd.DataFrame(
                {
                    "setting": setting, "method": method, "inventory": grid.numpy(),
                    "output": curve, "slope": float(slope.mean()),
                    "seen_low": low, "seen_high": high,
                }
            )
        )  # fmt: skip
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def _moved(seen: Observation, units: float) -> Observation:
    stock = seen.stock.clone()
    stock[:, 0] += units
    return seen._replace(stock=stock)


def _output(policy: PolicyNetwork, seen: Observation) -> torch.Tensor:
    return policy.action_model.target(policy.action(seen), seen)
