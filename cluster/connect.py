"""Get a Ray cluster for a job: start a local one, or join one that runs already."""

from __future__ import annotations

import logging
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray

from cluster import host
from cluster.authentication import ensure_token
from cluster.local import LocalCluster
from cluster.record import RECORD, remove_record, write_record
from envs.errors import ClusterError
from pipeline.tools.environment import PACKAGES, ROOT


@dataclass(frozen=True)
class ClusterInfo:
    """A connected cluster.

    Attributes:
        address: ``host:port`` of the head.
        dashboard_url: Ray's dashboard, or None if it has none.
        started_here: Whether this process started it, and stops it at the end.
    """

    address: str
    dashboard_url: str | None
    started_here: bool


@contextmanager
def open_cluster(
    address: str | None = None, *, timeout_s: float = 20.0, record: Path = RECORD
) -> Iterator[ClusterInfo]:
    """Join the cluster at ``address``, or start a local one; leave or stop it at the end.

    Args:
        address: ``host:port`` of a running head, or None for a local cluster.
        timeout_s: How long a head may take to answer.
        record: File that names the cluster while this job uses it.

    Raises:
        ClusterError: The head does not answer, or the local cluster does not start.
    """
    if not address:
        with LocalCluster(record=record) as local:
            yield ClusterInfo(local.address, local.dashboard_url, started_here=True)
        return
    dashboard_url = join(address, timeout_s=timeout_s)
    try:
        write_record(record, address, dashboard_url)
        yield ClusterInfo(address, dashboard_url, started_here=False)
    finally:
        ray.shutdown()
        remove_record(record, address)


def join(address: str, *, timeout_s: float = 20.0) -> str | None:
    """Connect this process to a running cluster; returns the dashboard's URL.

    ``ray.init`` retries a dead head for minutes, so the head is asked first, in a process that
    can be given up on.

    Raises:
        ClusterError: The address is malformed, nothing answers there in time, or Ray refuses.
    """
    _ask_head(address, timeout_s)
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if "RAY_JOB_CONFIG_JSON_ENV_VAR" not in os.environ:
        # Not inside `ray job submit`, which ships the code itself: give every node our packages.
        options["runtime_env"] = {"py_modules": [str(ROOT / name) for name in PACKAGES]}
    try:
        context = ray.init(address=address, **options)
    except Exception as error:  # Ray raises many kinds here; each means the same to the user
        ray.shutdown()
        raise ClusterError(
            "Ray address",
            address,
            "Run this on a node of that cluster with the same Ray and Python, or submit it: "
            "see cluster/README.md.",
            problem=f"cannot be joined: {_last_line(str(error))}",
        ) from error
    return f"http://{context.dashboard_url}" if context.dashboard_url else None


def _ask_head(address: str, timeout_s: float) -> None:
    """Raise ClusterError unless a Ray head answers at ``address`` within ``timeout_s``."""
    name, _, port = address.rpartition(":")
    if not name or not port.isdecimal() or "/" in name:
        raise ClusterError(
            "Ray address",
            address,
            "Give the head's host and port, for example RAY_ADDRESS=10.0.0.5:6379. For a head that "
            "is reached through ray:// or http://, submit the job: see cluster/README.md.",
            problem="is not of the form host:port",
        )
    remedy = (
        "Start the head (ray start --head, or see cluster/README.md), correct the address, or "
        "leave it out to start a local cluster."
    )
    if not host.port_answers(name.strip("[]"), int(port), timeout_s):
        raise ClusterError("Ray address", address, remedy, problem="does not answer")
    ensure_token()
    try:
        asked = subprocess.run(
            [host.ray_command(), "status", "--address", address],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ClusterError(
            "Ray address",
            address,
            remedy,
            problem=f"accepts connections, but no Ray head answered within {timeout_s:g} s",
        ) from None
    if asked.returncode != 0:
        raise ClusterError(
            "Ray address",
            address,
            "Use the Ray version and the token of that cluster (ray get-auth-token on its head; "
            "RAY_AUTH_TOKEN here).",
            problem=f"is not usable: {_last_line(asked.stderr or asked.stdout)}",
        )


def _last_line(text: str) -> str:
    lines = [line for line in text.strip().splitlines() if line.strip()]
    return lines[-1].strip()[:300] if lines else "no reason given"
