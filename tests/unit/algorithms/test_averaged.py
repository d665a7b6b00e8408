"""The policy that is validated and kept is an average over the last updates."""

from __future__ import annotations

import copy

import pytest
import torch
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.core.columns import Columns
from ray.rllib.core.learner.learner import Learner

from pipeline.algorithms.modules import AVERAGING, PolicyModule
from tests.learners import make_learner


def module_of(learner: Learner) -> PolicyModule:
    module: PolicyModule = learner.module[DEFAULT_MODULE_ID].unwrapped()
    return module


@pytest.mark.parametrize("algorithm", ["ddpg", "ppo"])
def test_the_averaged_policy_is_the_polynomial_decay_average(algorithm: str) -> None:
    learner, batch = make_learner(algorithm)
    module = module_of(learner)
    updates = 40
    seen = []
    for _ in range(updates):
        learner.update(batch=batch, num_epochs=1, minibatch_size=64)
        seen.append([p.detach().clone() for p in module.policy.parameters()])
    shares = [AVERAGING / (AVERAGING + n) for n in range(updates)]
    weights, left = [0.0] * updates, 1.0
    for n in reversed(range(updates)):  # the last update's share, then what is left of the others
        weights[n] = left * shares[n]
        left *= 1 - shares[n]
    assert left == 0.0  # the untrained policy has no share
    assert sum(weights) == pytest.approx(1.0)
    assert sum(weights[: updates // 2]) < 0.01
    for i, averaged in enumerate(module.averaged.parameters()):
        expected = sum(w * each[i] for w, each in zip(weights, seen, strict=True))
        assert isinstance(expected, torch.Tensor)
        torch.testing.assert_close(averaged, expected, rtol=1e-5, atol=1e-6)
        assert not averaged.requires_grad
    assert any(
        not torch.equal(a, p)
        for a, p in zip(module.averaged.parameters(), module.policy.parameters(), strict=True)
    )


@pytest.mark.parametrize("algorithm", ["ddpg", "ppo"])
def test_the_average_is_part_of_a_checkpoint(algorithm: str) -> None:
    learner, batch = make_learner(algorithm)
    for _ in range(5):
        learner.update(batch=batch, num_epochs=1, minibatch_size=64)
    state = copy.deepcopy(learner.get_state())
    other, _ = make_learner(algorithm)
    other.set_state(state)
    for each in (learner, other):
        torch.manual_seed(1)
        each.update(batch=batch, num_epochs=1, minibatch_size=64)
    one, two = (module_of(each).state_dict() for each in (learner, other))
    assert float(one["updates"]) == 6.0
    assert set(one) == set(two)
    assert all(torch.equal(value, two[name]) for name, value in one.items())
    sizes = [each._target_size for each in (learner, other)]
    assert torch.equal(*sizes)


def test_the_size_of_targets_is_a_running_one() -> None:
    """One minibatch of rare shortages must not change what an error counts."""
    learner, batch = make_learner("ddpg")
    learner.update(batch=batch, num_epochs=1, minibatch_size=64)
    first = learner._target_size.clone()
    assert first.shape == (2,)
    rows = batch[DEFAULT_MODULE_ID]
    rows["cost"] = 10 * rows["cost"]  # and what is to come in the old size
    learner.update(batch=batch, num_epochs=1, minibatch_size=64)
    ratio = learner._target_size / first
    assert (ratio > 1.5).all()
    assert (ratio < 0.98 + 0.02 * 110).all()


def test_what_shortages_cost_does_not_shorten_ppos_step() -> None:
    """Targets a thousand times as large: the policy moves as before, the values move too."""
    moved = []
    for factor in (1.0, 1000.0):
        learner, batch = make_learner("ppo", lr=0.01, grad_clip=0.01)
        rows = batch[DEFAULT_MODULE_ID]
        rows[Columns.VALUE_TARGETS] = factor * rows[Columns.VALUE_TARGETS]
        before = copy.deepcopy(module_of(learner).state_dict())
        for _ in range(4):
            learner.update(batch=batch, num_epochs=1, minibatch_size=64)
        after = module_of(learner).state_dict()
        moved.append({name: after[name] - before[name] for name in before})
    for name, change in moved[0].items():
        if name.startswith(("policy.net", "log_std")):
            torch.testing.assert_close(change, moved[1][name])
            assert change.any()
    assert all(change["value.net.0.weight"].any() for change in moved)


def test_slow_copies_forget_where_they_started() -> None:
    """They take over as much as an average does until that is less than tau."""
    learner, batch = make_learner("ddpg", tau=0.4)
    module = module_of(learner)
    expected = module.target_critic.net[0].weight.detach().clone()
    for update in range(1, 40):
        learner.update(batch=batch, num_epochs=1, minibatch_size=64)
        share = max(0.4, 1 / (1 + update / AVERAGING))
        expected = torch.lerp(expected, module.critic.net[0].weight.detach(), share)
        torch.testing.assert_close(module.target_critic.net[0].weight, expected)
    assert share == 0.4


def test_the_actor_waits_for_the_critic() -> None:
    """Without a trace in its optimizer: its first step is as long as any other run's."""
    steps = []
    for wait in (0, 3):
        learner, batch = make_learner("ddpg", critic_warm_up=wait)
        module = module_of(learner)
        start = module.policy.net[0].weight.detach().clone()
        for _ in range(wait):
            learner.update(batch=batch, num_epochs=1, minibatch_size=64)
            assert torch.equal(module.policy.net[0].weight, start)
        learner.update(batch=batch, num_epochs=1, minibatch_size=64)
        steps.append((module.policy.net[0].weight.detach() - start).abs().max())
    assert float(steps[1]) == pytest.approx(float(steps[0]), rel=0.02)
