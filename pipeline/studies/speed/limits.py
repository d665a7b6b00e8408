"""What the machine can do at best, measured in the same run as everything else."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch


@dataclass(frozen=True)
class Limits:
    """Limits of one thread."""

    flops: float
    """Float32 operations per second of a [2048, 64] × [64, 64] matrix product."""
    bandwidth: float
    """Bytes per second read and written by a copy of 256 MiB."""


def measure_limits(rounds: int = 5) -> Limits:
    """The best of several rounds."""
    rows, width = 2048, 64
    left, right, product = (
        torch.rand(rows, width),
        torch.rand(width, width),
        torch.empty(rows, width),
    )
    source = torch.rand(64 * 2**20)
    target = torch.empty_like(source)
    multiplied = _best(lambda: torch.mm(left, right, out=product), 200, rounds)
    copied = _best(lambda: target.copy_(source), 1, rounds)
    return Limits(
        flops=2.0 * rows * width * width / multiplied,
        bandwidth=2.0 * source.numel() * source.element_size() / copied,
    )


def machine() -> dict[str, str | int]:
    """What a history entry is compared by: only runs on the same machine tell a slowdown."""
    names = [
        line.split(":", 1)[1].strip()
        for line in _read("/proc/cpuinfo").splitlines()
        if line.startswith("model name")
    ]
    memory = next((x for x in _read("/proc/meminfo").splitlines() if x.startswith("MemTotal")), "")
    return {
        "processor": names[0] if names else platform.processor(),
        "cores": os.cpu_count() or 1,
        "memory_gib": round(int(memory.split()[1]) / 2**20) if memory else 0,
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def load() -> float:
    """Processes that wanted a core in the last minute: rates fall where it exceeds the cores."""
    return round(os.getloadavg()[0], 1)


def _best(do: Callable[[], object], times: int, rounds: int) -> float:
    do()
    seconds = []
    for _ in range(rounds):
        start = time.process_time()
        for _ in range(times):
            do()
        seconds.append((time.process_time() - start) / times)
    return min(seconds)


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""
