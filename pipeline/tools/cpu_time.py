"""CPU time of a training run, over all processes that work for it."""

from __future__ import annotations

import os
import socket
import time
from typing import Any

Process = tuple[str, int]
"""Host and process id."""


class CpuClock:
    """Counts the CPU-seconds of this process and of an algorithm's remote runners and learners.

    Unlike wall-clock time it hardly depends on how busy the machine is. All threads count; what
    a GPU does counts as far as a CPU waits for it. Costs a message per remote process and lap.

    Args:
        algorithm: A built RLlib algorithm.
    """

    def __init__(self, algorithm: Any) -> None:
        self._algorithm = algorithm
        self._before: dict[Process, float] = {}
        self.lap()

    def lap(self) -> float:
        """CPU-seconds since the last lap, or since the clock was made.

        A process that was started in between counts from its start.
        """
        now = dict(self._measured())
        spent = sum(seconds - self._before.get(process, 0.0) for process, seconds in now.items())
        self._before |= now
        return spent

    def _measured(self) -> list[tuple[Process, float]]:
        measured = [_measure()]
        runners = self._algorithm.env_runner_group
        if runners.num_remote_env_runners():
            measured += runners.foreach_env_runner(_measure, local_env_runner=False)
        learners = self._algorithm.learner_group
        if not learners.is_local:
            measured += [result.get() for result in learners.foreach_learner(_measure)]
        return measured


def _measure(*_: Any) -> tuple[Process, float]:
    return (socket.gethostname(), os.getpid()), time.process_time()
