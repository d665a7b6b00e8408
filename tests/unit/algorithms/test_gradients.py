"""The learners' own gradient step, and what may move which network."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.core.columns import Columns
from ray.rllib.core.learner.learner import Learner
from ray.rllib.core.learner.torch.torch_learner import TorchLearner
from ray.rllib.policy.sample_batch import MultiAgentBatch

from pipeline.algorithms.gradients import minibatches
from pipeline.algorithms.ppo import PPOLearner
from tests.learners import make_learner


def parameters(learner: Learner) -> list[torch.nn.Parameter]:
    """What is trained; the averaged policy is not."""
    return [p for p in learner.module[DEFAULT_MODULE_ID].parameters() if p.requires_grad]


class RLlibsOwn(PPOLearner):
    """The same losses with RLlib's own minibatches, clipping and step."""

    update = Learner.update
    _update = TorchLearner._update
    compute_gradients = TorchLearner.compute_gradients
    postprocess_gradients = Learner.postprocess_gradients
    apply_gradients = TorchLearner.apply_gradients
    after_gradient_based_update = TorchLearner.after_gradient_based_update

    def configure_optimizers_for_module(
        self, module_id: str, config: AlgorithmConfig | None = None
    ) -> None:
        assert config is not None
        for name, (parameters, rate) in self.trained(self._module[module_id], config).items():
            self.register_optimizer(
                module_id=module_id, optimizer_name=name, params=parameters,
                optimizer=torch.optim.Adam(parameters), lr_or_lr_schedule=rate,
            )  # fmt: skip


@pytest.mark.parametrize("grad_clip", [0.05, None])
def test_the_joint_gradient_step_is_rllibs(grad_clip: float | None) -> None:
    ours, batch = make_learner("ppo", grad_clip=grad_clip)
    config = ours.config.copy(copy_frozen=False)
    config.learners(learner_class=RLlibsOwn)
    theirs = config.build_learner(
        spaces={DEFAULT_MODULE_ID: (config.observation_space, config.action_space)}
    )
    theirs.module.set_state(ours.module.get_state())
    for _ in range(3):
        for learner in (ours, theirs):
            learner.update(batch=batch, num_epochs=1, minibatch_size=64)
        # Adam hardly sees the scale of a gradient: clipping shows in the gradients themselves.
        for pair in zip(parameters(ours), parameters(theirs), strict=True):
            mine, rllibs = (parameter.grad for parameter in pair)
            assert mine is not None
            torch.testing.assert_close(mine, rllibs, rtol=1e-4, atol=1e-7)
            torch.testing.assert_close(*pair, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("shuffle", [False, True])
def test_minibatches_hold_every_row_once_an_epoch(shuffle: bool) -> None:
    columns = {"row": torch.arange(103), "twice": 2 * torch.arange(103).unsqueeze(1)}
    cut = list(minibatches(columns, size=20, epochs=2, shuffle=shuffle))
    assert [len(part["row"]) for part in cut] == 2 * [18, 17, 17, 17, 17, 17]
    for epoch in (cut[:6], cut[6:]):
        rows = torch.cat([part["row"] for part in epoch])
        assert torch.equal(rows.sort().values, columns["row"])
        assert torch.equal(rows, columns["row"]) != shuffle
        assert torch.equal(torch.cat([part["twice"] for part in epoch])[:, 0], 2 * rows)
    (whole,) = minibatches(columns, size=None, epochs=1, shuffle=False)
    assert len(whole["row"]) == 103


def test_figures_are_means_over_the_last_minibatch() -> None:
    learner, batch = make_learner("ddpg")
    module = learner.module[DEFAULT_MODULE_ID].unwrapped()
    columns = {k: torch.as_tensor(v) for k, v in batch[DEFAULT_MODULE_ID].items()}
    out = module.forward_train(columns)
    found = learner.update(batch=batch, num_epochs=1, minibatch_size=64)[DEFAULT_MODULE_ID]
    assert len(columns[Columns.OBS]) == 64  # one minibatch, before whose update all was found
    assert found["action_mean"].peek() == pytest.approx(float(out["policy_action"].mean()))
    assert found["q_mean"].peek() == pytest.approx(-float(out["cost"].sum(-1).mean()), rel=1e-5)


def losses_gradients(learner: Learner, batch: MultiAgentBatch, key: str) -> dict[str, Any]:
    """Gradients of the mean of one output of the training forward pass."""
    module = learner.module[DEFAULT_MODULE_ID].unwrapped()
    columns = {k: torch.as_tensor(v) for k, v in batch[DEFAULT_MODULE_ID].items()}
    module.zero_grad(set_to_none=True)
    module.forward_train(columns)[key].mean().backward()
    return {name: p.grad for name, p in module.named_parameters() if p.requires_grad}


def test_the_actors_loss_does_not_move_the_critic_nor_the_critics_the_actor() -> None:
    learner, batch = make_learner("ddpg")
    of_actor = losses_gradients(learner, batch, "cost_of_policy")
    assert all(g is None for name, g in of_actor.items() if name.startswith("critic"))
    assert any(g is not None and g.any() for n, g in of_actor.items() if n.startswith("policy"))
    of_critic = losses_gradients(learner, batch, "cost")
    assert all(g is None for name, g in of_critic.items() if name.startswith("policy"))
    assert any(g is not None and g.any() for n, g in of_critic.items() if n.startswith("critic"))


def test_without_smoothing_the_actor_is_judged_at_its_own_action() -> None:
    def judged(smoothing: float) -> tuple[torch.Tensor, torch.Tensor]:
        learner, batch = make_learner("ddpg", actor_smoothing=smoothing)
        module = learner.module[DEFAULT_MODULE_ID].unwrapped()
        columns = {k: torch.as_tensor(v) for k, v in batch[DEFAULT_MODULE_ID].items()}
        out = module.forward_train(columns)
        observation = module.layout.unflatten(columns[Columns.OBS])
        plain = module.critic(observation, out["policy_action"], module.policy.action_model)
        return out["cost_of_policy"].detach(), plain.detach()

    torch.testing.assert_close(*judged(0.0))
    tried, plain = judged(0.05)
    assert not torch.allclose(tried, plain)
    assert float((tried - plain).abs().mean()) < float(plain.std())


def test_the_mode_of_a_module_reaches_its_networks() -> None:
    """RLlib asks for the mode before every minibatch; asking again must cost nothing."""
    learner, _ = make_learner("ddpg")
    module = learner.module[DEFAULT_MODULE_ID].unwrapped()
    for mode in (False, True, True, False):
        assert module.train(mode) is module
        assert {part.training for part in (module, module.policy, module.critic)} == {mode}
