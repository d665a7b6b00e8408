"""Rooms of ``pipeline`` stand in an order, experiments are guests, and no room grows too full."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("envs", "pipeline", "tuning", "cluster")
ROOMS = (
    "tools", "data", "features", "scenarios", "policies", "evaluation", "runs", "baselines",
    "algorithms", "training", "comparison", "tracking", "serving", "studies", "cli",
)  # fmt: skip
"""In the order in which data travels: a room imports itself and those before it."""
FRONTS = ("tuning/studies/", "cluster/study.py", "cluster/offline.py")
"""The studies' own front ends, which may import it."""
LONGEST_FILE, LONGEST_FUNCTION, FULLEST_FOLDER = 350, 60, 15
REASON = re.compile(r"# long: \w+")
"""A comment in a function above the limit says why it is not shorter."""
LONG_FOR_NOW = {
    "pipeline/algorithms/adjoint.py:_backwards",
    "pipeline/algorithms/decisions.py:extract_decisions",
}


def imported(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def files(*packages: str) -> dict[str, str]:
    found = {
        str(path.relative_to(ROOT)): path.read_text()
        for package in packages
        for path in sorted((ROOT / package).rglob("*.py"))
    }
    assert found
    return found


def up(room: str, source: str) -> list[str]:
    """Imports of a file in ``room`` that go to a later room."""
    later = ROOMS[ROOMS.index(room) + 1 :]
    return [n for n in imported(source) if n.startswith("pipeline.") and n.split(".")[1] in later]


def test_every_room_is_in_the_order() -> None:
    rooms = {p.name for p in (ROOT / "pipeline").iterdir() if (p / "__init__.py").exists()}
    assert rooms == set(ROOMS)


@pytest.mark.parametrize("room", ROOMS)
def test_no_room_imports_a_later_one(room: str) -> None:
    found = {path: up(room, text) for path, text in files(f"pipeline/{room}").items()}
    assert {path: names for path, names in found.items() if names} == {}


def test_the_check_sees_an_import_of_a_later_room() -> None:
    assert up("runs", "from pipeline.training.run import TrainingRun")
    assert up("runs", "def f():\n    from pipeline import training")
    assert not up("training", "from pipeline.runs.result import RunResult")


def test_nothing_imports_an_experiment() -> None:
    guests = [
        (path, name)
        for path, text in files(*PACKAGES).items()
        if not path.startswith(("pipeline/studies/", *FRONTS))
        for name in imported(text)
        if name.startswith(("pipeline.studies", "tuning.studies"))
    ]
    assert guests == []


def run(code: str) -> list[str]:
    """What a fresh process prints, in words."""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=150
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_the_command_line_imports_no_experiment_until_it_is_asked_for() -> None:
    code = (
        "import sys; from pipeline.cli.main import commands\n"
        "known = lambda: [m for m in sys.modules if m.startswith('pipeline.studies')]\n"
        "print(len(known())); commands.get_command(None, 'bench'); print(len(known()) > 0)"
    )
    assert run(code) == ["0", "True"]


def test_reading_comparing_and_serving_load_no_rllib() -> None:
    modules = [
        path.removesuffix(".py").replace("/", ".")
        for room in ("runs", "comparison", "serving", "evaluation", "baselines", "policies")
        for path in files(f"pipeline/{room}")
        if not path.endswith("__init__.py")
    ]
    assert "pipeline.comparison.results" in modules
    code = (
        f"import sys, importlib\nfor m in {modules}: importlib.import_module(m)\n"
        "print(*[m for m in sys.modules if m == 'ray.rllib'])\n"
        "import pipeline.training.run\n"
        "print('with', 'ray.rllib' in sys.modules)"
    )
    assert run(code) == ["with", "True"]


def test_no_file_is_too_long() -> None:
    lengths = {p: len(t.splitlines()) for p, t in files(*PACKAGES, "tests").items()}
    assert {p: n for p, n in lengths.items() if n > LONGEST_FILE} == {}


def test_no_folder_is_too_full() -> None:
    folders = {p.parent for package in (*PACKAGES, "tests") for p in (ROOT / package).rglob("*.py")}
    counts = {str(f.relative_to(ROOT)): len(list(f.glob("*.py"))) for f in folders}
    # A package's __init__.py holds a sentence.
    assert {
        f: n for f, n in counts.items() if n - (ROOT / f / "__init__.py").exists() > FULLEST_FOLDER
    } == {}


def long_functions(source: str) -> dict[str, int]:
    """Functions above the limit, docstring included, that give no reason."""
    lines = source.splitlines()
    return {
        node.name: length
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if (length := (node.end_lineno or 0) - node.lineno + 1) > LONGEST_FUNCTION
        and not any(REASON.search(line) for line in lines[node.lineno - 1 : node.end_lineno])
    }


def test_no_function_is_too_long_without_a_reason() -> None:
    found = {
        f"{path}:{name}" for path, text in files(*PACKAGES).items() for name in long_functions(text)
    }
    assert found == LONG_FOR_NOW


def test_the_check_sees_a_long_function() -> None:
    body = "    x = 1\n" * LONGEST_FUNCTION
    assert long_functions(f"def f():\n{body}") == {"f": LONGEST_FUNCTION + 1}
    assert long_functions(f"def f():\n    # long: one table\n{body}") == {}
    assert long_functions(f"def f():\n{body[:-10]}") == {}
