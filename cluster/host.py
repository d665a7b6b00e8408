"""What this host has: processors, memory, free ports, the Ray command line."""

from __future__ import annotations

import os
import shutil
import socket
import sys
from contextlib import ExitStack
from pathlib import Path

from envs.errors import ClusterError

GIB = 1 << 30


def cpu_count() -> int:
    """Processors this process may use (respects taskset and container cpusets)."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def total_memory() -> int:
    """Bytes of memory this process may use: the machine's, or its container's limit if lower."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min(machine, _number_in("/sys/fs/cgroup/memory.max", machine))


def available_memory() -> int:
    """Bytes of memory that can be had now without swapping."""
    free = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                free = int(line.split()[1]) * 1024
    except OSError:
        pass  # not Linux: free pages are the best guess
    limit = total_memory()
    used = _number_in("/sys/fs/cgroup/memory.current", 0)
    return min(free, max(limit - used, 0)) if used else min(free, limit)


def _number_in(path: str, default: int) -> int:
    try:
        return int(Path(path).read_text())
    except (OSError, ValueError):  # no control groups, or the word "max"
        return default


def free_ports(count: int) -> list[int]:
    """Different TCP ports that nothing on this host listens on at the moment."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("", 0))
        return [int(one.getsockname()[1]) for one in sockets]


def free_port(preferred: int) -> int:
    """``preferred`` if nothing listens there on the loopback address, else another free port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", preferred))
        except OSError:
            return free_ports(1)[0]
    return preferred


def port_answers(host: str, port: int, timeout_s: float) -> bool:
    """Whether something accepts TCP connections there."""
    try:
        with socket.create_connection((host, port), timeout=timeout_s):
            return True
    except OSError:
        return False


def ray_command() -> str:
    """Path of the ``ray`` command that belongs to this interpreter."""
    beside = Path(sys.executable).with_name("ray")
    found = str(beside) if beside.exists() else shutil.which("ray")
    if not found:
        raise ClusterError(
            "ray",
            str(beside),
            "Install the pinned requirements: make venv.",
            problem="is missing: this Python has no Ray command line",
        )
    return found
