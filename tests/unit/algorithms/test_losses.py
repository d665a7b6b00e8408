"""The losses of DDPG, and PPO's own parts of its: by hand, and what they do not know."""

from __future__ import annotations

import copy

import pytest
import torch
from ray.rllib.core import DEFAULT_MODULE_ID
from torch import Tensor
from torch.distributions import Independent, Normal, kl_divergence

from pipeline.algorithms.ddpg import COMMON, WALL, actor_loss_of, critic_loss_of, error_units
from pipeline.algorithms.gradients import target_size, value_loss_of
from pipeline.algorithms.ppo import divergence
from tests.learners import make_learner

SIZE = torch.tensor([4.0, 9.0])


def batch(seed: int = 0, rows: int = 6, count: int = 3) -> tuple[Tensor, Tensor, Tensor]:
    """What the critic says, what came of it, [B, C, 2] each, and weights of mean 1 [B]."""
    generator = torch.Generator().manual_seed(seed)
    cost, target = 5 * torch.rand((2, rows, count, 2), generator=generator, dtype=torch.float64)
    weight = 0.1 + torch.rand(rows, generator=generator, dtype=torch.float64)
    return cost, target, weight / weight.mean()


def test_the_size_of_targets_by_hand() -> None:
    # Holding 1 and 3, shortage 10 and 10; then 0 and 2, and 4 and 0.
    target = torch.tensor([[[1.0, 10.0], [3.0, 10.0]], [[0.0, 4.0], [2.0, 0.0]]])
    size = target_size(target, torch.tensor([0.5, 1.5]))
    assert size.tolist() == [(0.5 * 1 + 1.5 * 1) / 2, (0.5 * 0 + 1.5 * 4) / 2]


def test_the_critics_loss_by_hand() -> None:
    # Errors of holding: 1 and 3: 2 are shared, -1 and 1 are own. Of shortage: 0 and -6.
    target = torch.zeros(1, 2, 2)
    cost = torch.tensor([[[1.0, 0.0], [3.0, -6.0]]])
    loss = critic_loss_of(cost, target, torch.ones(1), SIZE)
    assert float(loss) == pytest.approx((1 + COMMON * 4) / 4 + (9 + COMMON * 9) / 9)


def test_rows_count_by_their_weight() -> None:
    cost, target, weight = batch()
    rows = [
        float(w * critic_loss_of(cost[i : i + 1], target[i : i + 1], torch.ones(1), SIZE))
        for i, w in enumerate(weight)
    ]
    found = critic_loss_of(cost, target, weight, SIZE)
    assert float(found) == pytest.approx(sum(rows) / len(rows))


def test_an_error_that_all_alternatives_share_costs_a_little_of_itself() -> None:
    """It is the demand that came, which no action changes."""
    _, target, weight = batch()
    shift = torch.tensor([2.0, -3.0], dtype=torch.float64)
    shared = critic_loss_of(target + shift, target, weight, SIZE)
    assert float(shared) == pytest.approx(COMMON * (4 / 4 + 9 / 9))
    own = target.clone()
    own[:, ::2] += shift
    own[:, 1] -= 2 * shift  # as large on average, with no mean
    assert float(critic_loss_of(own, target, weight, SIZE)) > 10 * float(shared)


def test_the_loss_does_not_know_the_ratio_of_shortage_to_holding_cost() -> None:
    cost, target, weight = batch()
    ratio = torch.tensor([1.0, 100.0], dtype=torch.float64)
    sizes = [target_size(t, weight) for t in (target, target * ratio)]
    one = critic_loss_of(cost, target, weight, sizes[0])
    other = critic_loss_of(cost * ratio, target * ratio, weight, sizes[1])
    torch.testing.assert_close(one, other)
    # Nor the unit of money.
    torch.testing.assert_close(
        one, critic_loss_of(7 * cost, 7 * target, weight, target_size(7 * target, weight))
    )


def test_the_actors_loss_by_hand() -> None:
    cost = torch.tensor([[1.0, 2.0], [0.5, 0.0]])
    weight = torch.tensor([0.5, 1.5])
    inside = torch.tensor([[WALL, -WALL], [0.0, 3.0]])
    expected = (0.5 * 3 + 1.5 * 0.5) / 2
    assert float(actor_loss_of(cost, inside, weight)) == pytest.approx(expected)
    outside = torch.tensor([[WALL + 1, -WALL - 2], [0.0, 3.0]], requires_grad=True)
    loss = actor_loss_of(cost, outside, weight)
    assert float(loss.detach()) == pytest.approx(expected + (1 + 4) / 4)
    (slope,) = torch.autograd.grad(loss, outside)
    assert slope[0].tolist() == [0.5, -1.0]  # back towards the range
    assert not slope[1].any()


def test_errors_count_less_where_more_is_said_to_be_at_stake() -> None:
    """Their squares in proportion to 1 / (3 mean costs + cost), which has mean 1."""
    said = torch.tensor([[[1.0, 0.0], [3.0, 0.0]], [[4.0, 9.0], [8.0, 3.0]]])  # means 2, 6; 0, 6
    unit = error_units(said)
    assert unit.shape == (2, 1, 2)
    holding = torch.tensor([1 / (3 + 0.5), 1 / (3 + 1.5)])
    shortage = torch.tensor([1 / 3, 1 / (3 + 2.0)])
    for part, weights in enumerate((holding, shortage)):
        torch.testing.assert_close(unit[:, 0, part] ** -2, weights / weights.mean())
    torch.testing.assert_close(error_units(100 * said), unit)  # whatever they are counted in
    torch.testing.assert_close(error_units(0 * said), torch.ones(2, 1, 2))


def test_the_divergence_is_that_of_the_gaussians() -> None:
    torch.manual_seed(0)
    old, new = torch.randn(2, 50, 6).unbind(0)
    gaussians = [
        Independent(Normal(inputs[:, :3], inputs[:, 3:].exp()), 1) for inputs in (old, new)
    ]
    torch.testing.assert_close(divergence(old, new), kl_divergence(*gaussians).mean())


def test_a_value_error_counts_in_the_size_of_its_part() -> None:
    target = torch.tensor([[1.0, 100.0], [3.0, 500.0]])
    weight = torch.tensor([0.5, 1.5])
    loss = value_loss_of(
        target + torch.tensor([0.1, 10.0]), target, weight, torch.tensor([1.0, 1e4])
    )
    assert float(loss) == pytest.approx(0.01 + 0.01)


@pytest.mark.parametrize(("limit", "moves"), [(0.0, False), (100.0, True)])
def test_beyond_the_limit_the_policy_stands_still_and_values_go_on(
    limit: float, moves: bool
) -> None:
    learner, batch = make_learner("ppo", lr=0.01, kl_limit=limit)
    module = learner.module[DEFAULT_MODULE_ID].unwrapped()
    learner.update(batch=batch, num_epochs=1, minibatch_size=64)  # from a divergence of 0
    before = copy.deepcopy(module.state_dict())
    learner.update(batch=batch, num_epochs=3, minibatch_size=64)
    changed = {name for name, value in module.state_dict().items() if (value != before[name]).any()}
    assert "value.net.0.weight" in changed
    assert ("policy.net.0.weight" in changed) == moves
    assert ("log_std" in changed) == moves
