"""A trial's name and its parts."""

from __future__ import annotations

import pytest

from pipeline.runs.config import AlgorithmName
from pipeline.policies.action_models import ACTION_MODELS
from pipeline.runs.trial_key import TrialKey


@pytest.mark.parametrize("algorithm", AlgorithmName)
@pytest.mark.parametrize("model", list(ACTION_MODELS))
def test_a_name_is_read_as_it_was_made(algorithm: AlgorithmName, model: str) -> None:
    """``ppo-coeff`` holds a ``-c`` of its own."""
    key = TrialKey(f"{algorithm}-{model}", 7, 12)
    assert str(key) == f"{algorithm}-{model}-c07-s12"
    assert TrialKey.parse(str(key)) == key
    assert key.configured == f"{algorithm}-{model}-c07"
