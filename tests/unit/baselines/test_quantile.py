"""The learned newsvendor: where the law is known it finds the best levels."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

from envs.objective import DEFAULT_OBJECTIVE
from envs.state import Scenario
from pipeline.baselines.base import Baseline
from pipeline.baselines.quantile import QuantileNewsvendor, fit, learned_levels, start
from pipeline.baselines.windows import drawn_windows
from pipeline.evaluation.play import evaluate_scenario
from pipeline.policies.order_up_to import given_level
from pipeline.scenarios.dataset import DatasetSource
from pipeline.scenarios.given import GivenScenarios


def exact_level(scenario: Scenario, dispersion: float) -> torch.Tensor:
    """[T, N] the quantile at b / (b + h) of negative binomial demand over L + 1 days."""
    span = (scenario.lead_time + 1).numpy()
    mean = scenario.basis[0, :, 2].numpy() / span
    b = scenario.shortage_cost.numpy()
    level = stats.nbinom.ppf(b / (b + 1), span * dispersion, dispersion / (dispersion + mean))
    return torch.as_tensor(level, dtype=torch.float32).expand_as(scenario.demand)


def cost_of(scenario: Scenario, level: torch.Tensor) -> float:
    """Each inventory's cost relative to its scale: all count alike."""
    rows = evaluate_scenario(scenario, lambda s: given_level(s, level))
    return float(np.mean(rows["cost"].to_numpy() / scenario.scale[0].numpy()))


@pytest.mark.parametrize("dispersion", [0.4, 5.0])
def test_it_comes_within_three_percent_of_the_exact_optimum(law: Any, dispersion: float) -> None:
    """Backlogged demand reviewed every day: the newsvendor's level is optimal."""
    train, later = (law(seed, n=600, days=150, dispersion=dispersion) for seed in (1, 2))
    source = GivenScenarios({"train": [train]})
    drawn = drawn_windows(source, DEFAULT_OBJECTIVE, 60_000, torch.Generator().manual_seed(0))
    levels = {
        "learned": learned_levels(later, fit(drawn)),
        "normal": start(later.features) * later.scale,
        "exact": exact_level(later, dispersion),
    }
    cost = {name: cost_of(later, level) for name, level in levels.items()}
    assert cost["exact"] < cost["learned"] < 1.03 * cost["exact"]
    if dispersion < 1:
        assert cost["normal"] > 1.05 * cost["exact"]


def test_the_same_windows_make_the_same_model(law: Any) -> None:
    source = GivenScenarios({"train": [law(1, n=100)]})
    drawn = [
        drawn_windows(source, DEFAULT_OBJECTIVE, 3000, torch.Generator().manual_seed(s))
        for s in (0, 0, 1)
    ]
    one, again, other = (fit(windows, rounds=5) for windows in drawn)
    assert one == again != other


def test_the_version_is_of_the_model_too(tuned: dict[str, Baseline]) -> None:
    baseline = tuned[QuantileNewsvendor.name]
    assert isinstance(baseline, QuantileNewsvendor)
    changed = replace(baseline, model=baseline.model.replace("leaf_value=", "leaf_value= "))
    assert len(repr(baseline)) < 0.5 * len(baseline.model)
    assert baseline.version != changed.version


def test_shares_and_factors_are_of_the_days_class(
    tuned: dict[str, Baseline], source: DatasetSource
) -> None:
    """Without a share the class-tuned rule is left, times its factor."""
    baseline = tuned[QuantileNewsvendor.name]
    assert isinstance(baseline, QuantileNewsvendor)
    n = len(baseline.shares)
    scenario = source.load("test", 0)
    rule = replace(baseline, shares=[0.0] * n, factors=[1.0] * n)
    for one, other in ((rule, baseline.rule), (baseline, rule)):
        costs = [evaluate_scenario(scenario, b.policy_for)["cost"].to_numpy() for b in (one, other)]
        same = np.allclose(*costs, rtol=1e-3, equal_nan=True)
        assert same == (one is rule)
