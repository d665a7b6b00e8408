"""The measured tables of a study, read for figures, claims and the report."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from envs.errors import ConfigError
from pipeline.evaluation.intervals import mean_interval
from pipeline.runs.method import Method
from pipeline.runs.status import FAILURES
from pipeline.studies.synthetic.folder import StudyFolder

SETTING_NAMES = {
    "setting1": "1 INDEP, 10 trajectories",
    "setting2": "2 AR(1), 10 trajectories",
    "setting3": "3 AR(1), 5 trajectories",
    "setting4": "4 IID",
}
ALGORITHMS = ("ddpg", "ppo", "ds")
MODELS = ("none", "base")


@dataclass(frozen=True)
class StudyResults:
    """Tables with the columns of :mod:`pipeline.studies.synthetic.measuring.measure`."""

    folder: StudyFolder
    plan: dict[str, Any]
    references: pd.DataFrame
    trials: pd.DataFrame
    horizon: pd.DataFrame
    growth: pd.DataFrame
    critic: pd.DataFrame
    q_error: pd.DataFrame
    outputs: pd.DataFrame

    @classmethod
    def read(cls, directory: Path) -> StudyResults:
        """Reads ``STUDY/measured``.

        Raises:
            ConfigError: The folder holds no measured study.
        """
        folder = StudyFolder(directory)
        tables = {}
        for name in ("references", "trials", "horizon", "growth", "critic", "q_error", "outputs"):
            path = folder.measured / f"{name}.csv"
            if not path.exists():
                raise ConfigError(
                    "study", str(directory), "Let `make study` run to its end first.",
                    f"was not measured ({path.name} is missing)",
                )  # fmt: skip
            try:
                tables[name] = pd.read_csv(path)
            except pd.errors.EmptyDataError:  # that part was not asked for
                tables[name] = pd.DataFrame()
        return cls(folder, folder.plan(), **tables)

    @property
    def settings(self) -> list[str]:
        """Tuned settings."""
        return list(dict.fromkeys(self.trials["setting"]))

    def reference(self, setting: str) -> float:
        """Mean test cost of a setting's reference policy; NaN without one."""
        name = "setting2" if setting == "setting3" else setting
        found = self.references[self.references["setting"].isin([setting, name])]
        return float(found["cost"].iloc[0]) if len(found) else float("nan")

    def final(self, setting: str, method: str, column: str = "gap_pct") -> list[float]:
        """A figure of all seeds of the selected configuration."""
        rows = self.trials[
            (self.trials["setting"] == setting)
            & (self.trials["method"] == method)
            & self.trials["final"]
            & (self.trials["status"] == "finished")
        ]
        return [float(value) for value in rows[column]]

    def table(self) -> pd.DataFrame:
        """One row per setting and method: the selected run, and all seeds of its configuration.

        ``test`` is the cost of the median-seed model with its standard error over test
        trajectories; ``seeds_*`` are mean and 95 % interval over seeds.
        """
        rows = [
            self._row(setting, algorithm, model)
            for setting in self.settings
            for algorithm in ALGORITHMS
            for model in MODELS
        ]
        return pd.DataFrame([row for row in rows if row])

    def _row(self, setting: str, algorithm: str, model: str) -> dict[str, Any]:
        method = Method.of(algorithm, model)
        own = self.trials[(self.trials["setting"] == setting) & (self.trials["method"] == method)]
        if own.empty:
            return {}
        chosen = own[own["selected"]]
        row: dict[str, Any] = {
            "setting": setting, "algorithm": algorithm, "action_model": model,
            "method": method, "name": method.label,
            "n_configs": own["configuration"].nunique(),
            "n_failed": int(own["status"].isin(FAILURES).sum()),
            "seconds": float(own["seconds"].sum()),
        }  # fmt: skip
        costs = mean_interval(self.final(setting, method, "test"))
        gaps = mean_interval(self.final(setting, method))
        row |= {
            "validation": mean_interval(self.final(setting, method, "validation")).value,
            "test": float(chosen["test"].iloc[0]) if len(chosen) else float("nan"),
            "test_error": float(chosen["test_error"].iloc[0]) if len(chosen) else float("nan"),
            "gap_pct": float(chosen["gap_pct"].iloc[0]) if len(chosen) else float("nan"),
            "n_seeds": len(self.final(setting, method)),
            "seeds_test": costs.value, "seeds_low": costs.low, "seeds_high": costs.high,
            "seeds_gap_pct": gaps.value, "seeds_gap_low": gaps.low, "seeds_gap_high": gaps.high,
        }  # fmt: skip
        return row
