"""Methods and trials, and how they are called.

A method (``ddpg-both``) is an algorithm with an action model; a trial (``ddpg-both-c02-s0``) is a
method with the number of a configuration and a seed. Their names are keys of files and tables,
so both are made and read here and nowhere else.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple


class AlgorithmName(StrEnum):
    """The algorithms: each is a file of that name in ``pipeline/algorithms``."""

    DDPG = "ddpg"
    PPO = "ppo"
    DS = "ds"


class Method(str):
    """An algorithm with an action model: its name, which knows its parts.

    >>> Method.of("ddpg", "both")
    'ddpg-both'
    >>> Method("ds-base").algorithm, Method("ds-base").label, Method("ds-base").in_columns
    ('ds', 'DS BASE', 'ds_base')
    """

    __slots__ = ()

    @classmethod
    def of(cls, algorithm: str, action_model: str) -> Method:
        """The method of two names; an algorithm's holds no hyphen."""
        assert "-" not in algorithm, algorithm
        return cls(f"{algorithm}-{action_model}")

    @classmethod
    def product(cls, algorithms: Iterable[str], action_models: Iterable[str]) -> list[Method]:
        """All algorithms with all action models, in the order in which they are shown."""
        models = list(action_models)
        return [cls.of(algorithm, model) for algorithm in algorithms for model in models]

    @property
    def algorithm(self) -> str:
        """``ddpg``."""
        return self.partition("-")[0]

    @property
    def action_model(self) -> str:
        """``both``."""
        return self.partition("-")[2]

    @property
    def label(self) -> str:
        """For people: ``DDPG BOTH``."""
        return f"{self.algorithm} {self.action_model}".upper()

    @property
    def in_columns(self) -> str:
        """As a part of a column's name: ``ddpg_both``."""
        return self.replace("-", "_")


REFERENCE = Method("ddpg-both")
"""The method that all others are compared with, where it is trained."""

_KEY = re.compile(r"(?P<method>[^-]+-.+)-c(?P<configuration>\d+)-s(?P<seed>\d+)")


class TrialKey(NamedTuple):
    """A trial of a sweep; its text is the name of its folder."""

    method: Method
    configuration: int
    seed: int

    def __str__(self) -> str:
        return f"{self.configured}-s{self.seed}"

    @property
    def configured(self) -> str:
        """What all seeds of a configuration share."""
        return f"{self.method}-c{self.configuration:02d}"

    @property
    def within_method(self) -> str:
        """What tells it from the method's other trials: ``c02-s0``."""
        return str(self).removeprefix(f"{self.method}-")

    @classmethod
    def find(cls, text: str) -> TrialKey | None:
        """The trial that a folder is named after; None: it is called otherwise."""
        named = _KEY.fullmatch(text)
        if named is None:
            return None
        return cls(Method(named["method"]), int(named["configuration"]), int(named["seed"]))

    @classmethod
    def parse(cls, text: str) -> TrialKey:
        """Inverse of ``str()``; names of methods may hold any ``-c`` (``ddpg-coeff``)."""
        found = cls.find(text)
        assert found is not None, f"{text} is no trial's name"
        return found
