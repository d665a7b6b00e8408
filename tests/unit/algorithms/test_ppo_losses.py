"""PPO's own parts of the loss: values in two parts, and the bound on the policy's step."""

from __future__ import annotations

import copy

import pytest
import torch
from ray.rllib.core import DEFAULT_MODULE_ID
from torch.distributions import Independent, Normal, kl_divergence

from pipeline.algorithms.gradients import value_loss_of
from pipeline.algorithms.ppo import divergence
from tests.learners import make_learner


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
