"""A trained policy on disk: what evaluation, serving and MLflow load.

``policy.pt`` (weights and the few numbers that rebuild the network) and
``forecast.json`` (the day factors its features were made with). Reading one needs torch only.
"""

from __future__ import annotations

import hashlib
import json
import pickle
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from envs.errors import ConfigError, DataError
from envs.objective import DEFAULT_OBJECTIVE, Objective, objective_of
from envs.state import ObservationLayout
from pipeline.features.build import BASIS, FEATURES
from pipeline.features.forecast import DayFactors
from pipeline.policies.action_models import ACTION_MODELS, make_action_model
from pipeline.policies.networks import PolicyNetwork
from pipeline.tools.files import beside, write_json

POLICY, FORECAST, GOALS = "policy.pt", "forecast.json", "goals.json"


@dataclass(frozen=True)
class TrainedModel:
    """A policy and the forecaster behind its features."""

    policy: PolicyNetwork
    factors: DayFactors | None
    """None for problems whose features need no forecaster."""
    objective: Objective = DEFAULT_OBJECTIVE
    """What it was trained for."""
    shortage_factors: tuple[float, float] | None = None
    """The range of factors on shortages that it was trained for; None: the costs' own only."""
    version: str = ""
    """Tells what the model computes from what another does: the start of a hash of its weights,
    action model and forecaster."""


def save_model(
    directory: Path,
    policy: PolicyNetwork,
    factors: DayFactors | None,
    objective: Objective = DEFAULT_OBJECTIVE,
    shortage_factors: Sequence[float] | None = None,
) -> None:
    """Writes a model; an existing one is replaced only once the new one is complete."""
    hidden = [layer.out_features for layer in policy.net if isinstance(layer, nn.Linear)][:-1]
    model = policy.action_model
    content: dict[str, Any] = {
        "layout": policy.layout.widths,
        "action_model": {"kind": ACTION_MODELS.written(type(model)), **model.settings},
        "hidden": hidden,
        "objective": objective.written(),
        "shortage_factors": None if shortage_factors is None else list(shortage_factors),
        "state": policy.state_dict(),
    }
    with beside(directory / POLICY) as partial:
        torch.save(content, partial)
    if factors is not None:
        factors.save(directory / FORECAST)


def load_model(directory: Path) -> TrainedModel:
    """Reads :func:`save_model`'s folder.

    Raises:
        DataError: There is no model, or it cannot be read.
    """
    path = directory / POLICY
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        layout = ObservationLayout(**content["layout"])
        action_model = make_action_model(basis=layout.basis, **content["action_model"])
        policy = PolicyNetwork(layout, action_model, content["hidden"])
        policy.load_state_dict(content["state"])
        # Models of before had no choice.
        objective = objective_of(content.get("objective", DEFAULT_OBJECTIVE))
        span = content.get("shortage_factors")
        forecast = directory / FORECAST
        factors = DayFactors.load(forecast) if forecast.exists() else None
    except (
        OSError, RuntimeError, KeyError, TypeError, ValueError, EOFError, pickle.UnpicklingError
    ) as error:  # fmt: skip
        raise DataError(
            "model", str(directory),
            "Name a folder that a training run has written its model to.",
            f"holds no readable policy ({type(error).__name__})",
        ) from None  # fmt: skip
    policy.eval()
    return TrainedModel(
        policy, factors, objective, tuple(span) if span else None, _version(content, factors)
    )


def _version(content: Mapping[str, Any], factors: DayFactors | None) -> str:
    numbers = content["state"]
    rest = {name: value for name, value in content.items() if name != "state"}
    digest = hashlib.sha256(repr((rest, factors)).encode())
    for name in sorted(numbers):
        digest.update(name.encode())
        digest.update(numbers[name].contiguous().numpy().tobytes())
    return digest.hexdigest()[:12]


def load_data_model(directory: Path) -> TrainedModel:
    """:func:`load_model` for use on data sets.

    Raises:
        DataError: There is no model, it cannot be read, or its forecaster is missing.
        ConfigError: It was trained on something else: a setting of the study, a textbook problem.
    """
    model = load_model(directory)
    layout = model.policy.layout
    if (layout.basis, layout.features) != (len(BASIS), len(FEATURES)):
        raise ConfigError(
            "model", str(directory), "Name one that was trained on a data set.",
            f"sees {layout.features} features; a data set has {len(FEATURES)}",
        )  # fmt: skip
    if model.factors is None:
        raise DataError(
            "model", str(directory), f"Restore {FORECAST}, or train again.",
            f"lacks {FORECAST}, by which its features were made",
        )  # fmt: skip
    return model


def save_goal(directory: Path, goal: str, factors: Mapping[str, float]) -> None:
    """Keeps the factors on shortages that meet a goal beside the model that they are for.

    Args:
        directory: The model's.
        goal: As :class:`~pipeline.evaluation.goal.Goal` writes it.
        factors: Group of inventories -> factor.
    """
    version = load_model(directory).version
    known = _goals(directory)
    of_model = known.get("goals", {}) if known.get("version") == version else {}
    content = {"version": version, "goals": {**of_model, goal: dict(factors)}}
    write_json(directory / GOALS, content, indent=1)


def load_goal(directory: Path, goal: str, version: str) -> dict[str, float]:
    """The factors of :func:`save_goal`.

    Raises:
        ConfigError: They are not known for this version of the model.
    """
    known = _goals(directory)
    if known.get("version") != version or goal not in known.get("goals", {}):
        raise ConfigError(
            "goal", goal,
            f"Run `python -m pipeline evaluate --run {directory.parent} --data DATA "
            f'--goal "{goal}"` first: it finds the trade-off on validation.',
            "has not been looked for with this model",
        )  # fmt: skip
    found: dict[str, float] = known["goals"][goal]
    return found


def _goals(directory: Path) -> dict[str, Any]:
    with suppress(OSError, ValueError):
        content = json.loads((directory / GOALS).read_text())
        if isinstance(content, dict):
            return content
    return {}
