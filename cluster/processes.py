"""Child processes that end with this one, and the folder they live in."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # another user's
    return True


def end_with_parent() -> Callable[[], None] | None:
    """On Linux, a function for the child to call: SIGTERM it when this process dies."""
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None).prctl
    set_parent_death_signal = 1  # PR_SET_PDEATHSIG, see prctl(2)

    def ask() -> None:
        prctl(set_parent_death_signal, int(signal.SIGTERM), 0, 0, 0)

    return ask


def session_members(session: int) -> list[int]:
    """Living processes of a session (Linux; elsewhere none can be told)."""
    members = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            # After the command in parentheses: state, parent, process group, session.
            state, _, _, sid = (entry / "stat").read_text().rpartition(")")[2].split()[:4]
        except (OSError, ValueError):
            continue  # ended meanwhile
        if int(sid) == session and state != "Z":
            members.append(int(entry.name))
    return members


def end_session(session: int, deadline: float) -> None:
    """Wait until a node's session is empty (its agents outlive it a little), then insist."""
    while session_members(session) and time.monotonic() < deadline:
        time.sleep(0.1)
    for pid in session_members(session):
        with suppress(ProcessLookupError):  # ended by itself in this moment
            os.kill(pid, signal.SIGKILL)


class Uninterrupted:
    """Hold back a second Ctrl-C while children are being stopped (main thread only)."""

    def __enter__(self) -> None:
        self._previous: Any = None
        with suppress(ValueError):  # not the main thread: it gets no Ctrl-C
            self._previous = signal.signal(signal.SIGINT, signal.SIG_IGN)

    def __exit__(self, *_: object) -> None:
        if self._previous is not None:
            signal.signal(signal.SIGINT, self._previous)


def session_folder() -> Path:
    """A new folder for Ray's sockets, logs and spilled objects; clears those of dead owners."""
    # The paths of Unix sockets have at most 107 characters: a short parent folder.
    parent = Path(tempfile.gettempdir())
    if len(str(parent)) > 24:
        parent = Path("/tmp")
    for old in parent.glob("deepstock-*-*"):
        owner = old.name.split("-")[1]
        if owner.isdecimal() and not alive(int(owner)):
            shutil.rmtree(old, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"deepstock-{os.getpid()}-", dir=parent))
