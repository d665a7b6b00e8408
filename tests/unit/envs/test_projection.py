"""The projected stock against exact convolution, and what it must be by its meaning."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import poisson
from torch import Tensor

from envs.problems.classical import PROBLEMS, Geometric, Normal, coming_demand, scenario
from envs.problems.poisson import TextbookDemand, poisson_scenario
from envs.projection import DailyDemand, projected_stock
from envs.state import InventoryState

ON_HAND = torch.tensor([0.0, 3.0, 5.0, 8.0, 12.0, 20.0, 30.0], dtype=torch.float64)


def poisson_demand(rate: float, n: int) -> DailyDemand:
    mean = torch.full((n,), rate, dtype=torch.float64)
    return DailyDemand(mean, mean.sqrt())


def stock_of(on_hand: Tensor, a_day: float, lead: int) -> Tensor:
    """[N, K+1] with ``a_day`` units to arrive every day."""
    arriving = torch.full((len(on_hand), lead), a_day, dtype=torch.float64)
    return torch.cat((on_hand.unsqueeze(1), arriving), 1)


def convolved(stock: Tensor, rate: float) -> Tensor:
    """[N] the exact expectation for whole stock, an order of which arrives with the last column."""
    most = int(stock.sum(1).max())
    units = np.arange(most + 1)
    # Row x: what x units leave behind.
    served = poisson.pmf(units[:, None] - units[None, :], rate)
    served[:, 0] = poisson.sf(units - 1, rate)
    result = []
    for on_hand, *arriving in stock.long().tolist():
        law = (units == on_hand).astype(float)
        for arrival in arriving:
            left = law @ served
            law = np.concatenate((np.zeros(arrival), left[: most + 1 - arrival]))
        result.append(law @ units)
    return torch.tensor(np.array(result))


@pytest.mark.parametrize("lead", [4, 6, 8])
@pytest.mark.parametrize("a_day", [3.0, 4.0, 5.0, 6.0])
def test_it_is_within_two_percent_of_exact_convolution(a_day: float, lead: int) -> None:
    stock = stock_of(ON_HAND, a_day, lead)
    lead_time = torch.full((len(stock),), lead)
    expected = convolved(stock, 5.0)
    found = projected_stock(stock, lead_time, poisson_demand(5.0, len(stock)))
    torch.testing.assert_close(found, expected, rtol=0.0205, atol=0)
    single = DailyDemand(*(part.float() for part in poisson_demand(5.0, len(stock))))
    torch.testing.assert_close(
        projected_stock(stock.float(), lead_time, single), found.float(), rtol=1e-5, atol=1e-5
    )


def test_the_mean_alone_is_low_and_the_lower_the_longer_it_takes() -> None:
    low = []
    for lead in (4, 6, 8):
        stock = stock_of(ON_HAND[:1], 5.0, lead)
        lead_time = torch.tensor([lead])
        found = projected_stock(stock, lead_time, poisson_demand(5.0, 1), mean_only=True)
        low.append(float(1 - found / convolved(stock, 5.0)))
    assert 0.02 < low[0] < low[1] < low[2] < 0.12


@given(seed=st.integers(0, 10_000), longest=st.integers(0, 6))
@settings(max_examples=30, deadline=None)
def test_with_backlog_it_is_the_position_less_the_demand_until_arrival(
    seed: int, longest: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    stock = 20 * torch.rand(9, longest + 1, generator=generator, dtype=torch.float64) - 5
    lead_time = torch.randint(longest + 1, (9,), generator=generator)
    mean = 4 * torch.rand(9, longest, generator=generator, dtype=torch.float64)
    until = torch.arange(longest) < lead_time.unsqueeze(1)
    expected = stock.sum(1) - (mean * until).sum(1)
    found = projected_stock(stock, lead_time, DailyDemand(mean, mean), backlog=True)
    torch.testing.assert_close(found, expected)


def test_certain_demand_is_subtracted_day_by_day() -> None:
    stock = torch.tensor([[2.0, 4.0, 0.0, 1.0, 7.0]] * 3)
    mean = torch.tensor([[3.0, 1.0, 5.0, 0.0]] * 3)
    found = projected_stock(stock, torch.tensor([0, 2, 4]), DailyDemand(mean, 0 * mean))
    # 2 -> 0 + 4 -> 3 + 0 -> 0 + 1 -> 1 + 7; what comes after the order counts in full.
    torch.testing.assert_close(found, torch.tensor([14.0, 11.0, 8.0]), atol=1e-2, rtol=0)


def test_inventories_with_several_lead_times_are_what_each_is_by_itself() -> None:
    stock = stock_of(ON_HAND, 4.0, 6)
    lead_time = torch.tensor([0, 1, 2, 3, 4, 5, 6])
    demand = poisson_demand(5.0, len(stock))
    together = projected_stock(stock, lead_time, demand)
    for row in range(len(stock)):
        one = DailyDemand(*(part[row : row + 1] for part in demand))
        alone = projected_stock(stock[row : row + 1], lead_time[row : row + 1], one)
        torch.testing.assert_close(together[row : row + 1], alone)


@pytest.mark.parametrize("options", [{}, {"mean_only": True}, {"backlog": True}])
def test_derivatives_are_those_of_finite_differences(options: dict[str, bool]) -> None:
    generator = torch.Generator().manual_seed(4)
    stock = (12 * torch.rand(8, 5, generator=generator, dtype=torch.float64)).requires_grad_()
    mean = (1 + 5 * torch.rand(8, generator=generator, dtype=torch.float64)).requires_grad_()
    std = (0.5 + 2 * torch.rand(8, generator=generator, dtype=torch.float64)).requires_grad_()
    lead_time = torch.tensor([0, 1, 2, 3, 4, 4, 4, 4])

    def projected(*parts: Tensor) -> Tensor:
        return projected_stock(parts[0], lead_time, DailyDemand(*parts[1:]), **options)

    assert torch.autograd.gradcheck(projected, (stock, mean, std))


def test_it_lies_between_what_will_have_arrived_last_and_the_position() -> None:
    generator = torch.Generator().manual_seed(6)
    stock = 5 * torch.rand(2000, 9, generator=generator) * (torch.rand(2000, 9) < 0.5)
    rate = 3 * torch.rand(2000, generator=generator)
    spread = 3 * torch.rand(2000, generator=generator) * rate.sqrt()
    lead_time = torch.full((2000,), 8)
    for mean_only in (False, True):
        found = projected_stock(stock, lead_time, DailyDemand(rate, spread), mean_only=mean_only)
        assert (found >= stock[:, -1]).all()
        assert (found <= stock.sum(1) * 1.0001).all()


def test_no_inventories_and_no_pipeline() -> None:
    nobody = projected_stock(torch.empty(0, 4), torch.empty(0), DailyDemand(*torch.empty(2, 0)))
    assert nobody.shape == (0,)
    stock = torch.tensor([[3.0], [4.0]])
    found = projected_stock(stock, torch.zeros(2), DailyDemand(torch.ones(2), torch.ones(2)))
    assert found.tolist() == [3.0, 4.0]


def test_textbook_observations_tell_rate_spread_and_lead_time() -> None:
    lead, rate = torch.tensor([0, 3, 11]), torch.tensor([0.2, 5.0, 20.0])
    played = poisson_scenario(3, 4, mean=rate, lead_time=lead, shortage_cost=9.0, seed=1)
    assert isinstance(played.coming, TextbookDemand)
    empty = InventoryState.empty(3, played.max_lead_time, like=played.demand)
    lead_time, demand = played.coming.read(played.observe(0, empty))
    assert lead_time.tolist() == lead.tolist()
    torch.testing.assert_close(demand.mean, rate)
    torch.testing.assert_close(demand.std, rate.sqrt())


@pytest.mark.parametrize("law", [Geometric, Normal])
def test_the_spread_of_other_textbook_laws_is_theirs(law: type) -> None:
    problem = next(p for p in PROBLEMS.values() if isinstance(p.demand, law))
    played = scenario(problem, 2, problem.horizon or 2000, 1)
    assert played.coming == coming_demand(problem)
    assert played.layout.coming == played.coming
    sample = problem.demand.sample(2000, 50, torch.Generator().manual_seed(2))
    empty = InventoryState.empty(2, played.max_lead_time, like=played.demand)
    _, demand = played.coming.read(played.observe(0, empty))
    torch.testing.assert_close(demand.std[0], sample.std(), rtol=0.02, atol=0)
    assert played.coming.backlog == problem.backlog
