"""Time and memory of a command with all of its child processes, Ray's included (Linux)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

EVERY_S = 1.0
"""Seconds between two looks at the processes."""
_TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100


@dataclass(frozen=True)
class Usage:
    """What a command needed."""

    wall_s: float
    cpu_s: float
    """Of all its processes, as last seen."""
    peak_pss_gib: float
    """Largest sum over its processes of the proportional set size (shared pages count once)."""


def run_measured(arguments: Sequence[str | Path]) -> Usage:
    """Runs ``python ARGUMENTS`` to its end, its output on this terminal.

    Raises:
        subprocess.CalledProcessError: It failed.
    """
    start = time.monotonic()
    command = [sys.executable, *map(str, arguments)]
    # A session of its own: processes that outlive their parent are still found.
    process = subprocess.Popen(command, start_new_session=True)
    cpu: dict[tuple[int, int], float] = {}
    peak = 0.0
    try:
        while process.poll() is None:
            found = _descendants(process.pid)
            cpu |= found
            peak = max(peak, sum(_pss_kib(pid) for pid, _ in found))
            with suppress(subprocess.TimeoutExpired):
                process.wait(EVERY_S)
    except BaseException:  # Ctrl-C reaches this session only
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGINT)
        process.wait()
        raise
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return Usage(time.monotonic() - start, sum(cpu.values()), peak / 2**20)


def _descendants(root: int) -> dict[tuple[int, int], float]:
    """(pid, start time) -> CPU seconds of a process, its session and all below either."""
    parents: dict[int, int] = {}
    known: dict[int, tuple[tuple[int, int], float]] = {}
    members = {root}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            # The name, in parentheses, may hold spaces.
            fields = (folder / "stat").read_text().rpartition(") ")[2].split()
        except OSError:  # it has just ended
            continue
        pid = int(folder.name)
        parents[pid] = int(fields[1])
        known[pid] = ((pid, int(fields[19])), (int(fields[11]) + int(fields[12])) / _TICKS)
        if int(fields[3]) == root:
            members.add(pid)
    grown = True
    while grown:
        more = {pid for pid, parent in parents.items() if parent in members} - members
        members |= more
        grown = bool(more)
    return {known[pid][0]: known[pid][1] for pid in members if pid in known}


def _pss_kib(pid: int) -> int:
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    except OSError:
        pass
    return 0
