"""MLflow and TensorBoard on the sweeps of this folder, and the way to Ray's dashboard."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import click

from cluster import host
from cluster.processes import Uninterrupted, end_session, end_with_parent
from cluster.record import read_record
from envs.errors import ClusterError
from pipeline.tracking.door import experiment_id
from pipeline.tracking.store import page, tracking_uri

_START_TIMEOUT_S = 90.0


def watch(runs: Path, mlflow_port: int, tensorboard_port: int) -> None:
    """Serve both until Ctrl-C; prints where to look.

    Args:
        runs: Folder of the sweeps; a running cluster's note lies in it.
        mlflow_port, tensorboard_port: Preferred ports; taken ones are replaced by free ones.

    Raises:
        ClusterError: A server ends or does not answer in time.
        ConfigError: MLFLOW_TRACKING_URI cannot be used.
    """
    runs.mkdir(parents=True, exist_ok=True)
    store = tracking_uri()
    experiment = experiment_id(store)
    with ExitStack() as servers:
        if store.startswith(("http://", "https://")):
            mlflow_url = store.rstrip("/")  # a server is running already
        else:
            port = host.free_port(mlflow_port)
            mlflow_url = f"http://127.0.0.1:{port}"
            command = ["mlflow", "server", "--backend-store-uri", store, "--workers", "1"]
            servers.enter_context(_served("MLflow", command, port, runs))
        port = host.free_port(tensorboard_port)
        command = ["tensorboard.main", "--logdir", str(runs.resolve())]
        servers.enter_context(_served("TensorBoard", command, port, runs))
        click.echo(f"MLflow       {mlflow_url}/{page(experiment)}")
        click.echo(f"TensorBoard  http://127.0.0.1:{port}/")
        click.echo(f"Ray          {_dashboard(runs)}")
        click.echo("Ctrl-C stops MLflow and TensorBoard.")
        try:
            while True:
                time.sleep(3600)
        except KeyboardInterrupt:
            click.echo()


def _dashboard(runs: Path) -> str:
    record = read_record(runs / ".cluster.json")
    if not record:
        return "no cluster of this folder is running"
    if not record["dashboard_url"]:
        return f"the cluster at {record['address']} has no dashboard"
    return f"{record['dashboard_url']}  (it asks for the token that `ray get-auth-token` prints)"


@contextmanager
def _served(name: str, module: list[str], port: int, runs: Path) -> Iterator[None]:
    """A server as a child process, answering; ended at the end."""
    log = runs / f".{name.lower()}.log"
    with log.open("wb") as output:
        server = subprocess.Popen(
            [sys.executable, "-m", *module, "--host", "127.0.0.1", "--port", str(port)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=dict(os.environ),
            start_new_session=True,
            preexec_fn=end_with_parent(),
        )
    try:
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not host.port_answers("127.0.0.1", port, 0.2):
            if server.poll() is not None or time.monotonic() > deadline:
                raise ClusterError(
                    name,
                    f"port {port}",
                    f"Look at {log}.",
                    problem="did not start"
                    if server.poll() is None
                    else f"ended with exit status {server.returncode}",
                )
            time.sleep(0.1)
        yield
    finally:
        with Uninterrupted():
            server.terminate()
            end_session(server.pid, time.monotonic() + 10.0)
            server.kill()  # does nothing if it has ended
            server.wait()
