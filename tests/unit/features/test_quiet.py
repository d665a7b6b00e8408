"""Items that sold and then did not, on sale all the time."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from envs.orders import OrderFacts, admissible, order_rules
from pipeline.features.build import BASIS, FeatureTile
from pipeline.features.forecast import DayFactors
from pipeline.features.past import LONGER
from pipeline.features.quiet import STOPPING, selling_share
from tests.unit.conftest import History, make_history

SOLD, QUIET = 150, 60
SHORTAGE, HOLDING, PACK = 15.0, 1.0, 24.0
LEAD, REVIEW = 7, 3
H = LEAD + REVIEW


def items(demand: np.ndarray, *, observed: np.ndarray | None = None) -> History:
    """Items [n, T] without day effects, on sale; ``observed`` [n, T] 0 where demand is unknown."""
    n, days = demand.shape
    history = make_history(1, n=n, days=days)
    history.static["lead_time"][:], history.static["review_period"][:] = LEAD, REVIEW
    ones = np.ones((n, days), np.uint8)
    flat = dict.fromkeys(("promotion", "event", "snap"), 0 * ones)
    return replace(
        history.but(
            demand=demand.astype(np.float32), on_sale=ones, price=ones.astype(np.float32),
            known=ones if observed is None else observed.astype(np.uint8), **flat,
        ),
        factors=DayFactors({"*": [0.0] * 11}, {"*": 5.0}),
    )  # fmt: skip


def daily(*runs: tuple[float, int], mean: float = 8.0) -> np.ndarray:
    """[1, T] Poisson demand; runs of (share of the mean, days)."""
    rng = np.random.default_rng(5)
    return np.concatenate([rng.poisson(mean * s, days) for s, days in runs])[None, :]


def morning(history: History) -> FeatureTile:
    """After the last day."""
    return history.build(first=history.days, stop=history.days + 1)


@pytest.fixture
def dead() -> History:
    return items(daily((1.0, SOLD), (0.0, QUIET)))


@pytest.mark.parametrize("planned", [True, False], ids=["plan", "no plan"])
def test_after_60_days_without_a_sale_hardly_any_demand_is_expected(
    dead: History, planned: bool
) -> None:
    varies = replace(dead.factors, shares={"*": {"promotion": 0.1}})
    tile = replace(dead, factors=varies).build(
        first=dead.days, stop=dead.days + 1, no_plan=np.full((1, 1), not planned)
    )
    assert tile.expected.rate.item() < 0.1 * 8
    assert tile.expected.rate.item() > 0


def test_no_pack_is_bought_for_an_item_that_stopped(dead: History) -> None:
    def order(day: int) -> float:
        tile = dead.build(first=day, stop=day + 1)
        facts = OrderFacts(*(part[0] for part in tile.expected))
        costs = torch.tensor([SHORTAGE]), torch.tensor([HOLDING])
        rules = order_rules(PACK, math.inf, facts, *costs)
        return admissible(torch.tensor([5.0]), rules, torch.zeros(1)).item()

    assert order(SOLD) == PACK
    assert order(SOLD + QUIET) == 0


def test_a_gap_that_surprises_nobody_changes_no_bit() -> None:
    """A sale every 30 days, the last one 40 days ago: the plain weighted means stand."""
    demand = np.zeros((1, 400))
    demand[0, np.arange(0, 360, 30)] = 3.0
    demand = demand[:, : 330 + 41]
    tile = morning(items(demand))
    # The feature of the same half-life is never cut.
    assert torch.equal(tile.expected.rate * H, tile.basis[..., BASIS.index("longer_demand")])
    weight = 0.5 ** (np.arange(demand.shape[1])[::-1] / LONGER)
    mean = float(weight @ demand[0] / weight.sum())
    assert tile.expected.rate.item() == pytest.approx(mean, rel=1e-5)


def test_a_fast_seller_hardly_loses_by_two_days(dead: History) -> None:
    rate = dead.build(first=SOLD, stop=SOLD + 4).expected.rate[:, 0] / 8
    assert (rate.diff() <= 0).all()
    assert 0.6 < rate[2] < rate[0]


def test_days_that_nobody_observed_are_no_evidence() -> None:
    demand = daily((1.0, SOLD), (0.0, QUIET))
    observed = np.ones_like(demand)
    observed[:, SOLD:] = 0
    unknown = items(demand, observed=observed)
    closed = unknown.but(
        on_sale=observed.astype(np.uint8), known=np.ones_like(observed, dtype=np.uint8)
    )
    for history in (unknown, closed):
        tile = history.build(first=SOLD, stop=SOLD + QUIET + 1)
        rate = tile.expected.rate[:, 0]
        torch.testing.assert_close(rate, rate[:1].expand_as(rate), rtol=1e-4, atol=0)


def test_it_is_back_after_its_first_sales() -> None:
    history = items(daily((1.0, SOLD), (0.0, QUIET), (1.0, 3)))
    rate = history.build(first=SOLD + QUIET, stop=SOLD + QUIET + 4).expected.rate[:, 0]
    assert rate[0] < 0.8
    assert rate[1] > 3 * rate[0]
    assert rate[3] > 3.0


def test_the_day_asked_for_and_the_unit_of_demand_change_nothing(dead: History) -> None:
    whole = dead.build()
    for day in (SOLD + 1, SOLD + 5, SOLD + 40):
        one = dead.build(first=day, stop=day + 1)
        assert torch.equal(one.expected.rate[0], whole.expected.rate[day])
    large = dead.but(demand=1000 * dead.dynamic["demand"]).build()
    rate = 1000 * whole.expected.rate[SOLD:]
    torch.testing.assert_close(large.expected.rate[SOLD:], rate, rtol=1e-4, atol=0)


@pytest.mark.parametrize("q", [0.01, 0.3, 0.9])
def test_the_share_is_the_sum_written_out(q: float) -> None:
    for run in (0, 1, 7, 25):
        alive = 1 / (1 + STOPPING * sum(q**-j for j in range(1, run + 1)))
        back = np.mean([s / (run + s) for s in np.linspace(0, H, 20_001)[1:]]) if run else 0.0
        expected = alive + (1 - alive) * back
        got = selling_share(*(torch.tensor([float(x)]) for x in (run, q, H))).item()
        assert got == pytest.approx(expected, rel=2e-3)
    far = selling_share(torch.tensor([3000.0]), torch.tensor([q]), torch.tensor([float(H)]))
    assert 0 < far.item() < 0.01
