"""Shows on Ray's dashboard which trial runs.

The dashboard knows an actor by the name it had when it was created, and a trial's actor serves
one trial after the other. So every trial has a task beside it, named like the trial, that does
nothing and runs as long. (A module of its own: the process of these tasks must not import RLlib,
and there is one for all trials of an actor: a process each took seconds to start.)
"""

from __future__ import annotations

import asyncio
from typing import Any

import ray


class Trials:
    """Whose running tasks are the trials that run."""

    def __init__(self) -> None:
        self._ended: dict[str, asyncio.Event] = {}

    def __repr__(self) -> str:
        return "trials"

    async def run(self, key: str) -> None:
        """Returns when the trial of that key has ended."""
        await self._ended.setdefault(key, asyncio.Event()).wait()
        del self._ended[key]

    async def end(self, key: str) -> None:
        """Lets :meth:`run` return."""
        self._ended.setdefault(key, asyncio.Event()).set()


TrialLabels: Any = ray.remote(num_cpus=0)(Trials)
"""As a Ray actor class: ``TrialLabels.remote()``, then
``labels.run.options(name=key).remote(key)``."""
