"""The four formulas of design 3 on numbers made by hand."""

from __future__ import annotations

import pytest
import torch

from envs.errors import ConfigError
from envs.state import Observation
from pipeline.policies.action_models import (
    ACTION_MODELS,
    EDGE,
    logit_of,
    make_action_model,
    squash,
)
from tests.own_coming import AnyDemand

# Two inventories, K = 1, M = 3; the last basis feature is the constant, i.e. the scale.
OBSERVATION = Observation(
    stock=torch.tensor([[3.0, 2.0], [10.0, 0.0]]),
    scale=torch.tensor([4.0, 8.0]),
    basis=torch.tensor([[1.0, 2.0, 4.0], [3.0, 5.0, 8.0]]),
    features=torch.zeros(2, 0),
)
ONE = torch.tensor([[0.5], [0.5]])
COEFFICIENTS = torch.tensor([[0.5, 0.25, 1.0], [0.0, 1.0, 0.75]])


@pytest.mark.parametrize(
    ("kind", "action", "expected"),
    [
        # q = mu: 0.5 of the range 0..3 scales.
        ("none", ONE, [6.0, 12.0]),
        # q = max(mu - tot(I), 0): 6 - 5 and 12 - 10.
        ("base", ONE, [1.0, 2.0]),
        # q = c' feat(x): 0.5 + 0.5 + 4 and 0 + 5 + 6.
        ("coeff", COEFFICIENTS, [5.0, 11.0]),
        # q = max(c' feat(x) - tot(I), 0): 5 - 5 and 11 - 10.
        ("both", COEFFICIENTS, [0.0, 1.0]),
    ],
)
def test_order_quantities(kind: str, action: torch.Tensor, expected: list[float]) -> None:
    model = make_action_model(kind, basis=3)
    assert model.outputs == action.shape[1]
    torch.testing.assert_close(model(action, OBSERVATION), torch.tensor(expected))


@pytest.mark.parametrize("kind", ["base", "both"])
def test_an_inventory_above_its_level_orders_nothing(kind: str) -> None:
    model = make_action_model(kind, basis=3)
    action = torch.full((2, model.outputs), 0.05)
    assert model(action, OBSERVATION).tolist() == [0.0, 0.0]
    # The level itself is not cut: a critic and an explanation still see it.
    assert (model.target(action, OBSERVATION) > 0).all()


@pytest.mark.parametrize("kind", list(ACTION_MODELS))
def test_orders_are_never_negative(kind: str) -> None:
    generator = torch.Generator().manual_seed(0)
    model = make_action_model(kind, basis=3, coming=AnyDemand(), low=-2.0)
    observation = Observation(
        stock=40 * torch.rand(500, 2, generator=generator) - 20,
        scale=1 + torch.rand(500, generator=generator),
        basis=10 * torch.rand(500, 3, generator=generator),
        features=torch.rand(500, 2, generator=generator),
    )
    order = model(torch.rand(500, model.outputs, generator=generator), observation)
    assert (order >= 0).all()
    assert (order == 0).any()
    assert (order > 0).any()


@pytest.mark.parametrize("kind", list(ACTION_MODELS))
def test_the_range_of_an_action(kind: str) -> None:
    model = make_action_model(
        kind, basis=3, coming=AnyDemand(), low=0.5, high=2.0, coefficient_high=1.5
    )
    high = 1.5 if model.weighs_features else 2.0
    ends = torch.tensor([[0.0], [1.0], [-3.0], [7.0]]).expand(4, model.outputs)
    expected = torch.tensor([[0.5], [high], [0.5], [high]]).expand(4, model.outputs)
    torch.testing.assert_close(model.coefficients(ends), expected)


def test_a_start_is_named_for_every_action_model() -> None:
    assert all(0 < ACTION_MODELS.find(kind).start <= 1 for kind in ACTION_MODELS)


def test_an_unknown_action_model_is_refused() -> None:
    with pytest.raises(ConfigError, match="none, base, coeff, both"):
        make_action_model("bose", basis=3)


@pytest.mark.parametrize(
    ("kind", "ends"),
    [("base", {"low": 3.0}), ("none", {"high": 0.0}), ("both", {"coefficient_high": -1.0})],
)
def test_an_empty_range_is_refused(kind: str, ends: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        make_action_model(kind, basis=3, **ends)


def test_a_networks_outputs_reach_both_ends_of_the_range() -> None:
    logits = torch.tensor([-12.0, -5.4, -5.2, 0.0, 5.2, 5.4, 12.0])
    assert squash(logits)[[0, 1, 5, 6]].tolist() == [0.0, 0.0, 1.0, 1.0]
    inside = squash(logits)[2:5]
    assert 0 < inside[0] < 1e-3
    assert 1 - 1e-3 < inside[2] < 1
    assert inside[1] == 0.5


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_at_the_ends_the_gradient_leads_back(dtype: torch.dtype) -> None:
    logits = torch.linspace(-12, 12, 2401, dtype=dtype, requires_grad=True)
    action = squash(logits)
    (slope,) = torch.autograd.grad(action.sum(), logits)
    assert (slope > 0).all()
    sigmoid = torch.sigmoid(logits.detach())
    torch.testing.assert_close(slope, (1 + 2 * EDGE) * sigmoid * (1 - sigmoid))
    with torch.no_grad():
        assert torch.equal(squash(logits), action)  # the very same numbers
    assert (action.diff() >= 0).all()


def test_an_action_is_found_again_from_its_logit() -> None:
    for action in (0.0, 0.001, 0.05, 0.5, 0.97, 1.0):
        logit = torch.tensor(logit_of(action), dtype=torch.float64)
        assert float(squash(logit)) == pytest.approx(action, abs=1e-12)
