"""What must be true of a process before it imports Ray, torch or MLflow.

Every ``__main__`` calls :func:`prepare` before its other imports. This module therefore imports
nothing of the project: a foreign package named ``envs`` must be found out, not run into.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
"""The folder that holds the packages."""

PACKAGES = ("envs", "pipeline", "tuning", "cluster")

DEFAULTS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    # Ray reads this once, when it is imported. With a token, only its holders can use the cluster.
    "RAY_AUTH_MODE": "token",
    # Tune's own progress output; tuning.reporter says it in one line a trial.
    "RAY_AIR_NEW_OUTPUT": "0",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    # Ray runs one process per core: more threads than that only get in each other's way.
    "OMP_NUM_THREADS": "1",
}
"""Environment variables set unless the user has set them; child processes inherit them."""


def prepare() -> None:
    """Set :data:`DEFAULTS` and exit with a clear message if a package of ours is a foreign one."""
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
    keep_freed_memory()
    problem = foreign_package()
    if problem:
        print(f"Error: {problem}", file=sys.stderr)
        raise SystemExit(2)


def keep_freed_memory() -> None:
    """Tell glibc to keep freed blocks of up to 32 MiB (and 128 MiB of them) for the next tensor.

    By default it returns them to the system at once, which clears every page that the next
    layer's output lies in again: of a [1024, 64] matrix product that was more than half.
    Does nothing where another C library is used.
    """
    trim_threshold, mmap_threshold = -1, -3  # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD of mallopt(3)
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if mallopt is not None:
        mallopt(mmap_threshold, 32 * 2**20)  # the largest value it takes
        mallopt(trim_threshold, 128 * 2**20)


def foreign_package() -> str | None:
    """What is wrong if Python would import a package of ours from elsewhere, else None.

    ``envs`` is also the name of a package on PyPI, which wins if this is started from another
    folder than the repository's root.
    """
    for name in PACKAGES:
        spec = importlib.util.find_spec(name)
        origin = Path(spec.origin).resolve() if spec and spec.origin else None
        expected = ROOT / name / "__init__.py"
        if origin != expected:
            return (
                f"package {name} = {origin or 'not found'} is not DeepStock's ({expected}). "
                "Start from the repository's root as `python -m ...`, or remove the other package: "
                f"pip uninstall {name}."
            )
    return None
