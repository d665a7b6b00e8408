"""Sums over past and coming days, against sums written out."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pipeline.features.windows import BLOCK, Horizon, cumulated, day_major, past_sum


@pytest.mark.parametrize("days", [1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 5])
@pytest.mark.parametrize("today", [False, True])
def test_past_sums_equal_a_loop_over_days(days: int, today: bool) -> None:
    values = torch.rand(days, 7)
    got = past_sum(values, 11.0, today=today)
    state = torch.zeros(7, dtype=torch.float64)
    for day in range(days):
        if today:
            state = state * 0.5 ** (1 / 11.0) + values[day]
        torch.testing.assert_close(got[day].double(), state, rtol=1e-5, atol=1e-7)
        if not today:
            state = state * 0.5 ** (1 / 11.0) + values[day]


def test_a_past_sum_does_not_depend_on_later_days() -> None:
    values = torch.rand(100, 33)
    for days in (1, 40, 64, 99):
        assert torch.equal(past_sum(values[:days], 28.0), past_sum(values, 28.0)[:days])


def test_horizons_sum_ahead_and_look_back() -> None:
    values = torch.rand(30, 4)
    horizon = torch.tensor([0, 1, 5, 9])
    sums = cumulated(values)
    ahead = Horizon(horizon, 3, 20).sum_ahead(sums)
    back = Horizon(-horizon, 3, 20).of(values)
    for t in range(3, 20):
        for i, h in enumerate(horizon.tolist()):
            assert ahead[t - 3, i].item() == pytest.approx(values[t : t + h, i].sum().item())
            assert back[t - 3, i] == values[max(t - h, 0), i]


def test_days_beyond_the_panel() -> None:
    values = np.array([[1, 2, 3], [4, 5, 6]], dtype=np.uint8)
    assert day_major(values, 5, stays=True).tolist() == [[1, 4], [2, 5], [3, 6], [3, 6], [3, 6]]
    assert day_major(values, 4)[3].tolist() == [0, 0]
    assert day_major(values, 2).tolist() == [[1, 4], [2, 5]]
