"""Rules at every trade-off: tuned anew for each factor on shortages, as a planner would.

A learned policy that is conditioned on the factor is compared with these: the best of their kind
at every point, not one tuning that is stretched.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from envs.errors import DataError
from envs.objective import Objective
from envs.rollout import Policy
from envs.state import Scenario
from pipeline.baselines.base import BASELINES, PER_CLASS, Baseline
from pipeline.baselines.tuned import mark_of
from pipeline.evaluation.frontier import FACTORS
from pipeline.evaluation.play import PolicyFor
from pipeline.scenarios.dataset import DatasetSource
from pipeline.scenarios.weighed import weighed
from pipeline.tools.files import write_json
from pipeline.tools.progress import Progress

FILE = "baselines_at_factors.json"


@dataclass(frozen=True)
class RuleCurve:
    """A baseline's tunings, by factor: an :class:`~pipeline.evaluation.frontier.Adjustable`."""

    tunings: Mapping[float, Baseline]

    @property
    def mark(self) -> str:
        """Tells it from others of its name."""
        return hashlib.sha256(repr(self.tunings).encode()).hexdigest()[:16]

    def at(self, factor: float) -> PolicyFor:
        """The tuning for a factor that it was tuned for."""
        rule = self.tunings[factor]

        def policy_for(scenario: Scenario) -> tuple[Scenario, Policy]:
            return rule.policy_for(weighed(scenario, factor))

        return policy_for


def rule_curves(
    source: DatasetSource,
    directory: Path,
    objective: Objective,
    names: Sequence[str] = (PER_CLASS,),
    factors: Sequence[float] = FACTORS,
) -> dict[str, RuleCurve]:
    """Baselines tuned for every factor on training inventories; :data:`FILE` keeps them.

    Args:
        source: The data set.
        directory: Where they are kept: those of other data, of another objective or other factors
            are made again.
        objective: What is minimised.
        names: Registered baselines.
        factors: On shortages.
    """
    mark = f"{mark_of(source)} {objective.written()} {list(factors)}"
    with suppress(DataError):
        kept = _read(directory / FILE, mark)
        if list(kept) == list(names):
            return kept
    progress = Progress("tune baselines at every trade-off", len(names), "baselines")
    curves = {}
    for name in names:
        tuned = BASELINES.find(name).tune_at(factors, source, objective)
        curves[name] = RuleCurve(dict(zip(factors, tuned, strict=True)))
        progress.add(1)
    content = {
        name: [[factor, rule.written()] for factor, rule in curve.tunings.items()]
        for name, curve in curves.items()
    }
    write_json(directory / FILE, {"mark": mark, "curves": content}, indent=1)
    return _read(directory / FILE, mark)


def _read(path: Path, mark: str) -> dict[str, RuleCurve]:
    try:
        content = json.loads(path.read_text())
        if content["mark"] != mark:
            raise ValueError("other data")
        return {
            name: RuleCurve(
                {factor: BASELINES.find(name).of_written(rule) for factor, rule in tunings}
            )
            for name, tunings in content["curves"].items()
        }
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            "baselines", str(path), "Compare the sweep again.",
            f"holds no tuned baselines ({type(error).__name__})",
        ) from None  # fmt: skip
