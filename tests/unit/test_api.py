"""``import pipeline``: its names, and that it loads nothing until one is asked for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import pipeline

ROOT = Path(__file__).resolve().parents[2]


def test_importing_it_loads_nothing_heavy() -> None:
    code = (
        "import sys, pipeline\n"
        "heavy = [m for m in ('torch', 'ray', 'pandas', 'numpy', 'mlflow') if m in sys.modules]\n"
        "print(heavy, 'snapshot' in dir(pipeline))\n"
        "pipeline.Panel\n"
        "print('torch' in sys.modules, 'pandas' in sys.modules or 'numpy' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.stdout == "[] True\nFalse True\n", done.stderr


@pytest.mark.parametrize("name", pipeline.__all__)
def test_every_name_is_there_and_explained(name: str) -> None:
    found = getattr(pipeline, name)
    assert found.__name__ == name
    assert found.__doc__


def test_the_names_are_those_that_have_a_home() -> None:
    assert set(pipeline.__all__) == set(pipeline._HOMES)


def test_other_names_are_unknown() -> None:
    with pytest.raises(AttributeError, match="no attribute 'forecast'"):
        _ = pipeline.forecast  # type: ignore[attr-defined]
