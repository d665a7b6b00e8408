"""Joining a cluster that is not there fails soon, and says what to do."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cluster import host
from cluster.connect import join
from envs.errors import ClusterError

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def _no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")


@pytest.mark.parametrize("address", ["10.0.0.1", "ray://10.0.0.1:10001", "head:port", ":6379"])
def test_a_malformed_address_is_refused(address: str) -> None:
    with pytest.raises(ClusterError, match="not of the form host:port") as caught:
        join(address)
    assert caught.value.value == address


def test_a_dead_head_is_found_out_at_once() -> None:
    (port,) = host.free_ports(1)
    begin = time.monotonic()
    with pytest.raises(ClusterError, match=rf"127.0.0.1:{port} does not answer") as caught:
        join(f"127.0.0.1:{port}")
    assert time.monotonic() - begin < 5
    assert "ray start --head" in caught.value.remedy


def test_something_else_that_listens_there_is_given_up_on_in_time() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        begin = time.monotonic()
        with pytest.raises(ClusterError, match="no Ray head answered within 4 s"):
            join(address, timeout_s=4)
    assert time.monotonic() - begin < 12


def test_the_command_prints_one_line_and_exits_with_2(tmp_path: Path) -> None:
    (port,) = host.free_ports(1)
    ran = subprocess.run(
        [
            sys.executable, "-m", "cluster", "train",
            "--preset", "smoke", "--address", f"127.0.0.1:{port}", "--out", str(tmp_path / "run"),
        ],
        cwd=ROOT,
        env={**os.environ},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )  # fmt: skip
    assert ran.returncode == 2
    assert ran.stderr.startswith(f"Error: Ray address = 127.0.0.1:{port} does not answer. ")
    assert ran.stderr.count("\n") == 1
    assert not (tmp_path / "run").exists()
