"""Imports go one way (cluster -> tuning -> pipeline -> envs), and mlflow has one door."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LAYERS = ("envs", "pipeline", "tuning", "cluster")
"""From the bottom up: a package may import itself and those before it."""


def imported(source: str) -> Iterator[str]:
    """Full names of all modules imported anywhere in a file, inside functions too."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module


def offences(package: str, source: str) -> list[str]:
    """Imports in a file of ``package`` that go up."""
    above = LAYERS[LAYERS.index(package) + 1 :]
    return [name for name in imported(source) if name.split(".")[0] in above]


def files(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


@pytest.mark.parametrize("package", LAYERS)
def test_no_package_imports_one_above_it(package: str) -> None:
    assert files(package), f"{package} holds no file: is ROOT right?"
    found = {
        str(path.relative_to(ROOT)): offences(package, path.read_text()) for path in files(package)
    }
    assert {path: names for path, names in found.items() if names} == {}


def test_only_tracking_imports_mlflow() -> None:
    doors = [
        str(path.relative_to(ROOT))
        for package in LAYERS
        for path in files(package)
        if any(name.split(".")[0] == "mlflow" for name in imported(path.read_text()))
    ]
    assert doors == ["pipeline/tracking/door.py"]


def test_envs_knows_no_ray_and_no_files() -> None:
    banned = {"ray", "pyarrow", "pandas", "duckdb"}
    found = {
        str(path.relative_to(ROOT)): name
        for path in files("envs")
        for name in imported(path.read_text())
        if name.split(".")[0] in banned
    }
    assert found == {}


@pytest.mark.parametrize(
    ("package", "source"),
    [
        ("envs", "import pipeline.training.run"),
        ("pipeline", "from tuning.sweep import run_sweep"),
        ("tuning", "def f():\n    from cluster import local"),
    ],
)
def test_the_check_sees_an_import_that_goes_up(package: str, source: str) -> None:
    assert len(offences(package, source)) == 1
    assert offences("cluster", source) == []
