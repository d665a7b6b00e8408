"""What plots and the report read of a compared sweep, and what its methods are called."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from envs.errors import ConfigError, DataError
from envs.metrics import COST, METRICS, Metric, metric_names
from pipeline.baselines.base import BASELINES, PER_CLASS
from pipeline.baselines.rules import HINDSIGHT
from pipeline.comparison.columns import BASELINE, COLUMNS, ends
from pipeline.data.schema import SALES_CLASSES, Manifest
from pipeline.evaluation.intervals import Interval
from pipeline.policies.action_models import ACTION_MODELS
from pipeline.runs.config import RunConfig
from pipeline.runs.method import Method, TrialKey
from pipeline.runs.result import RunResult
from pipeline.runs.sweep import Sweep, read_sweep

MODELS = tuple(ACTION_MODELS)
ALL_CLASSES = "all"


def display_name(algorithm: str, action_model: str = BASELINE) -> str:
    """``DDPG BOTH`` or ``Forecast + safety stock``."""
    if action_model != BASELINE:
        return Method.of(algorithm, action_model).label
    if algorithm == HINDSIGHT.name:
        return HINDSIGHT.title
    if algorithm in BASELINES:
        return BASELINES.find(algorithm).title
    return algorithm.replace("_", " ").capitalize()  # of another version


def row_names(table: pd.DataFrame) -> list[str]:
    """Each row's name in ``evaluation/``: ``ddpg-both``, or the baseline's."""
    return [
        algorithm if model == BASELINE else Method.of(algorithm, model)
        for algorithm, model in zip(table["algorithm"], table["action_model"], strict=True)
    ]


@dataclass(frozen=True)
class Trial:
    """A trial that has ended."""

    key: str
    method: Method
    configuration: int
    seed: int
    result: RunResult

    @property
    def cost(self) -> float:
        """Validation cost of its model, money per inventory and day; NaN if the trial failed."""
        if self.result.failed:
            return math.nan
        return self.result.validation.get("cost", math.nan)


@dataclass(frozen=True)
class SweepResults:
    """A compared sweep."""

    sweep: Sweep
    runs: Mapping[str, RunConfig]
    """Trial key -> what was trained."""
    table: pd.DataFrame
    """``comparison.csv``, with a column ``name``."""
    trials: tuple[Trial, ...]
    rows: pd.DataFrame
    """One row per inventory and one column of costs per method (mean over its seeds) and
    baseline; in front of them ``sales_class``, ``lead_time`` and ``review_period``. Empty
    without evaluations."""
    manifest: Manifest | None
    """None if the data set is no longer where the sweep found it."""

    @property
    def methods(self) -> pd.DataFrame:
        """The table's learned methods."""
        return self.table[self.table["action_model"] != BASELINE]

    @property
    def baselines(self) -> pd.DataFrame:
        """The table's baselines that have figures."""
        return self.table[(self.table["action_model"] == BASELINE) & self.table["cost"].notna()]

    @property
    def best(self) -> pd.Series | None:
        """Row of the learned method that is best on test days; None if all failed."""
        done = self.methods.dropna(subset=["cost"])
        return None if done.empty else done.iloc[int(np.argmin([*map(self.rank, done.index)]))]

    @property
    def judged(self) -> Metric:
        """What words compare by: the objective's metric; the cost, where that is no metric of the
        table's (:attr:`judged_by` says what it is)."""
        own = self.sweep.objective.metric
        return next((metric for metric in METRICS if metric.name == own), COST)

    @property
    def judged_by(self) -> str:
        """What methods are chosen by, for people."""
        own = self.sweep.objective.metric
        return self.judged.words.name if self.judged.name == own else own

    @property
    def by_cost(self) -> bool:
        """Methods are chosen by their cost."""
        return self.sweep.objective.metric == COST.name

    def rank(self, index: Any) -> float:
        """What the sweep's objective makes of the table's row of that label; less is better."""
        objective, row = self.sweep.objective, self.table.loc[index]
        return objective.signed(
            objective.figure({name: float(row[name]) for name in metric_names()})
        )

    def baseline_cost(self, name: str) -> float:
        """A baseline's cost; NaN if the table lacks it."""
        found = self.table.loc[self.table["name"] == name, "cost"]
        return math.nan if found.empty else float(found.iloc[0])

    def baseline(self) -> pd.Series | None:
        """Row of the class-tuned order-up-to, which headlines compare with."""
        found = self.table[(self.table["name"] == PER_CLASS) & self.table["cost"].notna()]
        return None if found.empty else found.iloc[0]

    @staticmethod
    def figure(row: pd.Series, name: str) -> Interval:
        """A figure of the table with its interval (``cost_pct_vs_best`` and the like)."""
        return Interval(*(float(row[column]) for column in (name, *ends(name).values())))

    def history(self, key: str) -> pd.DataFrame:
        """``iteration``, ``seconds`` and validation metrics of a trial, finite costs only.

        A trial that was resumed has validated some iterations twice: the later one counts.
        """
        path = self.sweep.trial(key) / "history.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        history = pd.DataFrame(
            [json.loads(line) for line in lines], columns=["iteration", "seconds", "cost"]
        ).astype(float)
        history = history.drop_duplicates("iteration", keep="last").sort_values("iteration")
        return history[np.isfinite(history["cost"])].reset_index(drop=True)

    def class_costs(self) -> pd.DataFrame:
        """[methods and baselines x sales classes] mean cost; a last column over all classes."""
        names = [name for name in self.table["name"] if name in self.rows]
        if not names:
            return pd.DataFrame()
        costs = self.rows.groupby("sales_class")[names].mean().T
        order = [c for c in SALES_CLASSES if c in costs] + [
            c for c in costs if c not in SALES_CLASSES
        ]
        costs = costs[order]
        costs[ALL_CLASSES] = self.rows[names].mean()
        return costs

    @classmethod
    def read(cls, directory: Path) -> SweepResults:
        """Reads a sweep's folder.

        Raises:
            ConfigError: The sweep is not finished, or not compared yet.
        """
        sweep = read_sweep(directory)
        path = directory / "comparison.csv"
        if not path.exists():
            raise ConfigError(
                "sweep", str(directory),
                f"Run `python -m pipeline compare {directory}` first.",
                "has not been compared (it holds no comparison.csv)",
            )  # fmt: skip
        table = pd.read_csv(path)
        if missing := sorted(set(COLUMNS) - set(table)):
            raise ConfigError(
                "sweep", str(directory),
                f"Run `python -m pipeline compare {directory}` again.",
                f"was compared by another version (its comparison.csv lacks {missing[0]})",
            )  # fmt: skip
        table["name"] = row_names(table)
        return cls(
            sweep,
            sweep.trials(),
            table,
            tuple(_trials(sweep)),
            _rows(sweep, list(table["name"])),
            _manifest(sweep),
        )


def _trials(sweep: Sweep) -> list[Trial]:
    trials = []
    for folder in sorted((sweep.trained_in / "trials").glob("*")):
        key, result = TrialKey.find(folder.name), RunResult.read(folder)
        if key and result and key.method in sweep.selected:
            trials.append(Trial(folder.name, *key, result))
    return trials


def _rows(sweep: Sweep, names: list[str]) -> pd.DataFrame:
    """Every evaluation has the same inventories in the same order."""
    rows = pd.DataFrame()
    for name in names:
        others = sweep.seeds(Method(name))[1:] if name in sweep.selected else []
        paths = [sweep.directory / "evaluation" / f"{seed}.parquet" for seed in (name, *others)]
        if not all(path.exists() for path in paths):
            continue
        if rows.empty:
            rows = pd.read_parquet(paths[0], columns=["sales_class", "lead_time", "review_period"])
        costs = [pd.read_parquet(path, columns=["cost"])["cost"].astype(float) for path in paths]
        rows[name] = np.mean(costs, axis=0)
    return rows


def _manifest(sweep: Sweep) -> Manifest | None:
    try:
        return Manifest.read(Path(sweep.preset["data_directory"]))
    except DataError:
        return None


def searched(sweep: Sweep, algorithm: str) -> dict[str, str]:
    """Hyperparameters that the sweep searched for an algorithm, with their ranges in words."""
    plan = sweep.preset.get("algorithms", {}).get(algorithm, {})
    ranges = {}
    for name, dimension in plan.get("search", {}).items():
        (shape, ends), *_ = dimension.items()
        if shape == "choice":
            ranges[name] = " or ".join(number(end) for end in ends)
        else:
            scale = ", log scale" if shape == "loguniform" else ""
            ranges[name] = f"{number(ends[0])} to {number(ends[-1])}{scale}"
    return ranges


def rounded(value: float) -> str:
    """Three significant digits, no exponent: 0.979, 3.30, 146, 1,234; a dash for NaN."""
    if not math.isfinite(value):
        return "–"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:#.3g}" if abs(value) >= 1e-3 or value == 0 else f"{value:.2e}"


def number(value: object) -> str:
    """A hyperparameter's value in few characters."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return yaml.safe_dump(value, default_flow_style=True).removesuffix("...\n").strip()
    return f"{value:.3g}" if isinstance(value, float) else str(value)
