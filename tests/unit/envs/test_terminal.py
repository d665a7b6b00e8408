"""The terminal credit: a horizon's figure at its end, in parts at checkpoints before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from envs.credit import MOST_SCALES, EndOfHorizon, governed_by, whole_decisions
from envs.dynamics import DayOutcome
from envs.errors import ConfigError
from envs.horizon import horizon_metrics
from envs.objective import GOVERNED, ServiceObjective, objective_of
from envs.rollout import Decision, rollout
from envs.state import InventoryState, Scenario

Problem = Callable[..., tuple[Scenario, InventoryState]]
DAYS = 12
SERVICE = ServiceObjective(credit="terminal", checkpoints=2)
END = EndOfHorizon(2)


def two_inventories(counted: torch.Tensor | None = None) -> Scenario:
    """(L, P) = (1, 2), reviewed on even days, and (0, 3) from day 1; scales 2 and 4."""
    day = torch.arange(DAYS).unsqueeze(1)
    return Scenario(
        demand=torch.ones(DAYS, 2),
        lead_time=torch.tensor([1, 0]),
        review_period=torch.tensor([2, 3]),
        review=torch.cat((day % 2 == 0, day % 3 == 1), 1),
        shortage_cost=torch.ones(2),
        holding_cost=torch.ones(2),
        scale=torch.tensor([2.0, 4.0]).expand(DAYS, 2).contiguous(),
        basis=torch.zeros(DAYS, 2, 1),
        features=torch.zeros(DAYS, 2, 1),
        counted=counted,
        max_lead_time=1,
    ).validate()


def test_whole_decisions_and_their_days_by_hand() -> None:
    scenario = two_inventories()
    whole = whole_decisions(scenario)
    # 10 + 2 + 1 > 12; the decision of day 7 would be followed on day 10, that of day 9 by none.
    assert whole[:, 0].nonzero().flatten().tolist() == [0, 2, 4, 6, 8]
    assert whole[:, 1].nonzero().flatten().tolist() == [1, 4, 7]
    governed = governed_by(whole, scenario)
    assert governed[:, 0].nonzero().flatten().tolist() == list(range(1, 11))
    assert governed[:, 1].nonzero().flatten().tolist() == list(range(1, 10))


def test_charges_by_hand() -> None:
    """After days 4, 8 and 12, to the last whole decision before; nothing elsewhere."""
    cost = torch.stack((torch.arange(12.0), torch.ones(12)), 1)
    reward, whole = END.rewards(cost, two_inventories())
    expected = torch.zeros(12, 2)
    expected[2, 0] = -(1.0 + 2 + 3) * 2 / 12
    expected[6, 0] = -(4.0 + 5 + 6 + 7) * 2 / 12
    expected[8, 0] = -(8.0 + 9 + 10) * 2 / 12
    expected[1, 1] = -3.0 * 3 / 12
    expected[7, 1] = -(4.0 + 2) * 3 / 12  # two parts end after it
    torch.testing.assert_close(reward, expected)
    assert not reward[~whole].any()


def test_without_checkpoints_all_is_charged_at_the_end() -> None:
    reward, _ = EndOfHorizon(0).rewards(torch.ones(12, 2), two_inventories())
    assert reward.nonzero().tolist() == [[7, 1], [8, 0]]
    torch.testing.assert_close(reward.sum(0), -torch.tensor([10 * 2 / 12, 9 * 3 / 12]))


@pytest.mark.parametrize(
    ("days", "ends"), [(12, [0, 4, 8, 12]), (10, [0, 4, 7, 10]), (2, [0, 1, 2])]
)
def test_charges_are_evenly_spaced(days: int, ends: list[int]) -> None:
    assert END.charge_days(days) == ends


@pytest.mark.parametrize("checkpoints", [0, 3])
@pytest.mark.parametrize("seed", range(4))
def test_a_horizon_is_charged_with_its_figure(
    random_problem: Problem, seed: int, checkpoints: int
) -> None:
    """In all with what the governed days cost: what the other credit charges one by one."""
    scenario, start = random_problem(seed, n=9, days=31, random_counted=True)
    played = rollout(scenario, lambda seen: Decision(seen.basis[..., 0]), start)
    service = ServiceObjective(2.0, 0.5, credit="terminal", checkpoints=checkpoints)
    whole = whole_decisions(scenario)
    assert scenario.counted is not None
    days = governed_by(whole, scenario) & scenario.counted
    metrics = horizon_metrics(
        played.outcome, scenario.demand, scenario.shortage_cost, scenario.holding_cost, days
    )
    size = scenario.review_period / 31
    totals = []
    for cost in service.day_parts(played.outcome, scenario):
        cost = cost * scenario.counted
        reward, same = service.crediting.rewards(cost, scenario)
        assert torch.equal(whole, same)
        one_by_one = (GOVERNED.rewards(cost, scenario)[0] * whole).sum(0)
        torch.testing.assert_close(reward.sum(0), one_by_one * size)
        assert int((reward != 0).sum(0).max()) <= checkpoints + 1
        totals.append(-reward.sum(0))
    turnover, stockouts = (total / size / metrics.counted_days for total in totals)
    torch.testing.assert_close(turnover, 0.5 * metrics.mean_inventory)
    demand = service.day_size(scenario)
    torch.testing.assert_close(stockouts, 2.0 * metrics.stockout_rate * demand)


def test_the_history_by_hand() -> None:
    end = torch.tensor([9.0, 0, 4, 2, 0, 6, 0, 0, 1, 1, 1, 1]).unsqueeze(1).expand(12, 2)
    sales = torch.arange(12.0).unsqueeze(1).expand(12, 2)
    counted = torch.ones(12, 2, dtype=torch.bool)
    counted[2, 0] = False
    history = END.history(DayOutcome(sales, torch.zeros(12, 2), end), two_inventories(counted))
    assert history.shape == (12, 2, END.history_columns)
    assert history[0].tolist() == [[1.0, 1.0, 0.0, 0.0, 0.0]] * 2
    # Nothing is due of day 0, which no decision governs, nor of day 2, which does not count.
    torch.testing.assert_close(history[3, 0], torch.tensor([9 / 12, 1 / 4, 1 / 4, 0.0, 1 / 4 / 2]))
    torch.testing.assert_close(
        history[3, 1], torch.tensor([9 / 12, 1 / 4, 1 / 4, 4 / 4 / 4, 3 / 4 / 4])
    )
    # Day 4: what was is charged. Day 7: days 4, 5 and 6 stand.
    assert history[4, 0].tolist() == pytest.approx([8 / 12, 1.0, 0.0, 0.0, 0.0])
    torch.testing.assert_close(
        history[7, 0], torch.tensor([5 / 12, 1 / 4, 2 / 4, 6 / 4 / 2, 15 / 4 / 2])
    )


@pytest.mark.parametrize("seed", range(4))
def test_what_is_to_be_charged_is_the_past_of_the_history_and_the_days_to_come(
    random_problem: Problem, seed: int
) -> None:
    """The history is all that a value must know of the days before."""
    scenario, start = random_problem(seed, n=9, days=31, random_counted=True)
    played = rollout(scenario, lambda seen: Decision(seen.basis[..., 0] / 4), start)
    history = END.history(played.outcome, scenario)
    assert float(history.max()) < MOST_SCALES
    assert scenario.counted is not None
    days = governed_by(whole_decisions(scenario), scenario) & scenario.counted
    span, size = 31 / 3, scenario.review_period / 31
    for past, amount in (
        (history[..., 2] * span, (played.outcome.end <= 0).double()),
        (history[..., 3] * span * scenario.scale, played.outcome.end),
    ):
        reward, whole = END.rewards(amount * scenario.counted, scenario)
        to_charge = -reward.flip(0).cumsum(0).flip(0)
        to_come = (amount * days).flip(0).cumsum(0).flip(0)
        torch.testing.assert_close(to_charge[whole], ((past + to_come) * size)[whole])


def test_the_past_knows_no_future(random_problem: Problem) -> None:
    scenario, start = random_problem(5, n=6, days=20)
    changed = scenario.demand.clone()
    changed[11:] += 5.0
    histories = [
        END.history(rollout(s, lambda seen: Decision(seen.basis[..., 0]), start).outcome, s)
        for s in (scenario, replace(scenario, demand=changed))
    ]
    assert torch.equal(histories[0][:12], histories[1][:12])
    assert not torch.equal(histories[0][12:], histories[1][12:])


def test_the_credit_is_an_option_of_the_objective() -> None:
    chosen = objective_of({"name": "service", "credit": "terminal"})
    assert chosen.crediting == EndOfHorizon(3)
    assert chosen.written() == {"name": "service", "credit": "terminal"}
    assert objective_of("service").crediting is GOVERNED
    for options in ({"credit": "final"}, {"checkpoints": -1}, {"checkpoints": 1.5}):
        with pytest.raises(ConfigError, match=next(iter(options))):
            objective_of({"name": "service", **options})


def test_the_loss_is_of_the_horizon_under_either_credit(random_problem: Problem) -> None:
    scenario, start = random_problem(6)
    outcome = rollout(scenario, lambda seen: Decision(seen.basis[..., 0]), start).outcome
    losses = [each.loss(outcome, scenario, 0.5) for each in (SERVICE, ServiceObjective())]
    assert torch.equal(*losses)
