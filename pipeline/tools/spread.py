"""Many like tasks over a Ray cluster; where there is none, one after the other in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import ray
import torch

from envs.errors import DeepStockError

Shared = TypeVar("Shared")
Task = TypeVar("Task")
Result = TypeVar("Result")

RETRIES = 5
"""Times that a task is done again when its worker dies."""


def spread(
    work: Callable[[Shared, Task], Result],
    shared: Shared,
    tasks: Sequence[Task],
    *,
    retries: int = RETRIES,
) -> Iterator[tuple[Task, Result]]:
    """Tasks and what became of them, as they are done: in any order.

    Each takes a CPU. Only a few more than there are CPUs are asked for at a time: results must not
    pile up here. ``shared`` is sent once, and unpacked once in each worker process.

    Args:
        work: Called with ``shared`` and a task; can be pickled, as can both.
        shared: The same for all.
        tasks: Played here if there is but one of them.
        retries: See :data:`RETRIES`.

    Raises:
        DeepStockError: As ``work`` raised it.
    """
    if not ray.is_initialized() or len(tasks) <= 1:
        yield from ((task, work(shared, task)) for task in tasks)
        return
    remote = ray.remote(num_cpus=1, max_retries=retries)(_in_worker)
    sent = [ray.put((work, shared))]  # in a list: a worker unpacks it once, not with every task
    ahead = 2 * int(ray.cluster_resources().get("CPU", 1)) + 2
    left = iter(tasks)
    waiting: dict[ray.ObjectRef, Task] = {}
    while True:
        while len(waiting) < ahead and (task := next(left, _NONE)) is not _NONE:
            waiting[remote.remote(sent, task)] = task
        if not waiting:
            return
        (ready,), _ = ray.wait(list(waiting), num_returns=1)
        try:
            yield waiting.pop(ready), ray.get(ready)
        except ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, DeepStockError):
                raise error.cause from None
            raise


_NONE: Any = object()
_unpacked: dict[str, tuple[Callable[[Any, Any], Any], Any]] = {}
"""The last call's work and shared part: to open a data set takes longer than a tile."""


def _in_worker(sent: list[ray.ObjectRef], task: Any) -> Any:
    name = sent[0].hex()
    if name not in _unpacked:
        torch.set_num_threads(1)
        _unpacked.clear()
        _unpacked[name] = ray.get(sent[0])
    work, shared = _unpacked[name]
    return work(shared, task)
