"""A sweep's plan: how much data, which methods, how many configurations and seeds."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    field_validator,
    model_validator,
)

from envs.errors import ConfigError
from pipeline.data.schema import DEFAULT_VALIDATION_SHARE
from pipeline.data.synthetic.generate import make
from pipeline.data.terms import CostLaw, SupplyTerms
from pipeline.policies.action_models import ACTION_MODELS, PUBLISHED
from pipeline.runs.config import (
    ActionModelName,
    HowTrained,
    ObjectiveChoice,
    RunConfig,
    ShortageFactors,
    load_yaml,
    parse,
    unknown_key,
)
from pipeline.runs.method import AlgorithmName, Method
from pipeline.scenarios.trajectories import StudyData
from pipeline.tools.seeding import derive_seed
from tuning.spaces import latin_hypercube

Count = Annotated[int, Field(ge=1)]
SeedsFor = Literal["every_method", "best_methods"]
PRESETS = Path(__file__).parent.parent / "pipeline" / "presets"


class DataPlan(BaseModel):
    """The data set that is generated when none is given."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    inventories: int = Field(ge=1)
    days: int = Field(ge=1)
    seed: int = Field(default=1, ge=0)
    test_start: int | None = Field(default=None, ge=1)
    """First test day; None: the last 28 % of the days are the test."""
    validation_share: float = Field(default=DEFAULT_VALIDATION_SHARE, gt=0, lt=1)
    """Share of the inventories kept for validation."""
    costs: CostLaw = "margin"
    """Law that unit costs are drawn from; see :mod:`pipeline.data.terms`."""
    cost_ratio: tuple[float, float] | None = None
    """Ends of b / h under the law ``ratio``; None: its own."""
    ahead_days: int | None = Field(default=None, ge=0)
    """Days ahead of the last day of demand; None: as far as a decision looks."""

    def make(self, folder: Path, *, jobs: int = 1) -> None:
        """Generates it."""
        make(
            self.inventories, self.days, self.seed, folder, name=f"retail-{self.inventories}",
            test_start=self.test_start, validation_share=self.validation_share,
            ahead_days=self.ahead_days, jobs=jobs,
            terms=SupplyTerms(costs=self.costs, cost_ratio=self.cost_ratio),
        )  # fmt: skip


def _kind_of_data(value: Any) -> str:
    study = isinstance(value, StudyData) or (isinstance(value, dict) and "study" in value)
    return "StudyData" if study else "DataPlan"


class AlgorithmPlan(HowTrained):
    """How one algorithm is trained and tuned; ``training`` holds what is not searched."""

    iterations: Count | dict[ActionModelName, Count]
    """Of a full training: of all action models, or of each. Methods are compared at equal CPU
    time; `python -m tuning calibrate` tells which numbers come to that."""
    search: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Searched arguments of ``training()``: name -> {uniform|loguniform|choice: [...]}."""

    def full_run(
        self, algorithm: AlgorithmName, model: str, drawn: Any, preset: Preset
    ) -> RunConfig:
        """A full training of a preset, with drawn hyperparameters."""
        iterations = self.iterations
        return self.run(
            algorithm=algorithm,
            action_model=model,
            objective=preset.objective,
            shortage_factors=preset.shortage_factors,
            training={**self.training, **drawn},
            iterations=iterations[model] if isinstance(iterations, dict) else iterations,
        )


class Rung(BaseModel):
    """Where configurations of a method are stopped (successive halving)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    share: float = Field(gt=0, lt=1)
    """Of the iterations; the validation nearest to it decides."""
    keep: int = Field(ge=1)
    """Configurations that go on; a rung that would keep all is passed over."""


class Preset(BaseModel):
    """A sweep."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    description: str = ""
    data: Annotated[
        Annotated[DataPlan, Tag("DataPlan")] | Annotated[StudyData, Tag("StudyData")],
        Discriminator(_kind_of_data),
    ]
    """A data set to generate, or a setting of the synthetic study."""
    configurations: int = Field(ge=1)
    """Hyperparameter configurations tried per method. An algorithm's are drawn once and are the
    same for all action models: ``c03`` of NONE and of BOTH differ in the action model alone."""
    rungs: list[Rung] = Field(default_factory=list)
    """Synchronous successive halving within a method, the earliest rung first; none trains every
    configuration to its end. See :mod:`tuning.halving`."""
    finalists: int = Field(default=1, ge=1)
    """Best configurations per method that are trained with further seeds."""
    seeds: int = Field(default=1, ge=1)
    """Seeds per finalist; the best mean wins, its median seed decides the orders."""
    seeds_for: SeedsFor = "every_method"
    """Which methods' finalists get further seeds: ``every_method``, or ``best_methods``: each
    algorithm's best on validation, and DDPG BOTH, which the table compares the others with."""
    other_seeds: int = Field(default=1, ge=1)
    """Seeds per finalist of the methods that ``best_methods`` leaves out."""
    design_seed: int = Field(default=0, ge=0)
    objective: ObjectiveChoice = "cost"
    """What all methods and baselines minimise; see :class:`~pipeline.runs.config.RunConfig`."""
    shortage_factors: ShortageFactors = None
    """Of all runs: see there. Methods are validated and compared at the factor 1."""
    action_models: list[ActionModelName] = Field(default_factory=lambda: list(PUBLISHED))
    methods: list[str] | None = Field(default=None, min_length=1)
    """Which methods are trained (``ddpg-both``); None: all algorithms x :attr:`action_models`.
    Those with another registered action model may be named as well."""
    algorithms: dict[AlgorithmName, AlgorithmPlan]

    @field_validator("rungs")
    @classmethod
    def _narrowing(cls, rungs: list[Rung]) -> list[Rung]:
        for one, other in itertools.pairwise(rungs):
            if not (one.share < other.share and one.keep > other.keep):
                raise ValueError("every rung must come later and keep fewer than the one before")
        return rungs

    @model_validator(mode="after")
    def _complete(self) -> Preset:
        if self.other_seeds > self.seeds:
            raise ValueError("other_seeds is above seeds")
        labels = [ACTION_MODELS.label(model) for model in self.action_models]
        if len(set(labels)) < len(labels):
            raise ValueError("two action_models call themselves the same")
        for algorithm, plan in self.algorithms.items():
            if isinstance(plan.iterations, dict):
                missing = [m for m in self.action_models if m not in plan.iterations]
                if missing:
                    raise ValueError(
                        f"algorithms.{algorithm}.iterations lacks {', '.join(missing)}"
                    )
        return self

    @property
    def known_methods(self) -> list[Method]:
        """All that can be asked for, ``ddpg-none`` and so on."""
        return [
            Method.of(algorithm, ACTION_MODELS.label(model))
            for algorithm, plan in self.algorithms.items()
            for model in self._models
            if not isinstance(plan.iterations, dict) or model in plan.iterations
        ]

    @property
    def trained_methods(self) -> list[Method]:
        """Those that are trained."""
        own = Method.product(self.algorithms, map(ACTION_MODELS.label, self.action_models))
        chosen = self.methods
        return own if chosen is None else [m for m in self.known_methods if m in chosen]

    @property
    def _models(self) -> list[ActionModelName]:
        """The preset's own action models, then the other registered ones."""
        return list(dict.fromkeys([*self.action_models, *ACTION_MODELS]))

    def only(self, methods: Sequence[str] | None) -> Preset:
        """The same sweep with these methods (``["all"]``: all there are; None: the preset's).

        Raises:
            ConfigError: One of them is not a method of the preset.
        """
        chosen = self.methods if methods is None else list(methods)
        if chosen is None or chosen == ["all"]:
            return self.model_copy(update={"methods": None})
        for method in chosen:
            if method not in self.known_methods:
                raise unknown_key("methods", method, [*self.known_methods, "all"])
        return self.model_copy(update={"methods": chosen})

    def with_costs(self, costs: CostLaw | None, ratio: tuple[float, float] | None) -> Preset:
        """The same sweep on generated data with unit costs of another law (None: the preset's).

        Raises:
            ConfigError: ``data`` is the study's, whose costs are a part of it.
            DataError: A ratio that is none, or that does not go with the law.
        """
        if costs is None and ratio is None:
            return self
        if not isinstance(self.data, DataPlan):
            raise ConfigError("costs", costs or ratio, "Leave them out: the study has its own.")
        law: CostLaw = costs or "ratio"
        SupplyTerms(costs=law, cost_ratio=ratio)  # refuses what cannot be
        data = self.data.model_copy(update={"costs": law, "cost_ratio": ratio})
        return self.model_copy(update={"data": data})

    def first_round(self) -> dict[str, RunConfig]:
        """Every method's configurations with seed 0, by trial key, methods interleaved."""
        trials: dict[str, RunConfig] = {}
        designs = {
            algorithm: latin_hypercube(
                plan.search, self.configurations, derive_seed(self.design_seed, str(algorithm))
            )
            for algorithm, plan in self.algorithms.items()
        }
        trained = set(self.trained_methods)
        for number in range(self.configurations):
            for algorithm, plan in self.algorithms.items():
                drawn = designs[algorithm][number]
                for model in self._models:
                    if Method.of(algorithm, ACTION_MODELS.label(model)) in trained:
                        run = plan.full_run(algorithm, model, drawn, self)
                        trials[run.key(number)] = run
        return trials

    def rung_iterations(self, run: RunConfig) -> list[tuple[int, int]]:
        """A run's rungs as (iteration, how many go on): at validations before its end."""
        found: dict[int, int] = {}
        for rung in self.rungs:
            validations = max(1, round(rung.share * run.iterations / run.validate_every))
            if validations * run.validate_every < run.iterations:
                found[validations * run.validate_every] = rung.keep
        return list(found.items())


def load_preset(name: str, over: dict[str, Any] | None = None) -> Preset:
    """Reads a preset by name (shipped) or path (yours).

    ``extends: other`` in the file takes over another preset's keys, level by level.

    Args:
        name: Of the preset, or path of a YAML file.
        over: Keys that replace the preset's, level by level.

    Raises:
        ConfigError: No such preset, or it has a wrong key or value.
    """
    path = find_preset(name, PRESETS)
    content = merged(resolved(path, PRESETS), over or {})
    return parse(Preset, {"name": path.stem, **content}, str(path.name)).only(None)


def find_preset(name: str, folder: Path) -> Path:
    """The file of a preset that is shipped in ``folder``, or of one that is given by its path.

    Raises:
        ConfigError: It does not exist.
    """
    path = Path(name) if name.endswith((".yaml", ".yml")) else folder / f"{name}.yaml"
    if not path.exists():
        known = ", ".join(sorted(p.stem for p in folder.glob("*.yaml")))
        raise ConfigError(
            "preset", name, f"Use one of {known}, or the path of a YAML file.", "does not exist"
        )
    return path


def resolved(path: Path, folder: Path) -> dict[str, Any]:
    """A YAML's content, with that of the file in ``folder`` that it extends."""
    content = load_yaml(path)
    parent = content.pop("extends", None)
    if parent is None:
        return content
    base = folder / f"{parent}.yaml"
    if not base.exists() or base == path:
        raise ConfigError(f"{path.name}: extends", parent, "Name another shipped preset.")
    return merged(resolved(base, folder), content)


def merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """``base`` with the keys of ``over``, level by level; a search dimension is replaced whole."""
    result = dict(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        # A search dimension is replaced, not merged: {uniform: ..} and {choice: ..} differ.
        if both and not set(value) & {"uniform", "loguniform", "choice"}:
            result[key] = merged(result[key], value)
        else:
            result[key] = value
    return result
