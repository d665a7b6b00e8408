"""What a baseline is, and those that share every comparison with the learned policies.

``docs/extending.md`` shows how to add one.
"""

from __future__ import annotations

import hashlib
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Self, TypeVar, cast

from pydantic import TypeAdapter

from envs.objective import Objective
from envs.registry import Registry
from envs.rollout import Decision, Policy
from envs.state import Observation, Scenario
from pipeline.evaluation.play import PolicyFor
from pipeline.policies.order_up_to import RuleActions
from pipeline.scenarios.source import ScenarioSource
from pipeline.scenarios.weighed import WeighedSource


@dataclass(frozen=True)
class Baseline(ABC):
    """A policy that is tuned, not trained; subclasses are frozen dataclasses of what was found."""

    name: ClassVar[str]
    """As tables, files and :data:`BASELINES` have it."""
    title: ClassVar[str]
    """For people, on its own: ``Forecast + safety stock``."""
    prose: ClassVar[str]
    """For people, within a sentence."""

    @classmethod
    @abstractmethod
    def tune(cls, source: ScenarioSource, objective: Objective) -> Self:
        """The best one, by the objective, on training inventories alone."""

    @classmethod
    def tune_at(
        cls, factors: Sequence[float], source: ScenarioSource, objective: Objective
    ) -> list[Self]:
        """:meth:`tune` where shortages count each of ``factors`` times."""
        return [cls.tune(WeighedSource(source, factor), objective) for factor in factors]

    @abstractmethod
    def policy_for(self, scenario: Scenario) -> tuple[Scenario, Policy]:
        """Its policy on a tile: a :data:`~pipeline.evaluation.play.PolicyFor`."""

    def written(self) -> dict[str, Any]:
        """What JSON can hold of it; the inverse of :meth:`of_written`."""
        return asdict(self)

    @classmethod
    def of_written(cls, content: Mapping[str, Any]) -> Self:
        """The baseline that was written down.

        Raises:
            ValueError: It is not one of this class.
        """
        return TypeAdapter(cls).validate_python(dict(content))

    @property
    def version(self) -> str:
        """Tells a tuning from others of it."""
        return hashlib.sha256(repr(self).encode()).hexdigest()[:12]


class DayRule(Baseline):
    """A baseline that decides on an observation alone: it can make the orders of a day."""

    @abstractmethod
    def __call__(self, observation: Observation) -> Decision:
        """A :data:`~envs.rollout.Policy`."""

    def policy_for(self, scenario: Scenario) -> tuple[Scenario, Policy]:
        """The rule itself, on any tile."""
        return scenario, self

    @property
    def actions(self) -> RuleActions | None:
        """What explains its orders; None: nothing does."""
        return None


@dataclass(frozen=True)
class Bound:
    """What nobody can beat, since it knows what nobody does: no competitor of anyone."""

    name: str
    title: str
    policy_for: PolicyFor


PER_CLASS = "order_up_to_per_class"
"""The baseline of every headline."""
BASELINES: Registry[Baseline] = Registry(
    "baseline",
    Baseline,  # type: ignore[type-abstract]
    {
        PER_CLASS: "pipeline.baselines.per_class:OrderUpToPerClass",
        "forecast_safety_stock": "pipeline.baselines.rules:ForecastSafetyStock",
        "base_stock_per_class": "pipeline.baselines.rules:BaseStockPerClass",
        "quantile_newsvendor": "pipeline.baselines.quantile:QuantileNewsvendor",
        "empirical_quantile": "pipeline.baselines.empirical:EmpiricalQuantile",
        "capped_base_stock": "pipeline.baselines.capped:CappedBaseStock",
        "projected_level": "pipeline.baselines.projected:ProjectedLevel",
        "capped_projected_level": "pipeline.baselines.projected:CappedProjectedLevel",
        "reorder_point": "pipeline.baselines.reorder:ReorderPoint",
    },
)
"""In the order in which they are shown."""


_LAST: dict[type[Baseline], tuple[weakref.ref[ScenarioSource], Objective, Any]] = {}
B = TypeVar("B", bound=Baseline)


def tuned_last(
    kind: type[B], source: ScenarioSource, objective: Objective, tune: Callable[[], B]
) -> B:
    """The baseline of ``kind`` that was tuned last, if for this; else a new one.

    Others start from it.
    """
    if kind in _LAST:
        last_source, last_objective, found = _LAST[kind]
        if last_source() is source and last_objective == objective:
            return cast(B, found)
    found = tune()
    _LAST[kind] = (weakref.ref(source), objective, found)
    return found


def in_prose(name: str) -> str:
    """What a registered baseline is called within a sentence."""
    return BASELINES.find(name).prose


def day_rules() -> list[str]:
    """Names of the registered baselines that can make the orders of a day."""
    return [name for name in BASELINES if issubclass(BASELINES.find(name), DayRule)]
