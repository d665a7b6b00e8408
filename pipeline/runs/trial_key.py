"""Names of trials: ``ddpg-both-c02-s0`` is a method, the number of a configuration, and a seed."""

from __future__ import annotations

from typing import NamedTuple


class TrialKey(NamedTuple):
    """A trial of a sweep; its text is the name of its folder."""

    method: str
    """``ddpg-both`` and the like."""
    configuration: int
    seed: int

    def __str__(self) -> str:
        return f"{self.configured}-s{self.seed}"

    @property
    def configured(self) -> str:
        """What all seeds of a configuration share."""
        return f"{self.method}-c{self.configuration:02d}"

    @classmethod
    def parse(cls, text: str) -> TrialKey:
        """Inverse of ``str()``; names of methods may hold any ``-c`` (``ddpg-coeff``)."""
        configured, _, seed = text.rpartition("-s")
        method, _, configuration = configured.rpartition("-c")
        return cls(method, int(configuration), int(seed))
