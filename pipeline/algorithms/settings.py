"""Hyperparameters as fields of a config: name, limits, default and meaning in one place.

``tau: Share = 2e-2`` declares one. RLlib's configs keep their values in instances, where
``training(tau=0.1)`` puts them.
"""

from __future__ import annotations

import inspect
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from types import NoneType
from typing import Annotated, Any, ClassVar, get_args, get_origin

UNSET: Any = object()
A_NUMBER = "Write a number (1.0e-3: YAML reads 1e-3 as text)."


class Limits(ABC):
    """Which values a setting takes."""

    @abstractmethod
    def remedy(self, value: Any) -> str | None:
        """What to write instead of a value; None: it is a good one."""


@dataclass(frozen=True)
class Number(Limits):
    """A number between two ends."""

    low: float = -math.inf
    high: float = math.inf

    def remedy(self, value: Any) -> str | None:
        """See :class:`Limits`."""
        if not is_number(value):
            return A_NUMBER
        within = self.low <= value <= self.high
        return None if within else f"Use a number from {self.low:g} to {self.high:g}."


@dataclass(frozen=True)
class Whole(Limits):
    """A whole number of at least ``least``."""

    least: int

    def remedy(self, value: Any) -> str | None:
        """See :class:`Limits`."""
        good = is_number(value) and isinstance(value, int) and value >= self.least
        return None if good else f"Use a whole number of at least {self.least}."


@dataclass(frozen=True)
class Scheduled(Number):
    """A number, or RLlib's schedule of it: a list of [iteration, value]."""

    def remedy(self, value: Any) -> str | None:
        """See :class:`Limits`."""
        return None if isinstance(value, list) else super().remedy(value)


class LearningRate(Scheduled):
    """One that falls over a run; with a key ``<name>_final``."""


class WholeNumbers(Limits):
    """A list of whole numbers."""

    def remedy(self, value: Any) -> str | None:
        """See :class:`Limits`."""
        good = isinstance(value, (tuple, list)) and all(isinstance(v, int) for v in value)
        return None if good else "Write a list of whole numbers, [64, 64]."


@dataclass(frozen=True)
class Always(Limits):
    """One value: what RLlib offers beside it is not there."""

    value: Any

    def remedy(self, value: Any) -> str | None:
        """See :class:`Limits`."""
        return None if value == self.value else f"Leave it out: it is {self.value!r} always."


Count = Annotated[int, Whole(1)]
Share = Annotated[float, Number(0.0, 1.0)]
Rate = Annotated[Any, LearningRate()]
Widths = Annotated[Sequence[int], WholeNumbers()]


def is_number(value: Any) -> bool:
    """A number, which a bool is not."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


@dataclass(frozen=True)
class Setting:
    """A declared hyperparameter."""

    limits: Limits | None
    optional: bool
    """None is a value of it."""
    default: Any
    """:data:`UNSET`: RLlib's stays."""

    def remedy(self, value: Any) -> str | None:
        """What to write instead of a value; None: it is a good one."""
        if self.limits is None or (value is None and self.optional):
            return None
        return self.limits.remedy(value)


class Declared:
    """Mixin of a config whose annotated fields are hyperparameters.

    An annotation without limits and default only describes an attribute. Defaults do not stay
    in the class, where they would hide what RLlib's configs have as properties.
    """

    declared: ClassVar[dict[str, Setting]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        own = dict(_settings_in(cls))
        for name in own.keys() & cls.__dict__.keys():
            delattr(cls, name)
        cls.declared = {**cls.declared, **own}

    def set_defaults(self) -> None:
        """Gives every setting its default."""
        for name, setting in self.declared.items():
            if setting.default is not UNSET:
                setattr(self, name, setting.default)


def _settings_in(cls: type) -> list[tuple[str, Setting]]:
    found = []
    for name, hint in inspect.get_annotations(cls, eval_str=True).items():
        limits = next((m for m in getattr(hint, "__metadata__", ()) if isinstance(m, Limits)), None)
        default = cls.__dict__.get(name, UNSET)
        origin: Any = get_origin(hint)
        if origin is ClassVar or (limits is None and default is UNSET):
            continue
        optional = limits is not None and NoneType in get_args(hint.__origin__)
        found.append((name, Setting(limits, optional, default)))
    return found
