"""Shortages that are weighed in training: drawn by fragment, seen by policies, kept by rows."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from ray.rllib.core.columns import Columns

from pipeline.algorithms.build import build_config
from pipeline.algorithms.runner import ShardRunner
from pipeline.features.trade_off import LOG_RATIO
from pipeline.runs.config import RunConfig
from pipeline.scenarios.dataset import DatasetSource
from tests.runners import SMALL, sample

SPAN = (0.05, 5.0)


def weighing(source: DatasetSource, algorithm: str, **training: Any) -> ShardRunner:
    run = RunConfig(
        algorithm=algorithm, action_model="both", training=SMALL[algorithm] | training,
        shortage_factors=SPAN,
    )  # fmt: skip
    return ShardRunner(config=build_config(run, source), worker_index=0, num_workers=0)


def seen_ratio(features: torch.Tensor) -> torch.Tensor:
    return (4.0 * features[..., LOG_RATIO]).exp()


def test_factors_are_drawn_log_uniformly_for_every_inventory(source: DatasetSource) -> None:
    runner = weighing(source, "ds")
    drawn = []
    for number in range(12):
        scenario = runner.fragment(number).scenario
        factor = scenario.shortage_factor
        assert factor is not None
        own = scenario.shortage_cost * factor / scenario.holding_cost
        torch.testing.assert_close(seen_ratio(scenario.features[0]), own, rtol=1e-4, atol=0.0)
        drawn.append(factor.log())
    logs = torch.cat(drawn)
    low, high = (math.log(end) for end in SPAN)
    assert low <= float(logs.min()) < low + 0.1
    assert high - 0.1 < float(logs.max()) <= high
    assert float(logs.mean()) == pytest.approx((low + high) / 2, abs=0.15)
    assert not torch.equal(drawn[0][:50], drawn[6][:50])


def test_the_replay_shows_the_factor_that_was_played(source: DatasetSource) -> None:
    """Features are looked up again when rows are drawn: their trade-off must not be the data's."""
    runner = weighing(source, "ddpg")
    rows = sample(runner, 0)
    kept = runner.rows.replay._columns  # type: ignore[attr-defined]
    assert float(kept["factor"][: runner.rows.replay.size].log().std()) > 0.5  # type: ignore[attr-defined]
    layout = source.layout
    own = source.load("train", int(kept["tile"][0]))
    ratios = (own.shortage_cost / own.holding_cost).unsqueeze(0)
    here = seen_ratio(layout.unflatten(rows[Columns.OBS]).features)
    ahead = seen_ratio(layout.unflatten(rows[Columns.NEXT_OBS]).features)
    # The same at a decision and at all that follow, and no inventory's own.
    torch.testing.assert_close(ahead, here.unsqueeze(1).expand_as(ahead), rtol=1e-4, atol=0.0)
    nearest = (here.unsqueeze(1) / ratios).log().abs().min(1).values
    assert float((nearest > 1e-3).float().mean()) > 0.5
    # What a row cost is what it cost with its factor: shortages are the last part.
    assert rows["cost"].shape[-1] == 2


def test_a_resumed_replay_keeps_the_factors(source: DatasetSource, tmp_path: Path) -> None:
    runner, again = weighing(source, "ddpg"), weighing(source, "ddpg")
    sample(runner, 0)
    runner.rows.save(tmp_path / "rows")
    again.rows.restore(tmp_path / "rows")
    one, other = (r.rows.replay._columns["factor"] for r in (runner, again))  # type: ignore[attr-defined]
    assert torch.equal(one[: runner.rows.replay.size], other[: runner.rows.replay.size])  # type: ignore[attr-defined]
