"""A Ray cluster of two nodes on this host, started for one job and stopped with it.

Each node is one ``ray start --block`` child process (Ray's public command line), so a local run
takes the same path as a real cluster: tasks cross node borders, objects are copied between stores.
Nothing of another Ray on this host is touched: all ports are free ones, the session lives in a
folder of its own, and stopping signals only the children started here (never ``ray stop``, which
ends every Ray on the host).
"""

from __future__ import annotations

import logging
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType

import ray

from cluster import host
from cluster.authentication import ensure_token
from cluster.processes import Uninterrupted, end_session, end_with_parent, session_folder
from cluster.record import RECORD, remove_record, write_record
from envs.errors import ClusterError

_MIN_OBJECT_STORE = 256 << 20
_STOP_TIMEOUT_S = 20.0


class LocalCluster:
    """Two Ray nodes on this host and a connected driver, as a context manager.

    Args:
        cpus: CPUs to offer in all, split over the two nodes, at least one each. Default: all of
            this host's.
        object_store_bytes: Shared memory for objects, per node. Default: 10 % of the memory, at
            least 256 MiB.
        dashboard: Whether the head node serves Ray's dashboard, on a free port of 127.0.0.1.
        record: File that names the running cluster while it lives.
        start_timeout_s: How long both nodes may take to come up.

    Attributes:
        address: ``host:port`` for other drivers and for ``ray status --address``.
        dashboard_url: The dashboard's URL, or None.

    Raises:
        ClusterError: When a Ray is connected in this process already, or a node does not start.

    Use it from the main thread: on Linux the nodes are told to end when the thread that started
    them ends, so that not even ``kill -9`` of this process leaves them running.
    """

    def __init__(
        self,
        *,
        cpus: int | None = None,
        object_store_bytes: int | None = None,
        dashboard: bool = True,
        record: Path = RECORD,
        start_timeout_s: float = 90.0,
    ) -> None:
        total = host.cpu_count() if cpus is None else cpus
        self.node_cpus = (max(1, (total + 1) // 2), max(1, total // 2))
        self.object_store_bytes = (
            max(_MIN_OBJECT_STORE, host.total_memory() // 10)
            if object_store_bytes is None
            else object_store_bytes
        )
        self.record = record
        self.start_timeout_s = start_timeout_s
        self._dashboard = dashboard
        self._nodes: list[subprocess.Popen[bytes]] = []
        self.address = ""
        self.dashboard_url: str | None = None
        self.session_dir: Path | None = None

    def __enter__(self) -> LocalCluster:
        if ray.is_initialized():
            raise ClusterError(
                "local cluster",
                "Ray",
                "Call ray.shutdown() first, or run the job in a process of its own.",
                problem="is connected to a cluster already in this process",
            )
        try:
            self._start()
        except BaseException as error:
            self._stop(keep_logs=not isinstance(error, KeyboardInterrupt))
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop(keep_logs=False)

    @property
    def pids(self) -> list[int]:
        """Process ids of the nodes; each leads a session of its own that holds its processes."""
        return [node.pid for node in self._nodes]

    # -- start -----------------------------------------------------------------------------------

    def _start(self) -> None:
        deadline = time.monotonic() + self.start_timeout_s
        ensure_token()
        self.session_dir = session_folder()
        port, dashboard_port, client_port, *agent_ports = host.free_ports(5)
        self.address = f"{ray.util.get_node_ip_address()}:{port}"
        self._spawn(
            "head",
            "--head",
            f"--port={port}",
            f"--dashboard-port={dashboard_port}",
            f"--ray-client-server-port={client_port}",
            f"--include-dashboard={str(self._dashboard).lower()}",
            f"--num-cpus={self.node_cpus[0]}",
            f"--dashboard-agent-listen-port={agent_ports[0]}",
        )
        self._wait(lambda: host.port_answers("127.0.0.1", port, 0.2), deadline)
        self._spawn(
            "worker",
            f"--address={self.address}",
            f"--num-cpus={self.node_cpus[1]}",
            f"--dashboard-agent-listen-port={agent_ports[1]}",
        )
        try:
            ray.init(address=self.address, log_to_driver=False, logging_level=logging.ERROR)
        except Exception as error:
            raise self._failure(f"does not answer ({type(error).__name__})") from error
        self._wait(lambda: sum(bool(node["Alive"]) for node in ray.nodes()) == 2, deadline)
        if self._dashboard:
            self._wait(lambda: host.port_answers("127.0.0.1", dashboard_port, 0.2), deadline)
            self.dashboard_url = f"http://127.0.0.1:{dashboard_port}"
        write_record(self.record, self.address, self.dashboard_url)

    def _spawn(self, name: str, *options: str) -> None:
        """Start one node as a child process that logs into the session folder."""
        assert self.session_dir is not None
        command = [
            host.ray_command(),
            "start",
            "--block",
            *options,
            f"--object-store-memory={self.object_store_bytes}",
            # Two nodes on one host: no fixed worker port range, the system picks.
            "--min-worker-port=0",
            "--max-worker-port=0",
            # A folder per node: nodes that share one delete each other's runtime environments. A
            # short name: the paths of Unix sockets in it have at most 107 characters.
            f"--temp-dir={self.session_dir / name[0]}",
            "--include-log-monitor=false",
            "--disable-usage-stats",
        ]
        environment = {k: v for k, v in os.environ.items() if k != "RAY_ADDRESS"}
        # Ray read the mode when this process imported it: the nodes must use the same.
        environment.setdefault("RAY_AUTH_MODE", "disabled")
        # Told to end, a node would wait half a minute for work to move elsewhere.
        environment.setdefault("RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S", "0")
        with (self.session_dir / f"{name}.log").open("wb") as log:
            self._nodes.append(
                subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=environment,
                    # A session of its own: Ctrl-C reaches this process only, which then stops
                    # the nodes in order.
                    start_new_session=True,
                    preexec_fn=end_with_parent(),
                )
            )

    def _wait(self, ready: Callable[[], bool], deadline: float) -> None:
        """Wait until ``ready``; raise as soon as a node has ended or time is up."""
        while not ready():
            ended = [node for node in self._nodes if node.poll() is not None]
            if ended or time.monotonic() > deadline:
                raise self._failure(
                    f"ended with exit status {ended[0].returncode} while starting"
                    if ended
                    else f"was not up after {self.start_timeout_s:g} s"
                )
            time.sleep(0.1)

    def _failure(self, problem: str, lines: int = 5) -> ClusterError:
        """The error to raise, with the last lines of each node's log."""
        assert self.session_dir is not None
        tail = []
        for log in sorted(self.session_dir.glob("*.log")):
            text = log.read_text(errors="replace").splitlines()
            tail += [f"  {log.stem}: {line}" for line in text[-lines:]]
        shown = "\n".join(tail)
        return ClusterError(
            "local cluster",
            self.address,
            f"Look at the logs in {self.session_dir}, free memory or processors, and start again.",
            problem=f"{problem}; its last lines:\n{shown}\n",
        )

    # -- stop ------------------------------------------------------------------------------------

    def _stop(self, *, keep_logs: bool) -> None:
        """Disconnect and end the children started here, whatever state they are in."""
        with Uninterrupted():
            ray.shutdown()
            for node in reversed(self._nodes):  # the head last: the worker says goodbye to it
                if node.poll() is None:
                    node.send_signal(signal.SIGTERM)
            deadline = time.monotonic() + _STOP_TIMEOUT_S
            for node in self._nodes:
                with suppress(subprocess.TimeoutExpired):  # then its session is killed below
                    node.wait(max(0.1, deadline - time.monotonic()))
                end_session(node.pid, deadline)
                node.kill()  # does nothing if it has ended
                node.wait()
            self._nodes.clear()
            remove_record(self.record, self.address)
            if self.session_dir is not None and not keep_logs:
                shutil.rmtree(self.session_dir, ignore_errors=True)
                self.session_dir = None
