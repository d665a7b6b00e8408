"""The note about the cluster in use, for those who want to watch it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from cluster.processes import alive
from pipeline.tools.files import write_json

RECORD = Path("runs/.cluster.json")
"""Default place of the note, relative to the working folder."""


def write_record(path: Path, address: str, dashboard_url: str | None) -> None:
    """Note the cluster in use, for ``python -m cluster ui``. Replaces the file in one step."""
    write_json(path, {"address": address, "dashboard_url": dashboard_url, "pid": os.getpid()})


def read_record(path: Path) -> dict[str, Any]:
    """The cluster noted at ``path`` if the process that noted it is alive, else {}."""
    try:
        record: dict[str, Any] = json.loads(path.read_text())
        return record if alive(int(record["pid"])) else {}
    except (OSError, ValueError, KeyError):
        return {}


def remove_record(path: Path, address: str) -> None:
    """Remove the note at ``path`` if it names the cluster at ``address``."""
    if read_record(path).get("address") == address:
        path.unlink(missing_ok=True)
