"""Shows on Ray's dashboard which trial runs.

The dashboard knows an actor by the name it had when it was created, and a trial's actor
serves one trial after the other. So every trial has a label: an actor that does
nothing, needs no CPU, and lives as long as the trial. (A module of its own: the label's
process must not import RLlib.)
"""

from __future__ import annotations

from typing import Any

import ray


class Trial:
    """Stands on the dashboard's page of actors under the trial's key."""

    def __init__(self, key: str) -> None:
        self._key = key

    def __repr__(self) -> str:
        return self._key


TrialLabel: Any = ray.remote(num_cpus=0)(Trial)
"""The label as a Ray actor class: ``TrialLabel.remote(key)``."""
