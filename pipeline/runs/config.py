"""What one training run is made of, and how YAML becomes it.

A run's YAML has few keys of its own; ``training`` goes to the algorithm's
``AlgorithmConfig.training(**training)`` as it stands, so a value passes from the file to
the optimizer without being copied or renamed on the way.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PositiveFloat,
    ValidationError,
)

from envs.errors import ConfigError
from envs.objective import objective_of
from pipeline.policies.action_models import ACTION_MODELS
from pipeline.runs.method import AlgorithmName, Method, TrialKey


def _named_action_model(choice: Any) -> str:
    try:
        return ACTION_MODELS.written(choice)
    except ConfigError as error:
        raise ValueError(f"it {error.problem}. {error.remedy}") from error


ActionModelName = Annotated[str, BeforeValidator(_named_action_model)]
"""How an action model is written down; a class may be given for it."""


def _written_objective(choice: Any) -> str | dict[str, Any]:
    try:
        return objective_of(choice).written()
    except ConfigError as error:
        raise ValueError(f"it {error.problem}. {error.remedy}") from error


ObjectiveChoice = Annotated[str | dict[str, Any], BeforeValidator(_written_objective)]
"""How an objective is written down: see :func:`~envs.objective.objective_of`."""


def _ascending(span: tuple[float, float] | None) -> tuple[float, float] | None:
    if span is not None and not span[0] < span[1]:
        raise ValueError("write the smaller factor first: [0.03, 3.0]")
    return span


ShortageFactors = Annotated[tuple[PositiveFloat, PositiveFloat] | None, AfterValidator(_ascending)]
"""Least and largest factor by which shortages are weighed."""


class HowTrained(BaseModel):
    """What a training run, and every plan of runs, says of how it is trained."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    validate_every: int = Field(default=10, ge=1)
    """Iterations between two evaluations on validation inventories."""
    checkpoint_every: int = Field(default=50, ge=1)
    """Iterations between two checkpoints; a run that was cut resumes from the last."""
    training: dict[str, Any] = Field(default_factory=dict)
    """Keyword arguments of the algorithm's ``training()``; rates fall
    linearly over the run, to ``lr_final`` (and ``critic_lr_final``)."""
    imitation_updates: int = Field(default=0, ge=0)
    """Minibatches in which the policy first learns what the class-tuned order-up-to rule orders
    (:mod:`pipeline.algorithms.imitation`); 0: it starts from one action for everybody."""
    num_env_runners: int = Field(default=0, ge=0)
    """Remote Ray workers that the training inventories are sharded over; 0 plays them in
    the trial's own process (best for small data)."""
    num_learners: int = Field(default=0, ge=0)
    """Remote learners; 0 learns in the trial's own process."""
    num_gpus_per_learner: float = Field(default=0.0, ge=0)
    """GPUs of each learner."""

    def run(self, **rest: Any) -> RunConfig:
        """A run that is trained like this; ``rest`` says which, and may say some of it anew."""
        shared = {name: getattr(self, name) for name in HowTrained.model_fields}
        return RunConfig(**{**shared, **rest})


class RunConfig(HowTrained):
    """One training run."""

    algorithm: AlgorithmName
    action_model: ActionModelName
    """Registered name, or ``module:Class`` of one's own."""
    objective: ObjectiveChoice = "cost"
    """What is minimised: a name, ``module:Class``, or a mapping of ``name`` and options."""
    shortage_factors: ShortageFactors = None
    """In training shortages of an inventory count so many times, drawn anew for every fragment
    between these two, log-uniformly: the policy learns the whole trade-off, which
    :mod:`pipeline.features.trade_off` shows it. None: once."""
    seed: int = Field(default=0, ge=0)
    """Seeds network weights, exploration, minibatches and the order of fragments."""
    iterations: int = Field(default=100, ge=1)
    """Training iterations; learning-rate schedules end with them."""

    @property
    def method(self) -> Method:
        """``ddpg-both`` and the like."""
        return Method.of(self.algorithm, ACTION_MODELS.label(self.action_model))

    def key(self, configuration: int) -> str:
        """What its trial is called in a sweep: ``ddpg-both-c02-s0``."""
        return str(TrialKey(self.method, configuration, self.seed))


Model = TypeVar("Model", bound=BaseModel)


def load_yaml(path: Path) -> dict[str, Any]:
    """Reads a mapping from a YAML file.

    Raises:
        ConfigError: The file is missing, is not YAML or does not hold a mapping.
    """
    try:
        content = yaml.safe_load(path.read_text())
    except OSError as error:
        raise ConfigError(
            "config", str(path), "Name a YAML file that exists and can be read.",
            f"cannot be read ({error.strerror})",
        ) from None  # fmt: skip
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        line = f" in line {where.line + 1}" if where else ""
        raise ConfigError(
            "config", str(path), f"Correct the YAML{line}.", "is not valid YAML"
        ) from None
    if not isinstance(content, dict):
        raise ConfigError("config", str(path), "Write `key: value` lines.", "holds no mapping")
    return content


def parse(model: type[Model], content: Mapping[str, Any], where: str) -> Model:
    """Validates a mapping; the first thing wrong becomes one typed error.

    Raises:
        ConfigError: Names the key, its value and the nearest valid key or the expected type.
    """
    try:
        return model(**content)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            known = _fields_at(model, first["loc"][:-1])
            raise unknown_key(f"{where}: {key}", str(first["loc"][-1]), known) from None
        if first["type"] == "missing":
            raise ConfigError(f"{where}: {key}", "(absent)", "Add it.", "is required") from None
        raise ConfigError(
            f"{where}: {key}", first["input"], "Correct the value.",
            f"is not valid ({first['msg']})",
        ) from None  # fmt: skip


def unknown_key(field: str, key: str, known: Iterable[str]) -> ConfigError:
    """The error for a key with a typo."""
    names = sorted(known)
    close = difflib.get_close_matches(key, names, n=1)
    remedy = f"Did you mean {close[0]}?" if close else f"Use one of {', '.join(names)}."
    return ConfigError(field, key, remedy, "is not a known key")


def _fields_at(model: type[BaseModel], path: tuple[int | str, ...]) -> Iterable[str]:
    options: list[type[BaseModel]] = []
    for part in path:
        field = model.model_fields.get(str(part))
        # Where a field may be one of several models, the next part is the chosen one's name.
        options = _models_in(field.annotation) if field else options
        named = [option for option in options if option.__name__ == str(part)]
        model = (named or options[:1] or [model])[0]
    return model.model_fields


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models_in(part)]
