"""Names of methods and trials: made and read in one place."""

from __future__ import annotations

import ast
import json
import pickle
import re
from pathlib import Path

import pytest

from pipeline.policies.action_models import ACTION_MODELS
from pipeline.runs.config import RunConfig
from pipeline.runs.method import REFERENCE, AlgorithmName, Method, TrialKey

ROOT = Path(__file__).resolve().parents[3]
HOME = "pipeline/runs/method.py"


@pytest.mark.parametrize("algorithm", AlgorithmName)
@pytest.mark.parametrize("model", list(ACTION_MODELS))
def test_a_name_is_read_as_it_was_made(algorithm: AlgorithmName, model: str) -> None:
    """``ppo-coeff`` holds a ``-c`` of its own."""
    method = Method.of(algorithm, model)
    assert (
        method
        == f"{algorithm}-{model}"
        == RunConfig(algorithm=algorithm, action_model=model).method
    )
    assert (method.algorithm, method.action_model) == (algorithm, model)
    key = TrialKey(method, 7, 12)
    assert str(key) == f"{algorithm}-{model}-c07-s12"
    assert TrialKey.parse(str(key)) == key
    assert TrialKey.parse(str(key)).method.action_model == model
    assert key.configured == f"{algorithm}-{model}-c07"
    assert key.within_method == "c07-s12"


@pytest.mark.parametrize("model", ["house.models:Capped", "base-c2", "pil-s3"])
def test_an_action_model_from_outside_may_be_called_anything(model: str) -> None:
    key = TrialKey(Method.of("ddpg", model), 3, 1)
    found = TrialKey.parse(str(key))
    assert found == key
    assert (found.method.algorithm, found.method.action_model) == ("ddpg", model)


@pytest.mark.parametrize("text", ["ddpg-both", "ddpg-both-c01", "c01-s0", "ddpg-c01-s0", ".tmp"])
def test_another_name_is_no_trial(text: str) -> None:
    assert TrialKey.find(text) is None


def test_a_method_is_a_name_wherever_one_is_asked_for() -> None:
    assert json.loads(json.dumps({REFERENCE: 1})) == {"ddpg-both": 1}
    assert {REFERENCE: 1}["ddpg-both"] == 1
    again = pickle.loads(pickle.dumps(REFERENCE))
    assert (again, again.label) == ("ddpg-both", "DDPG BOTH")


MAKES = re.compile(
    r"\{(algorithm|a)\}-|(ddpg|ppo|ds)-\{|\}-(none|base|coeff|both)\b|\{algorithm\} \{|-c\{"
)
TAKES_APART = re.compile(
    r"(method|name|key)\w*\.r?(split|partition)\('-[cs]?'|removeprefix\(f'\{[^}]*method"
)


def skeleton(text: ast.JoinedStr) -> str:
    """An f-string with the last name of each of its parts: ``{algorithm}-{action_model}``."""
    return "".join(
        str(part.value) if isinstance(part, ast.Constant)
        else "{" + (re.findall(r"\w+", ast.unparse(part.value)) or [""])[-1] + "}"
        for part in text.values
    )  # fmt: skip


def goes_round(source: str) -> list[str]:
    """Statements that make or take apart a method's or a trial's name by themselves."""
    nodes = list(ast.walk(ast.parse(source)))
    made = [skeleton(node) for node in nodes if isinstance(node, ast.JoinedStr)]
    calls = [ast.unparse(node) for node in nodes if isinstance(node, ast.Call)]
    return [t for t in made if MAKES.search(t)] + [t for t in calls if TAKES_APART.search(t)]


def test_nobody_goes_round_it() -> None:
    files = [path for package in ("pipeline", "tuning")
             for path in sorted((ROOT / package).rglob("*.py"))]  # fmt: skip
    found = {
        name: statements
        for path in files
        if (name := str(path.relative_to(ROOT))) != HOME
        if (statements := goes_round(path.read_text()))
    }
    assert found == {}


def test_the_reference_is_named_once() -> None:
    spelled = [
        str(path.relative_to(ROOT))
        for package in ("envs", "pipeline", "tuning", "cluster")
        for path in sorted((ROOT / package).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and node.value in ("ddpg-both", "ddpg_both", "DDPG BOTH")
    ]
    assert spelled == [HOME]


@pytest.mark.parametrize(
    "line",
    [
        'f"{algorithm}-{model}"',
        '[f"{a}-{m}" for a in x for m in y]',
        "f\"{row['algorithm']}-{row['action_model']}\"",
        'f"{algorithm}-base"',
        'f"ds-{model}"',
        'f"{method}-c{number:02d}-s{seed}"',
        'method.split("-")',
        'name.partition("-")',
        'key.rpartition("-c")',
        'trial.key.removeprefix(f"{self.method}-")',
    ],
)
def test_the_check_sees_who_goes_round(line: str) -> None:
    assert goes_round(line)
