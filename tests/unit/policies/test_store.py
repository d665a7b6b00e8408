"""A model that was written is the model that is read."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from envs.errors import DataError
from envs.state import ObservationLayout
from pipeline.features.forecast import DayFactors
from pipeline.policies.action_models import ACTION_MODELS, make_action_model
from pipeline.policies.networks import PolicyNetwork
from pipeline.policies.store import FORECAST, POLICY, load_model, save_model
from tests.own_coming import AnyDemand

LAYOUT = ObservationLayout(3, 5, 4)
FACTORS = DayFactors({"*": [0.1] * 11}, {"*": 2.5})


def make_policy(kind: str = "both", hidden: tuple[int, ...] = (8, 6)) -> PolicyNetwork:
    model = make_action_model(
        kind, LAYOUT.basis, coming=AnyDemand(), low=-0.5, high=4.0, coefficient_high=1.5
    )
    return PolicyNetwork(LAYOUT, model, hidden)


def observations() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    flat = 1 + torch.rand(20, LAYOUT.size, generator=generator)
    flat[:, : LAYOUT.max_lead_time + 1] *= 0.01  # little stock: every policy orders
    return flat


@pytest.mark.parametrize("hidden", [(), (8, 6)])
@pytest.mark.parametrize("kind", list(ACTION_MODELS))
def test_round_trip(tmp_path: Path, kind: str, hidden: tuple[int, ...]) -> None:
    policy = make_policy(kind, hidden)
    save_model(tmp_path / "model", policy, FACTORS)
    again = load_model(tmp_path / "model")
    assert again.factors == FACTORS
    assert again.policy.layout == LAYOUT
    assert again.policy.action_model.name == kind
    with torch.no_grad():
        assert torch.equal(again.policy(observations()), policy(observations()))
    assert policy(observations()).std() > 0


def test_a_model_may_need_no_forecaster(tmp_path: Path) -> None:
    save_model(tmp_path, make_policy(), None)
    assert load_model(tmp_path).factors is None


def test_the_newer_model_replaces_the_older(tmp_path: Path) -> None:
    first, second = make_policy(), make_policy()
    save_model(tmp_path, first, FACTORS)
    save_model(tmp_path, second, FACTORS)
    with torch.no_grad():
        assert torch.equal(load_model(tmp_path).policy(observations()), second(observations()))
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([POLICY, FORECAST])


def refused(directory: Path) -> DataError:
    with pytest.raises(DataError) as raised:
        load_model(directory)
    assert str(directory) in str(raised.value)
    return raised.value


def test_no_model_is_named(tmp_path: Path) -> None:
    assert "training run" in refused(tmp_path / "none").remedy


@pytest.mark.parametrize("content", [b"", b"not a model at all", b"PK\x03\x04 cut off"])
def test_a_damaged_model_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / POLICY).write_bytes(content)
    refused(tmp_path)


def test_a_model_that_was_cut_short_is_named(tmp_path: Path) -> None:
    save_model(tmp_path, make_policy(), FACTORS)
    whole = (tmp_path / POLICY).read_bytes()
    (tmp_path / POLICY).write_bytes(whole[: len(whole) // 2])
    refused(tmp_path)


def test_another_programs_file_is_named(tmp_path: Path) -> None:
    torch.save({"state": {}}, tmp_path / POLICY)
    refused(tmp_path)
    torch.save([1, 2, 3], tmp_path / POLICY)
    refused(tmp_path)


@pytest.mark.parametrize("content", ["{not json", '{"coefficients": {}, "speed": 3}'])
def test_a_damaged_forecaster_is_named(tmp_path: Path, content: str) -> None:
    save_model(tmp_path, make_policy(), FACTORS)
    (tmp_path / FORECAST).write_text(content)
    refused(tmp_path)
