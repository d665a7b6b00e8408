"""Outputs appear complete or not at all: they are written beside their place and renamed.

What is read while it is written, or after a crash, is the old content, the new one, or absent.
A test finds writers that go round this.
"""

from __future__ import annotations

import atexit
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from envs.errors import ConfigError

_PARTIAL, _BEFORE = ".partial", ".before"


@contextmanager
def beside(path: Path) -> Iterator[Path]:
    """A place beside ``path`` to write a file or a folder to; named ``path`` at the block's end.

    Folders above are made. After an exception nothing is left of the place, and ``path`` is as it
    was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = partial_of(path)
    if partial.is_dir():  # a process that was killed has left it
        remove(partial)
    try:
        yield partial
        put_in_place(partial, path)
    finally:
        remove(partial)


def partial_of(path: Path, *, own: bool = False) -> Path:
    """Where ``path`` is written before it is complete.

    Args:
        path: Its place.
        own: Of this process alone: others may be writing to the same place.
    """
    name = f".{path.name}.{os.getpid()}" if own else path.name
    return path.with_name(name + _PARTIAL)


def put_in_place(partial: Path, path: Path) -> None:
    """Gives what was written its name. :func:`whole` finds a folder at any moment."""
    before = path.with_name(path.name + _BEFORE)
    if path.is_dir():  # a folder cannot be replaced in one step
        remove(before)
        os.replace(path, before)
    os.replace(partial, path)
    remove(before)


def whole(path: Path) -> Path:
    """Where a folder of :func:`beside` lies complete, if anywhere: a process may have been killed
    between two renames."""
    return path if path.exists() else path.with_name(path.name + _BEFORE)


def remove(path: Path) -> None:
    """Removes a file or a folder, and what a killed :func:`put_in_place` left; none is fine."""
    for place in (path, path.with_name(path.name + _BEFORE)):
        if place.is_dir() and not place.is_symlink():
            shutil.rmtree(place, ignore_errors=True)
        else:
            place.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """UTF-8."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """As it is."""
    with beside(path) as partial:
        partial.write_bytes(content)


def write_json(path: Path, content: Any, indent: int | None = None) -> None:
    """Mappings, lists, texts and numbers; NaN and infinity as Python writes them."""
    write_text(path, json.dumps(content, indent=indent))


def write_yaml(path: Path, content: Mapping[str, Any], *, sort_keys: bool = False) -> None:
    """Plain values only; in the order given unless they are sorted."""
    write_text(path, yaml.safe_dump(dict(content), sort_keys=sort_keys))


def write_csv(path: Path, table: pd.DataFrame) -> None:
    """Without the index."""
    write_text(path, table.to_csv(index=False))


def write_parquet(path: Path, table: pd.DataFrame) -> None:
    """Without the index."""
    with beside(path) as partial:
        table.to_parquet(partial, index=False)


def append_json(path: Path, line: Mapping[str, Any]) -> None:
    """Adds a line to a record that only grows; earlier lines stay, even one that a crash cut.

    Readers leave out lines that are cut (:func:`read_lines`).
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab+") as file:
        if file.seek(0, os.SEEK_END):
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                file.write(b"\n")
        file.write((json.dumps(line) + "\n").encode())


def read_lines(path: Path) -> list[dict[str, Any]]:
    """What :func:`append_json` wrote, the earliest first; [] without the file."""
    entries = []
    for line in path.read_text().splitlines() if path.exists() else []:
        with suppress(json.JSONDecodeError):
            entries.append(json.loads(line))
    return entries


def scratch() -> Path:
    """A new folder that goes when this process ends, for what nobody named a place for."""
    folder = Path(tempfile.mkdtemp(prefix="deepstock-"))
    atexit.register(remove, folder)
    return folder


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns the system's errors of a block that writes to ``path`` into one that a user reads.

    Raises:
        ConfigError: The place cannot be written.
    """
    try:
        yield
    except OSError as error:
        raise unwritable(path, error) from None


def unwritable(path: Path, error: OSError) -> ConfigError:
    """A full disk, a folder that is not ours, a vanished mount."""
    return ConfigError(
        "out", str(path), "Name a place on a disk with room that you may write to.",
        f"cannot be written ({error.strerror or error})",
    )  # fmt: skip
