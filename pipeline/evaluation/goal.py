"""Goals of operations: ``stockout<=3%``, met by turning a trade-off, not by training.

A goal bounds one metric. The factor on shortages that meets it at the least stock (or, where it
bounds the stock, with the best service) is found by bisection on validation inventories, for all
of them or for each sales class by itself; later days show what becomes of it.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from envs.errors import ConfigError
from envs.metrics import METRICS, STOCKOUT_RATE, Metric
from envs.objective import Objective
from envs.rollout import Policy
from pipeline.data.panel import RawTile
from pipeline.evaluation.play import evaluate_scenario, in_words, seen_policy, summarize
from pipeline.scenarios.dataset import DatasetSource
from pipeline.scenarios.source import Split

ALL = "all"
"""The group of goals for everything together."""
PER_CLASS = "per class"
MOST_TILES = 16
"""Some 30,000 inventories, which stay in memory."""
STEPS = 12
"""Halvings of the range of factors, of its logarithm."""
EXAMPLES = "stockout<=3%, fill>=98%, turnover<=20 days, stockout<=3% per class"
_GOAL = re.compile(
    r"\s*(?P<metric>[a-z]+)\s*(?P<sign><=|>=)\s*(?P<bound>\d+(\.\d+)?)\s*(?P<unit>%|days)?\s*"
    rf"(?P<classes>{PER_CLASS})?\s*"
)
_SIGNS = {"<=": operator.le, ">=": operator.ge}

Summary = Mapping[str, float]


@dataclass(frozen=True)
class Goal:
    """A bound on a metric."""

    metric: Metric
    sign: str
    """``<=`` or ``>=``."""
    bound: float
    per_class: bool = False

    @classmethod
    def parse(cls, text: str) -> Goal:
        """Reads ``stockout<=3%`` and the like.

        Raises:
            ConfigError: It is no goal.
        """
        found = _GOAL.fullmatch(text.lower())
        known = {metric.name.split("_")[0]: metric for metric in METRICS}
        if found is None or found["metric"] not in known:
            raise ConfigError("goal", text, f"Write one like {EXAMPLES}.", "is no goal")
        metric, unit = known[found["metric"]], found["unit"]
        if unit and unit != metric.words.suffix:
            raise ConfigError(
                "goal", text, f"Give {found['metric']} in {metric.words.suffix}.",
                f"is in {unit}",
            )  # fmt: skip
        if (found["sign"] == "<=") != metric.least_is_best:
            better = "<=" if metric.least_is_best else ">="
            raise ConfigError("goal", text, f"Write {better}.", "asks for what nobody wants")
        return cls(metric, found["sign"], float(found["bound"]), bool(found["classes"]))

    def __str__(self) -> str:
        text = f"{self.metric.name.split('_')[0]}{self.sign}{self.bound:g}"
        text += self.metric.words.suffix if self.metric.words.suffix == "%" else " days"
        return f"{text} {PER_CLASS}" if self.per_class else text

    def met_by(self, summary: Summary) -> bool:
        """Whether figures keep the bound."""
        return bool(_SIGNS[self.sign](summary[self.metric.name], self.bound))

    @property
    def by_service(self) -> bool:
        """More weight on shortages helps; a bound on stock or cost is kept with less of it."""
        return self.metric is STOCKOUT_RATE or not self.metric.least_is_best


@dataclass(frozen=True)
class Found:
    """The factor that meets a goal, and what it comes to."""

    factor: float
    figures: Summary


@dataclass(frozen=True)
class Met:
    """What became of a goal for a group of inventories."""

    group: str
    factor: float
    validation: Summary
    split: str
    later: Summary
    """On that split; empty where the group has no inventories there."""

    def __str__(self) -> str:
        """In words, for the terminal."""
        said = [f"{self.group}: shortages count {self.factor:.3g} times"]
        said.append(f"validation: {in_words(self.validation)}")
        if self.later:
            said.append(f"{self.split}: {in_words(self.later)}")
        return "\n  ".join(said)


def factor_of(group: str, factors: Mapping[str, float]) -> float:
    """A group's factor; one that validation did not have is served as the most careful one."""
    return factors.get(group, max(factors.values()))


def find_factors(
    goal: Goal,
    play: Callable[[Mapping[str, float]], Mapping[str, Summary]],
    groups: Sequence[str],
    span: tuple[float, float],
) -> dict[str, Found]:
    """The factor of each group that meets the goal with nothing to spare.

    All groups are played at once, each at a factor of its own.

    Args:
        goal: What to meet.
        play: Group -> factor, to group -> figures.
        groups: Their names.
        span: Least and largest factor that may be chosen.

    Raises:
        ConfigError: A group does not meet it at either end of ``span``.
    """
    low, high = (dict.fromkeys(groups, math.log(end)) for end in span)
    # Service is bought from the end at which it is best.
    safe, thrifty = (high, low) if goal.by_service else (low, high)
    best = play(_factors(safe))
    for group in groups:
        if not goal.met_by(best[group]):
            reached = best[group][goal.metric.name]
            raise ConfigError(
                "goal", str(goal) if group == ALL else f"{goal} ({group})",
                f"Ask for no better than {reached:.3g}, or train with a wider range of "
                "shortage_factors.", "is out of the policy's reach",
            )  # fmt: skip
    found = {group: Found(math.exp(safe[group]), best[group]) for group in groups}
    for _ in range(STEPS):
        middle = {group: (safe[group] + thrifty[group]) / 2 for group in groups}
        for group, figures in play(_factors(middle)).items():
            if goal.met_by(figures):
                safe[group] = middle[group]
                found[group] = Found(math.exp(middle[group]), figures)
            else:
                thrifty[group] = middle[group]
    return found


class Player:
    """Plays a policy on a split at a factor for each group; what :func:`find_factors` asks.

    Args:
        source: The data set.
        split: Whose inventories and days; of at most :data:`MOST_TILES` tiles, evenly spread.
        policy: Deterministic.
        objective: What it was trained for.
        per_class: Groups are the sales classes; else there is but one, :data:`ALL`.
    """

    def __init__(
        self,
        source: DatasetSource,
        split: Split,
        policy: Policy,
        objective: Objective,
        *,
        per_class: bool = False,
    ) -> None:
        tiles = source.num_tiles(split)
        self._tiles = [source.open(split, t) for t in range(0, tiles, -(-tiles // MOST_TILES))]
        self._policy, self._objective, self._per_class = policy, objective, per_class
        self.groups = list(dict.fromkeys(g for raw, _ in self._tiles for g in self._group(raw)))

    def _group(self, raw: RawTile) -> list[str]:
        if not self._per_class:
            return [ALL] * len(raw.inventory_id)
        classes: list[str] = np.asarray(raw.static["sales_class"]).astype(str).tolist()
        return classes

    def __call__(self, factors: Mapping[str, float]) -> dict[str, Summary]:
        """Group -> figures, at the factor of each group."""
        frames = []
        for raw, scenario in self._tiles:
            groups = self._group(raw)
            each = torch.tensor([factors[group] for group in groups])
            policy_for = seen_policy(self._policy, self._objective, each)
            rows = evaluate_scenario(scenario, policy_for)
            frames.append(rows.assign(weight=np.asarray(raw.static["weight"]), group=groups))
        return {g: summarize(own) for g, own in pd.concat(frames).groupby("group")}


def _factors(logarithms: Mapping[str, float]) -> dict[str, float]:
    return {group: math.exp(value) for group, value in logarithms.items()}
