"""Examples in docstrings give what they say; formulas with a textbook number have one."""

from __future__ import annotations

import doctest
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
WITH_EXAMPLES = sorted(
    str(path.relative_to(ROOT).with_suffix("")).replace("/", ".")
    for package in ("envs", "pipeline", "tuning", "cluster")
    for path in (ROOT / package).rglob("*.py")
    if ">>> " in path.read_text()
)
TEXTBOOK = {
    "envs.metrics", "envs.objective", "envs.orders", "envs.problems.classical",
    "pipeline.studies.solvers.closed_form", "pipeline.studies.solvers.laws",
}  # fmt: skip


def test_formulas_have_examples() -> None:
    assert set(WITH_EXAMPLES) >= TEXTBOOK


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_examples_hold(name: str) -> None:
    found = doctest.testmod(import_module(name))
    assert found.attempted > 0
    assert found.failed == 0
