"""The synthetic study's plan: which sweeps, which further experiments, how large."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from envs.errors import ConfigError
from envs.problems.settings import SettingName
from pipeline.runs.config import ActionModelName, HowTrained, RunConfig, parse
from pipeline.runs.method import AlgorithmName
from pipeline.scenarios.trajectories import StudyData
from tuning.preset import (
    PRESETS,
    Preset,
    find_preset,
    load_preset,
    resolved,
)

PLANS = PRESETS / "study"
"""Folder of the shipped plans."""
STRICT = ConfigDict(extra="forbid", frozen=True)
Count = Annotated[int, Field(ge=1)]


class TestPlan(BaseModel):
    """Trajectories that everything is measured on at the end."""

    __test__ = False  # not a test case, whatever pytest thinks of its name
    model_config = STRICT

    trajectories: int = Field(default=10_000, ge=2)
    """Per setting."""
    seed: int = Field(default=0, ge=0)


class RunPlan(HowTrained):
    """How the runs of an experiment are trained: one configuration, nothing searched."""

    iterations: Count
    checkpoint_every: int = Field(default=10**9, ge=1)
    """By default never: these runs are short."""

    def config(self, algorithm: AlgorithmName, model: str, seed: int) -> RunConfig:
        """The run's configuration."""
        return self.run(
            algorithm=algorithm, action_model=model, seed=seed, iterations=self.iterations
        )


class ReferencePlan(BaseModel):
    """DS BASE trained on the test trajectories: the reference of settings 2 and 3."""

    model_config = STRICT

    settings: list[SettingName]
    run: RunPlan


class HorizonPlan(BaseModel):
    """Setting 4: does DS gain from more days or from more SKUs?"""

    model_config = STRICT

    trajectories: list[Count] = Field(min_length=1)
    """N."""
    counted_days: list[Count] = Field(min_length=1)
    """T - 1."""
    seeds: int = Field(ge=1)
    """Of networks and of SKUs: every seed draws its own."""
    algorithm: AlgorithmName = AlgorithmName.DS
    action_model: ActionModelName = "base"
    run: RunPlan


class CriticPlan(BaseModel):
    """DDPG NONE and BASE under one configuration: how large is the critic's loss?"""

    model_config = STRICT

    settings: list[SettingName]
    action_models: list[ActionModelName] = Field(default_factory=lambda: ["none", "base"])
    seeds: int = Field(ge=1)
    run: RunPlan


class GrowthPlan(BaseModel):
    """All methods, with the configuration that was selected, on more and more trajectories."""

    model_config = STRICT

    settings: list[SettingName]
    trajectories: list[Count] = Field(min_length=1)
    seeds: int = Field(ge=1)
    """Of networks and of trajectories: every seed draws its own."""


class StudyPlan(BaseModel):
    """A study."""

    model_config = STRICT

    name: str
    description: str = ""
    test: TestPlan = Field(default_factory=TestPlan)
    sweeps: list[str] = Field(min_length=1)
    """Presets with ``data: {study: ...}``, by name or path."""
    sweep_override: dict[str, Any] = Field(default_factory=dict)
    """Keys that replace those of every sweep's preset, level by level."""
    reference: ReferencePlan | None = None
    horizon: HorizonPlan | None = None
    critic: CriticPlan | None = None
    growth: GrowthPlan | None = None

    def presets(self) -> dict[SettingName, Preset]:
        """The sweeps' presets by setting.

        Raises:
            ConfigError: A preset is missing, wrong or not of the study, two are of one setting,
                or ``growth`` names a setting that is not tuned.
        """
        presets: dict[SettingName, Preset] = {}
        for name in self.sweeps:
            preset = load_preset(name, self.sweep_override)
            data = parse(StudyData, preset.data.model_dump(), f"{name}: data")
            if data.study in presets:
                raise ConfigError(
                    "sweeps", name, "Give one sweep per setting.", f"is on {data.study} as well"
                )
            presets[data.study] = preset
        for setting in self.growth.settings if self.growth else ():
            if setting not in presets:
                raise ConfigError(
                    "growth.settings", setting, "Add its sweep, or leave the setting out.",
                    "is not tuned",
                )  # fmt: skip
        return presets


def load_study(name: str) -> StudyPlan:
    """Reads a plan by name (shipped) or path (yours); ``extends:`` works as in presets.

    Raises:
        ConfigError: No such plan, or it has a wrong key or value.
    """
    path = find_preset(name, PLANS)
    return parse(StudyPlan, {"name": path.stem, **resolved(path, PLANS)}, path.name)
