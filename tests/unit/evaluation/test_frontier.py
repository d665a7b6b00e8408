"""Curves of stock against service: read off by hand, played on a data set, kept and compared."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from envs.metrics import metric_names
from envs.rollout import Decision
from envs.state import Observation
from pipeline.evaluation import frontier
from pipeline.evaluation.frontier import (
    at_levels,
    curve_samples,
    curve_table,
    level_table,
    mean_turnover,
    play_curves,
    turnover_at,
)
from pipeline.evaluation.play import PolicyFor, play_policy, summarize
from pipeline.scenarios.dataset import DatasetSource
from tests.rows import evaluate_dataset

FACTORS = (0.25, 0.5, 1.0, 2.0, 4.0)


@dataclass(frozen=True)
class UpTo:
    """Order-up-to a share of the scale that grows with the factor."""

    share: float
    mark: str = "up to"

    def at(self, factor: float) -> PolicyFor:
        def policy(observation: Observation) -> Decision:
            level = self.share * factor * observation.scale
            return Decision(level - observation.stock.sum(-1))

        return play_policy(policy)


def curve(stockouts: list[float], turnover: list[float]) -> np.ndarray:
    names = metric_names()
    figures = np.zeros((len(stockouts), len(names)))
    figures[:, names.index("stockout_rate_pct")] = stockouts
    figures[:, names.index("turnover_days")] = turnover
    figures[:, names.index("fill_rate_pct")] = 100.0 - np.asarray(stockouts)
    return figures


def test_between_two_factors_turnover_is_linear_in_the_logarithm() -> None:
    figures = curve([16.0, 4.0, 1.0], [2.0, 6.0, 14.0])
    assert turnover_at(figures, 8.0) == pytest.approx(4.0)
    assert turnover_at(figures, 2.0) == pytest.approx(10.0)
    assert turnover_at(figures, 4.0) == pytest.approx(6.0)
    assert turnover_at(figures, 2.0, unfilled=True) == pytest.approx(10.0)


def test_a_level_that_no_factor_reaches_is_unknown() -> None:
    figures = curve([16.0, 4.0, 1.5], [2.0, 6.0, 14.0])
    assert np.isnan(turnover_at(figures, 1.0))
    assert np.isnan(turnover_at(figures, 20.0))
    assert np.isnan(mean_turnover(figures))


def test_one_number_is_the_mean_along_the_curve() -> None:
    """Half the stock everywhere: half the mean."""
    stockouts, turnover = [40.0, 10.0, 3.0, 0.5], [1.0, 4.0, 8.0, 20.0]
    whole, half = (curve(stockouts, [x * y for y in turnover]) for x in (1.0, 0.5))
    assert mean_turnover(half) == pytest.approx(0.5 * mean_turnover(whole))
    assert 4.0 < mean_turnover(whole) < 20.0
    assert list(at_levels(whole))[-1] == "stockout 1-10 %"


def test_curves_are_played_as_single_policies_are(source: DatasetSource, tmp_path: Path) -> None:
    curves = play_curves(source, "test", {"rule": UpTo(1.0)}, tmp_path, FACTORS)
    figures = curves["rule"].figures
    rows = pd.concat(evaluate_dataset(source, "test", UpTo(1.0).at(2.0)))
    expected = summarize(rows)
    for place, name in enumerate(metric_names()):
        assert figures[3, place] == pytest.approx(expected[name], rel=1e-4)
    stock = figures[:, metric_names().index("turnover_days")]
    assert bool((np.diff(stock) > 0).all())


def test_kept_curves_are_not_played_again(
    source: DatasetSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = play_curves(source, "test", {"rule": UpTo(1.0)}, tmp_path, FACTORS)

    def refuse(*_: object) -> None:
        raise AssertionError("played again")

    monkeypatch.setattr(frontier, "_of_tile", refuse)
    again = play_curves(source, "test", {"rule": UpTo(1.0)}, tmp_path, FACTORS)
    np.testing.assert_allclose(first["rule"].figures, again["rule"].figures)
    with pytest.raises(AssertionError, match="again"):
        play_curves(source, "test", {"rule": UpTo(1.0, "another")}, tmp_path, FACTORS)
    (tmp_path / "rule.npz").write_bytes(b"damaged")
    with pytest.raises(AssertionError, match="again"):
        play_curves(source, "test", {"rule": UpTo(1.0)}, tmp_path, FACTORS)


def test_seeds_and_inventories_enter_the_intervals(source: DatasetSource, tmp_path: Path) -> None:
    wide = tuple(np.geomspace(0.05, 16.0, 12).tolist())
    policies = {f"seed {s}": UpTo(s, f"{s}") for s in (0.9, 1.0, 1.1)}
    played = play_curves(source, "test", policies, tmp_path, wide)
    curves = {"learned": [*played.values()], "rule": [played["seed 1.0"]]}
    samples = curve_samples(curves, seed=0)
    table = level_table(samples, "rule").set_index(["name", "level"])
    # Its seeds are one policy at other factors: the very same curve.
    same = table.loc[("learned", "stockout 5 %")]
    assert same["pct_vs_baseline"] == pytest.approx(0.0, abs=3.0)
    assert same["pct_vs_baseline_low"] < 0 < same["pct_vs_baseline_high"]
    assert same["turnover_days_low"] < same["turnover_days"] < same["turnover_days_high"]
    assert table.loc[("rule", "stockout 5 %"), "pct_vs_baseline"] == 0.0
    points = curve_table(curves)
    assert len(points) == 2 * len(wide)
    assert set(metric_names()) < set(points)
