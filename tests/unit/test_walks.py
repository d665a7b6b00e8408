"""docs/walks.md names files and functions that are there, and no walk goes up and down."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.unit.test_rooms import ROOMS

ROOT = Path(__file__).resolve().parents[2]
FLOORS = ("envs", *(f"pipeline/{room}" for room in ROOMS), "tuning", "cluster")
WALKS = {
    section.partition("\n")[0]: [
        (int(number), path, name)
        for number, path, name in re.findall(r"^(\d+)\. `([\w/]+\.py)` `(\w+)`", section, re.M)
    ]
    for section in (ROOT / "docs" / "walks.md").read_text().split("\n## ")[1:]
}


def floor(path: str) -> int:
    (found,) = (FLOORS.index(name) for name in FLOORS if path.startswith(f"{name}/"))
    return found


def goes_one_way(paths: list[str]) -> bool:
    floors = [floor(path) for path in paths]
    return floors in (sorted(floors), sorted(floors, reverse=True))


def test_there_are_three() -> None:
    assert len(WALKS) == 3


@pytest.mark.parametrize("walk", list(WALKS))
def test_every_hop_is_there(walk: str) -> None:
    hops = WALKS[walk]
    assert [number for number, _, _ in hops] == list(range(1, len(hops) + 1))
    for _, path, name in hops:
        tree = ast.parse((ROOT / path).read_text())
        functions = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        assert name in functions, f"{path} has no {name}"
    assert goes_one_way([path for _, path, _ in hops])


def test_other_files_that_are_named_are_there() -> None:
    for path in re.findall(r"`([\w/]+/[\w.]+)`", (ROOT / "docs" / "walks.md").read_text()):
        assert (ROOT / path).exists(), path


def test_the_check_sees_a_walk_up_and_down() -> None:
    up_and_down = ["pipeline/data/panel.py", "pipeline/serving/day.py", "pipeline/runs/run.py"]
    assert not goes_one_way(up_and_down)
    assert goes_one_way(up_and_down[:2])
    assert goes_one_way(up_and_down[1:])
