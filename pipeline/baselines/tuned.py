"""The baselines of a data set, tuned on training inventories and judged on validation.

They compete there as methods do: whoever is best makes the orders. ``baselines.json`` in
the folder of a run or sweep keeps what was tuned, so that it is done once.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from envs.errors import ConfigError, DataError
from envs.metrics import listed
from envs.objective import DEFAULT_OBJECTIVE, Objective, objective_of
from envs.state import ObservationLayout
from pipeline.baselines.base import BASELINES, PER_CLASS, Baseline, DayRule
from pipeline.baselines.rules import HINDSIGHT
from pipeline.evaluation.play import PolicyFor, evaluate_scenario, summarize
from pipeline.runs.sweep import Sweep
from pipeline.scenarios.dataset import DatasetSource
from pipeline.tools.files import write_json
from pipeline.tools.progress import Progress
from pipeline.tools.spread import spread

FILE = "baselines.json"
PLANNERS = (PER_CLASS, "forecast_safety_stock")
"""What a single run is compared with: rules that are tuned in less time than it takes to train."""


@dataclass(frozen=True)
class TunedBaselines(Mapping[str, Baseline]):
    """What was tuned, by name, and how it does on validation inventories."""

    tuned: Mapping[str, Baseline]
    validation: Mapping[str, Mapping[str, float]]
    """Baseline -> its metrics."""
    layout: ObservationLayout
    """Of the observations that they were tuned on."""
    objective: Objective
    """What they were tuned for."""

    def __getitem__(self, name: str) -> Baseline:
        return self.tuned[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.tuned)

    def __len__(self) -> int:
        return len(self.tuned)

    @property
    def rules(self) -> dict[str, DayRule]:
        """Those that can make the orders of a day."""
        return {name: found for name, found in self.items() if isinstance(found, DayRule)}

    def policies(self) -> dict[str, tuple[PolicyFor, str]]:
        """What test days are played with, the bound last: policy, and what tells it from
        another tuning of it."""
        found = {name: (tuned.policy_for, tuned.version) for name, tuned in self.items()}
        return {**found, HINDSIGHT.name: (HINDSIGHT.policy_for, "")}

    def figure(self, name: str) -> float:
        """The objective's figure of a baseline on validation."""
        return self.validation[name][self.objective.metric]

    def best_rule(self) -> tuple[DayRule, float]:
        """The best of :attr:`rules` on validation, and the objective's figure."""
        best = min(self.rules.values(), key=lambda r: self.objective.signed(self.figure(r.name)))
        return best, self.figure(best.name)

    def lost_to(self, method: str, figure: float) -> str:
        """What to say of a model with that validation figure; nothing if it beats all rules."""
        signed = self.objective.signed
        lost = {
            rule.prose: f"{self.figure(name):.4g}"
            for name, rule in self.rules.items()
            if not signed(figure) <= signed(self.figure(name))
        }
        if not lost:
            return ""
        return (
            f"{method} is worse than {listed(list(lost))} on validation ({self.objective.metric} "
            f"{figure:.4g} against {listed(list(lost.values()))}): do not order with it."
        )


def lost_methods(sweep: Sweep, baselines: TunedBaselines) -> list[str]:
    """What :meth:`TunedBaselines.lost_to` says of the methods of a sweep."""
    said = (
        baselines.lost_to(method, choice.validation)
        for method, choice in sweep.selected.items()
        if choice.validation is not None
    )
    return [sentence for sentence in said if sentence]


def tuned_baselines(
    source: DatasetSource, directory: Path, objective: Objective, names: Sequence[str] = ()
) -> TunedBaselines:
    """The baselines of a run's or sweep's data: those kept in ``directory``, or tuned now.

    They are spread over the Ray cluster if there is one.

    Args:
        source: The data set.
        directory: Where they are kept.
        objective: What they are tuned for.
        names: Those that are needed; none: all that are registered.
    """
    mark, needed = mark_of(source), list(names or BASELINES)
    # Those that are damaged, or of another version, are made again.
    with suppress(DataError):
        tuned_for, kept = _read(directory)
        if (tuned_for, kept.objective) == (mark, objective) and set(needed) <= set(kept):
            return kept
    progress = Progress("tune baselines", len(needed), "baselines")
    found: dict[str, tuple[Baseline, dict[str, float]]] = {}
    for name, result in spread(_tuned, _Work(source, objective), needed):
        found[name] = result
        progress.add(1)
    content = {
        "data": mark,
        "objective": objective.written(),
        "layout": source.layout.widths,
        "tuned": {name: found[name][0].written() for name in needed},
        "validation": {name: found[name][1] for name in needed},
    }
    write_json(directory / FILE, content, indent=1)
    return read_baselines(directory)


class _Work(NamedTuple):
    source: DatasetSource
    objective: Objective


def _tuned(work: _Work, name: str) -> tuple[Baseline, dict[str, float]]:
    """A baseline, and its metrics on validation."""
    baseline = BASELINES.find(name).tune(work.source, work.objective)
    return baseline, work.objective.judged(_validated(work.source, baseline.policy_for))


def read_baselines(directory: Path) -> TunedBaselines:
    """What :func:`tuned_baselines` has written.

    Raises:
        DataError: It is not there, or cannot be read.
    """
    return _read(directory)[1]


def _read(directory: Path) -> tuple[str, TunedBaselines]:
    """Mark of the data that they were tuned on, and the baselines."""
    try:
        content = json.loads((directory / FILE).read_text())
        tuned = {
            name: BASELINES.find(name).of_written(written)
            for name, written in content["tuned"].items()
        }
        return content["data"], TunedBaselines(
            tuned,
            {name: content["validation"][name] for name in tuned},
            ObservationLayout(**content["layout"]),
            objective_of(content.get("objective", DEFAULT_OBJECTIVE)),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ConfigError) as error:
        raise DataError(
            "baselines", str(directory / FILE),
            f"Run `python -m pipeline compare {directory}` again.",
            f"holds no tuned baselines ({type(error).__name__})",
        ) from None  # fmt: skip


def _validated(source: DatasetSource, policy_for: PolicyFor) -> dict[str, float]:
    """As methods are validated: on all validation inventories, without their weights."""
    scenarios = (source.load("validation", t) for t in range(source.num_tiles("validation")))
    return summarize(pd.concat([evaluate_scenario(scenario, policy_for) for scenario in scenarios]))


def mark_of(source: DatasetSource) -> str:
    """Tells the data of a source, and its forecaster, from others."""
    content = [source.panel.manifest.model_dump_json(), json.dumps(asdict(source.factors))]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]
