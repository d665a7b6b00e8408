"""MLflow's store: addresses, folders and its messages, without importing MLflow."""

from __future__ import annotations

import logging
import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote

from envs.errors import ConfigError

_SQLITE = "sqlite:///"


def tracking_uri(folder: Path | None = None) -> str:
    """MLFLOW_TRACKING_URI if set, else the SQLite store ``mlflow.db`` in ``folder`` (default: .).

    A file store is not offered: MLflow no longer accepts one.
    """
    named = os.environ.get("MLFLOW_TRACKING_URI")
    return named or f"{_SQLITE}{(folder or Path.cwd()).resolve() / 'mlflow.db'}"


def page(experiment: str) -> str:
    """The experiment's list of runs, to append to the address of an MLflow server.

    The bare experiment may open on a page for language models.
    """
    return f"#/experiments/{experiment}/runs"


def ask_server(uri: str) -> None:
    """Check that the server at an http(s) address answers; MLflow itself would retry for minutes.

    Raises:
        ConfigError: It does not.
    """
    if not uri.startswith(("http://", "https://")):
        return
    try:
        with urllib.request.urlopen(f"{uri.rstrip('/')}/health", timeout=10):
            pass
    except urllib.error.HTTPError:
        pass  # it answers; whether it lets us in is for MLflow's client to say
    except OSError as error:
        raise ConfigError(
            "MLFLOW_TRACKING_URI",
            uri,
            "Start the server, correct the address, or unset the variable to use a local store.",
            problem=f"does not answer ({error})",
        ) from error


def artifact_location(uri: str) -> str | None:
    """Folder ``mlartifacts`` beside a SQLite store; a server decides for itself."""
    if not uri.startswith(_SQLITE):
        return None
    database = Path(unquote(uri.removeprefix(_SQLITE))).resolve()
    database.parent.mkdir(parents=True, exist_ok=True)
    return (database.parent / "mlartifacts").as_uri()


@contextmanager
def quiet() -> Iterator[None]:
    """Keep MLflow's and its migrations' progress messages off the terminal."""
    before = logging.root.manager.disable
    logging.disable(logging.INFO)
    try:
        yield
    finally:
        logging.disable(before)
