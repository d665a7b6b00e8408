"""What a training run leaves of how it went; readable without RLlib.

RUN/history.jsonl   one line per validation
RUN/result.json     written last: status, best validation, time
RUN/checkpoint/     while it is not there: how far it is
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from pipeline.runs.status import FAILURES, Status
from pipeline.tools.files import read_lines, remove, whole, write_json

RESULT, HISTORY = "result.json", "history.jsonl"
CHECKPOINT, PROGRESS = "checkpoint", "progress.json"


@dataclass
class RunResult:
    """What ``result.json`` holds."""

    status: Status
    validation: dict[str, float] = field(default_factory=dict)
    """Metrics on validation inventories, mean of the last few validations at the best
    iteration."""
    best_iteration: int = 0
    iterations: int = 0
    seconds: float = 0.0
    """Wall-clock time spent training and validating, over all resumptions."""
    cpu_seconds: float = 0.0
    """CPU time of all processes in that time."""
    cause: str = ""
    """Why a run failed, diverged or was stopped."""

    @property
    def failed(self) -> bool:
        """It was given a chance to end well, and did not."""
        return self.status in FAILURES

    def write(self, directory: Path) -> None:
        """Writes ``result.json`` in one step."""
        write_json(directory / RESULT, asdict(self), indent=1)

    @classmethod
    def read(cls, directory: Path) -> RunResult | None:
        """The result of a run that has ended; None if it has not."""
        path = directory / RESULT
        return cls(**json.loads(path.read_text())) if path.exists() else None

    @classmethod
    def at_checkpoint(cls, directory: Path) -> RunResult | None:
        """How far a run was at its last checkpoint; None if it has none."""
        for _ in range(3):  # it may just be moved
            try:
                progress = (whole(directory / CHECKPOINT) / PROGRESS).read_text()
            except FileNotFoundError:
                continue
            return cls(**json.loads(progress)["result"])
        return None


def read_history(directory: Path) -> list[dict[str, float]]:
    """A run's validations, the earliest first: ``iteration``, times and metrics."""
    return read_lines(directory / HISTORY)


def stop_run(directory: Path, cause: str) -> None:
    """Ends a run where its last checkpoint is: its result says ``stopped``, and why."""
    result = RunResult.at_checkpoint(directory)
    assert result is not None  # whoever stops a run has paused it there
    replace(result, status="stopped", cause=cause).write(directory)
    remove(directory / CHECKPOINT)
