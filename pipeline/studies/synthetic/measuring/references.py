"""The reference policy of each setting, on the same test trajectories as the methods.

setting 1     dynamic programming under the true law of demand
settings 2, 3 DS BASE trained on the test trajectories themselves
setting 4     order up to 100 + 1.282 sigma
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from envs.problems.settings import SETTING4_COST, SETTING4_MEAN, SETTING4_QUANTILE, feature_of
from envs.rollout import Decision, Policy
from envs.state import Observation, Scenario
from pipeline.evaluation.play import evaluate_scenario, play_policy
from pipeline.policies.order_up_to import order_up_to
from pipeline.policies.store import POLICY, load_model
from pipeline.scenarios.start import empty_start
from pipeline.scenarios.trajectories import unseen_scenario
from pipeline.studies.solvers import solve_setting1
from pipeline.studies.synthetic.folder import StudyFolder


def newsvendor_levels(observation: Observation) -> Decision:
    """Setting 4's best policy: order up to 100 + 1.282 sigma."""
    sigma = feature_of("setting4", observation.features[:, 0])
    return order_up_to(SETTING4_MEAN + SETTING4_QUANTILE * sigma, observation)


@dataclass(frozen=True)
class TestSet:
    """Test trajectories of a setting and what the reference policy costs on each."""

    __test__ = False  # not a test case

    setting: str
    scenario: Scenario
    reference: NDArray[np.float64]
    """[N] cost per day; NaN without a reference."""
    stamp: str
    """Names the trajectories and the reference."""


class References:
    """Test sets, made when asked for.

    Args:
        folder: The study.
        trajectories: Per setting.
        seed: Of the trajectories.
    """

    def __init__(self, folder: StudyFolder, trajectories: int, seed: int) -> None:
        self._folder, self._trajectories, self._seed = folder, trajectories, seed
        self._sets: dict[str, TestSet] = {}

    def of(self, setting: str) -> TestSet:
        """The test set of a setting."""
        if setting not in self._sets:
            scenario = unseen_scenario(setting, self._trajectories, self._seed)  # type: ignore[arg-type]
            policy = self._policy(setting)
            cost = np.full(scenario.num_inventories, np.nan)
            if policy is not None:
                rows = evaluate_scenario(scenario, play_policy(policy), empty_start(scenario))
                cost = rows["cost"].to_numpy(np.float64)
            stamp = f"{self._trajectories} of seed {self._seed}, reference {cost.mean():.8g}"
            self._sets[setting] = TestSet(setting, scenario, cost, stamp)
        return self._sets[setting]

    def _policy(self, setting: str) -> Policy | None:
        if setting == "setting1":
            return solve_setting1().policy
        if setting == "setting4":
            return newsvendor_levels
        for name in (setting, "setting2"):  # settings 2 and 3 share their test trajectories
            run = self._folder.trial("reference", name)
            if (run / "model" / POLICY).exists():
                return load_model(run / "model").policy.decide
        return None

    def table(self) -> pd.DataFrame:
        """One row per test set: ``setting``, ``reference``, ``cost``, ``error``, ``expected``."""
        names = {"setting1": "dynamic programming", "setting4": "100 + 1.282 sigma"}
        expected = {"setting1": solve_setting1().cost}
        if "setting4" in self._sets:
            sigma = feature_of("setting4", self._sets["setting4"].scenario.features.mean())
            expected["setting4"] = SETTING4_COST * float(sigma)
        return pd.DataFrame(
            [
                {
                    "setting": setting,
                    "reference": names.get(setting, "DS BASE trained on the test trajectories"),
                    "cost": test.reference.mean(),
                    "error": test.reference.std(ddof=1) / len(test.reference) ** 0.5,
                    "expected": expected.get(setting, np.nan),
                }
                for setting, test in self._sets.items()
            ]
        )
