"""Plays a run's policy on given trajectories: ``evaluate --data settingK:FILE.csv``."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd

from envs.errors import ConfigError
from envs.problems.settings import SettingName
from envs.state import Scenario
from pipeline.evaluation.play import evaluate_scenario, play_policy
from pipeline.policies.networks import PolicyNetwork
from pipeline.policies.store import load_model
from pipeline.scenarios.start import empty_start
from pipeline.scenarios.trajectories import read_trajectories, trajectories_of


def play(policy: PolicyNetwork, scenario: Scenario) -> pd.DataFrame:
    """One row of metrics per trajectory, of :func:`~pipeline.evaluation.play.evaluate_scenario`."""
    return evaluate_scenario(scenario, play_policy(policy.decide), empty_start(scenario))


def play_file(run: Path, setting: SettingName, file: Path) -> pd.DataFrame:
    """Plays a run's model on a CSV of trajectories.

    Args:
        run: Folder of a run that was trained in the study (or on a problem of its layout).
        setting: Whose problem and feature.
        file: See :func:`~pipeline.scenarios.trajectories.read_trajectories`.

    Returns:
        One row per trajectory: ``trajectory`` (its name) and the metrics.

    Raises:
        DataError: There is no model, or the file is wrong.
        ConfigError: The model sees other features than the study's.
    """
    trajectories = read_trajectories(file)
    policy = load_model(run / "model").policy
    scenario = trajectories_of(setting, trajectories.demand)
    if policy.layout != scenario.layout:
        raise ConfigError(
            "run", str(run), "Name a run that was trained on a setting of the study.",
            f"holds a policy for other observations ({policy.layout}, not {scenario.layout})",
        )  # fmt: skip
    rows = play(policy, scenario)
    rows.insert(0, "trajectory", trajectories.names)
    return rows


def mean_cost_in_words(rows: pd.DataFrame) -> str:
    """Mean over trajectories, and how sure it is."""
    cost = rows["cost"]
    error = float(cost.std(ddof=1)) / math.sqrt(len(cost)) if len(cost) > 1 else math.nan
    return f"mean cost {float(cost.mean()):.4f} per day, standard error {error:.4f}"
