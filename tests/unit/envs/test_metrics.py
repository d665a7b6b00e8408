"""Metrics: figures on numbers made by hand, and one way of counting inventories."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from envs.metrics import (
    METRICS,
    SUMS,
    Days,
    Over,
    additive,
    counting_in_words,
    figures,
    listed,
    metric_names,
    parts,
)

# Two inventories, two blocks of days; the second inventory has three counted days.
BLOCKS = Days(
    days=np.array([[7.0, 7.0], [3.0, 0.0]]),
    demand=np.array([[14.0, 21.0], [6.0, 0.0]]),
    sales=np.array([[14.0, 14.0], [3.0, 0.0]]),
    stock=np.array([[70.0, 0.0], [9.0, 0.0]]),
    unmet=np.array([[0.0, 7.0], [3.0, 0.0]]),
    stockout_days=np.array([[0.0, 7.0], [1.0, 0.0]]),
    shortage_cost=np.array([[4.0], [2.0]]),
    holding_cost=np.array([[0.5], [1.0]]),
)
COUNTED, WEIGHT = np.array([[14.0], [3.0]]), np.array([[3.0], [1.0]])
EXPECTED = {
    "cost": ((4 * 7 + 0.5 * 70) / 14 + (2 * 3 + 1 * 9) / 3) / 2,
    "stockout_rate_pct": 100 * (3 * 7 / 14 + 1 * 1 / 3) / 4,
    "turnover_days": (70 + 9) / (28 + 3),
    "fill_rate_pct": 100 * 31 / 41,
}


def mean_day() -> Days:
    def mean(name: str) -> np.ndarray:
        return getattr(BLOCKS, name).sum(1) / COUNTED[:, 0]

    return Days(
        **{name: mean(name) for name in SUMS},
        shortage_cost=BLOCKS.shortage_cost[:, 0], holding_cost=BLOCKS.holding_cost[:, 0],
    )  # fmt: skip


def test_figures_of_many_inventories() -> None:
    sums = np.stack(additive(BLOCKS, COUNTED, WEIGHT), axis=-1).sum((0, 1))
    assert dict(zip(metric_names(), figures(sums), strict=True)) == pytest.approx(EXPECTED)


def test_rows_and_blocks_of_days_count_alike() -> None:
    day = mean_day()
    tensors = Days(**{name: torch.from_numpy(value) for name, value in vars(day).items()})
    own = {metric.name: metric.of(tensors).numpy() for metric in METRICS}
    assert own["cost"].tolist() == pytest.approx([4.5, 5.0])
    found = {
        metric.name: metric.over_inventories(own, day, COUNTED[:, 0], WEIGHT[:, 0])
        for metric in METRICS
    }
    assert found == pytest.approx(EXPECTED)


@pytest.mark.parametrize("over", Over)
def test_an_inventorys_days_count_what_it_counts(over: Over) -> None:
    days, weight = np.array([1.0, 7.0, 49.0]), np.array([0.5, 0.0, 3.0])
    np.testing.assert_allclose(days * over.of_day(days, weight), over.of_inventory(days, weight))


def test_a_day_that_is_not_counted_adds_nothing() -> None:
    nothing = Days(**{name: np.zeros((1, 2)) for name in vars(BLOCKS)})
    found = np.stack(additive(nothing, np.zeros((1, 1)), np.ones((1, 1))), axis=-1)
    assert not found.any()
    assert np.isnan(figures(found.sum((0, 1)))).all()


def test_a_share_of_nothing_is_not_a_number() -> None:
    zero = Days(**{name: torch.zeros(1) for name in vars(BLOCKS)} | {"days": torch.ones(1)})
    known = {metric.name: metric.of(zero).item() for metric in METRICS}
    assert (known["cost"], known["stockout_rate_pct"]) == (0.0, 0.0)
    assert np.isnan([known["turnover_days"], known["fill_rate_pct"]]).all()


def test_what_two_metrics_need_is_added_up_once() -> None:
    assert len(parts()) == len(set(parts())) == 7


def test_how_inventories_count_is_said_of_every_metric() -> None:
    said = counting_in_words("mean demand")
    assert said == (
        "Stockout rate is an average over inventories weighted by mean demand; turnover time and "
        "fill rate are ratios of totals in units; cost counts every inventory once"
    )
    assert [listed("abc"[:n]) for n in (1, 2, 3)] == ["a", "a and b", "a, b and c"]
