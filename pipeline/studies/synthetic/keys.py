"""What the runs of the study's further experiments are called: made and read by one form each."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from string import Formatter
from typing import ClassVar, Self


@dataclass(frozen=True)
class RunKey:
    """A run of an experiment; its text is the name of its folder."""

    form: ClassVar[str]
    """Of the text, in the fields of the class, which are whole numbers or words."""

    def __str__(self) -> str:
        return self.form.format(**vars(self))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Inverse of ``str()``."""
        found = re.fullmatch(cls._pattern(), text)
        assert found is not None, f"{text} is no {cls.__name__}"
        numbers = {field.name for field in fields(cls) if field.type == "int"}
        return cls(**{k: int(v) if k in numbers else v for k, v in found.groupdict().items()})

    @classmethod
    def _pattern(cls) -> str:
        """The form as a regular expression. The first word is the shortest that fits: those
        after it may hold hyphens."""
        kinds = {field.name: field.type for field in fields(cls)}
        pattern = ""
        for between, name, _, _ in Formatter().parse(cls.form):
            pattern += re.escape(between)
            if name is not None:
                pattern += f"(?P<{name}>" + (r"\d+" if kinds[name] == "int" else ".+?") + ")"
        return pattern


@dataclass(frozen=True)
class HorizonKey(RunKey):
    """Setting 4: a number of SKUs and of counted days."""

    n: int
    t: int
    seed: int

    form = "n{n:02d}-t{t:03d}-s{seed}"


@dataclass(frozen=True)
class CriticKey(RunKey):
    """DDPG with an action model on a setting."""

    setting: str
    action_model: str
    seed: int

    form = "{setting}-{action_model}-s{seed}"


@dataclass(frozen=True)
class GrowthKey(RunKey):
    """A method on a number of trajectories of a setting."""

    setting: str
    method: str
    n: int
    seed: int

    form = "{setting}-{method}-n{n:04d}-s{seed}"
