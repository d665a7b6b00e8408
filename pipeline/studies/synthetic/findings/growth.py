"""From how many training trajectories on DS costs less than the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.evaluation.intervals import Interval, mean_difference
from pipeline.runs.method import Method
from pipeline.studies.synthetic.results import MODELS, StudyResults


@dataclass(frozen=True)
class Overtaking:
    """DS against another algorithm with the same action model."""

    setting: str
    other: str
    cheaper: int | None
    """Trajectories from which on DS's mean test cost is the lower one; None if it is not."""
    clear: int | None
    """The same for the whole 95 % interval of the difference."""
    differences: str
    """DS minus the other by number of trajectories."""


def overtaking(results: StudyResults) -> list[Overtaking]:
    """One row per setting, action model and other algorithm; empty without that experiment."""
    table = results.growth
    if table.empty:
        return []
    costs = {key: list(rows["test"]) for key, rows in table.groupby(["setting", "method", "n"])}
    sizes = sorted(set(table["n"]))
    found = []
    for setting in dict.fromkeys(table["setting"]):
        for model in MODELS:
            for algorithm in ("ddpg", "ppo"):
                gaps = [
                    mean_difference(
                        costs.get((setting, Method.of("ds", model), n), []),
                        costs.get((setting, Method.of(algorithm, model), n), []),
                    )
                    for n in sizes
                ]
                found.append(
                    Overtaking(
                        setting,
                        Method.of(algorithm, model).label,
                        _from_on(sizes, [gap.value < 0 for gap in gaps]),
                        _from_on(sizes, [gap.high < 0 for gap in gaps]),
                        _listed(sizes, gaps),
                    )
                )
    return found


def _from_on(sizes: Sequence[int], lower: Sequence[bool]) -> int | None:
    first = None
    for n, is_lower in zip(sizes, lower, strict=True):
        first = (first or n) if is_lower else None
    return first


def _listed(sizes: Sequence[int], gaps: Sequence[Interval]) -> str:
    return "; ".join(f"{n}: {gap.text(2)}" for n, gap in zip(sizes, gaps, strict=True))
