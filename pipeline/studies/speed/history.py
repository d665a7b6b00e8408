"""The file that remembers: one JSON line per benchmark, and what has become slower since."""

from __future__ import annotations

import subprocess
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipeline.studies.speed.limits import Limits, load, machine
from pipeline.studies.speed.timing import Row
from pipeline.tools.environment import ROOT
from pipeline.tools.files import append_json, read_lines

SLOWER = 0.8
"""A rate below this share of the previous one, relative to the machine's limits, is flagged."""


def entry(
    rows: list[Row], tables: dict[str, list[dict[str, Any]]], limits: Limits
) -> dict[str, Any]:
    """What is written down: results, and what they depend on."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "machine": machine(),
        "load": load(),
        "limits": asdict(limits),
        "rows": [asdict(row) for row in rows],
        "tables": tables,
    }


def append(path: Path, new: dict[str, Any]) -> None:
    """Adds a line; earlier ones are never touched, not even one that a crash cut."""
    append_json(path, new)


def read(path: Path) -> list[dict[str, Any]]:
    """All entries, oldest first; lines cut by a crash are left out."""
    return read_lines(path)


def slower(earlier: list[dict[str, Any]], new: dict[str, Any]) -> list[str]:
    """One sentence for each row that is slower than when this machine last ran it.

    Rates are divided by the matrix rate measured beside them: a busy machine slows both.
    """
    latest: dict[tuple[str, str], float] = {}
    for old in earlier:
        if old["machine"] == new["machine"]:
            latest |= _relative_rates(old)
    found = []
    for key, now in _relative_rates(new).items():
        before = latest.get(key)
        if before is not None and now < SLOWER * before:
            found.append(f"{key[0]}: {key[1]} is at {now / before:.0%} of its previous rate.")
    return found


def _relative_rates(of: dict[str, Any]) -> dict[tuple[str, str], float]:
    # The best round is the one that others disturbed least.
    return {
        (row["section"], row["what"]): row["best_rate"] / of["limits"]["flops"]
        for row in of["rows"]
    }


def _commit() -> str:
    """Short hash, with + where files differ from it; unknown outside a git checkout."""
    try:
        git = ["git", "-C", str(ROOT)]
        commit = subprocess.run(
            [*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True
        ).stdout.strip()
        changed = subprocess.run(
            [*git, "status", "--porcelain"], capture_output=True, text=True, check=True
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return commit + ("+" if changed else "")
