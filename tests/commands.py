"""Commands of the project as users give them: in a process of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def run_cluster(*arguments: object, folder: Path, timeout: float) -> str:
    """What ``python -m cluster ARGUMENTS`` prints; it must succeed.

    Args:
        *arguments: Of the command line.
        folder: Where MLflow's store is.
        timeout: Seconds.
    """
    environment = {**os.environ, "MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}"}
    done = subprocess.run(
        [sys.executable, "-m", "cluster", *map(str, arguments)],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=timeout, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout
