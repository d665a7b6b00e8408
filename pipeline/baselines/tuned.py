"""The baselines of a data set, tuned on training inventories and judged on validation.

They compete there as methods do: whoever is best makes the orders. ``baselines.json`` in
the folder of a run or sweep keeps what was tuned, so that it is done once.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from envs.errors import DataError
from envs.objective import DEFAULT_OBJECTIVE, Objective, objective_of
from envs.state import ObservationLayout
from pipeline.baselines.classes import Classes
from pipeline.baselines.per_class import OrderUpToPerClass
from pipeline.baselines.rules import BaseStockPerClass, ForecastSafetyStock, perfect_hindsight
from pipeline.evaluation.play import PolicyFor, evaluate_scenario, play_policy, summarize
from pipeline.policies.order_up_to import ForecastErrorRule
from pipeline.runs.sweep import Sweep
from pipeline.scenarios.source import DatasetSource
from pipeline.tools.files import write_json
from pipeline.tools.progress import Progress

FILE = "baselines.json"
PER_CLASS, SAFETY_STOCK = "order_up_to_per_class", "forecast_safety_stock"
BASE_STOCK, HINDSIGHT = "base_stock_per_class", "perfect_hindsight"
PROSE = {
    PER_CLASS: "class-tuned order-up-to",
    SAFETY_STOCK: "forecast + safety stock",
    BASE_STOCK: "base stock per class",
}
"""What they are called within a sentence."""
RULES = (PER_CLASS, SAFETY_STOCK)
"""Those that decide on an observation alone, and can order for a day."""


@dataclass(frozen=True)
class TunedBaselines:
    """What was tuned, and how it does on validation inventories."""

    per_class: OrderUpToPerClass
    safety_stock: ForecastSafetyStock
    base_stock: BaseStockPerClass
    validation: Mapping[str, Mapping[str, float]]
    """Baseline -> its metrics; the one that knows all demand is not among them."""
    layout: ObservationLayout
    """Of the observations that they were tuned on."""
    objective: Objective
    """What they were tuned for."""

    def rule(self, name: str) -> ForecastErrorRule:
        """One of :data:`RULES`."""
        return {PER_CLASS: self.per_class, SAFETY_STOCK: self.safety_stock}[name]

    def policies(self) -> dict[str, tuple[PolicyFor, str]]:
        """Every baseline's policy, and what tells it from another tuning of it; for test days."""
        return {
            PER_CLASS: (play_policy(self.per_class), repr(self.per_class)),
            SAFETY_STOCK: (play_policy(self.safety_stock), repr(self.safety_stock)),
            BASE_STOCK: (self.base_stock.policy_for, repr(self.base_stock)),
            HINDSIGHT: (perfect_hindsight, ""),
        }

    def figure(self, name: str) -> float:
        """The objective's figure of a baseline on validation."""
        return self.validation[name][self.objective.metric]

    def best_rule(self) -> tuple[str, float]:
        """The best of :data:`RULES` on validation, and the objective's figure."""
        best = min(RULES, key=lambda name: self.objective.signed(self.figure(name)))
        return best, self.figure(best)

    def version(self, name: str) -> str:
        """Names a tuning of one of :data:`RULES` in the orders it makes."""
        return hashlib.sha256(repr(self.rule(name)).encode()).hexdigest()[:12]

    def lost_to(self, method: str, figure: float) -> str:
        """What to say of a model with that validation figure; nothing if it beats both rules."""
        signed = self.objective.signed
        lost = {
            PROSE[name]: f"{self.figure(name):.4g}"
            for name in RULES
            if not signed(figure) <= signed(self.figure(name))
        }
        if not lost:
            return ""
        return (
            f"{method} is worse than {' and '.join(lost)} on validation ({self.objective.metric} "
            f"{figure:.4g} against {' and '.join(lost.values())}): do not order with it."
        )


def lost_methods(sweep: Sweep, baselines: TunedBaselines) -> list[str]:
    """What :meth:`TunedBaselines.lost_to` says of the methods of a sweep."""
    said = (
        baselines.lost_to(method, choice.validation)
        for method, choice in sweep.selected.items()
        if choice.validation is not None
    )
    return [sentence for sentence in said if sentence]


def tuned_baselines(source: DatasetSource, directory: Path, objective: Objective) -> TunedBaselines:
    """The baselines of a run's or sweep's data: those kept in ``directory``, or tuned now."""
    mark = _mark(source)
    # One that is damaged, or of another version, is made again.
    with suppress(DataError):
        tuned_for, baselines = _read(directory)
        if tuned_for == mark and baselines.objective == objective:
            return baselines
    progress = Progress("tune baselines", 3, "baselines")
    tuned: dict[str, Any] = {}
    for name, kind in (
        (PER_CLASS, OrderUpToPerClass),
        (SAFETY_STOCK, ForecastSafetyStock),
        (BASE_STOCK, BaseStockPerClass),
    ):
        tuned[name] = kind.tune(source, objective)
        progress.add(1)
    content = {
        "data": mark,
        "objective": objective.written(),
        "layout": asdict(source.layout),
        "tuned": {name: asdict(baseline) for name, baseline in tuned.items()},
        "validation": {
            name: objective.judged(_validated(source, policy_for))
            for name, policy_for in (
                (PER_CLASS, play_policy(tuned[PER_CLASS])),
                (SAFETY_STOCK, play_policy(tuned[SAFETY_STOCK])),
                (BASE_STOCK, tuned[BASE_STOCK].policy_for),
            )
        },
    }
    write_json(directory / FILE, content, indent=1)
    return read_baselines(directory)


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
        tuned = content["tuned"]
        per_class = dict(tuned[PER_CLASS])
        return content["data"], TunedBaselines(
            OrderUpToPerClass(Classes(**per_class.pop("classes")), **per_class),
            ForecastSafetyStock(**tuned[SAFETY_STOCK]),
            BaseStockPerClass(**tuned[BASE_STOCK]),
            content["validation"],
            ObservationLayout(**content["layout"]),
            objective_of(content.get("objective", DEFAULT_OBJECTIVE)),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            "baselines", str(directory / FILE),
            f"Run `python -m pipeline compare {directory}` again.",
            f"holds no tuned baselines ({type(error).__name__})",
        ) from None  # fmt: skip


def _validated(source: DatasetSource, policy_for: PolicyFor) -> dict[str, float]:
    """As methods are validated: on all validation inventories, without their weights."""
    scenarios = (source.load("validation", t) for t in range(source.num_tiles("validation")))
    return summarize(pd.concat([evaluate_scenario(scenario, policy_for) for scenario in scenarios]))


def _mark(source: DatasetSource) -> str:
    content = [source.panel.manifest.model_dump_json(), json.dumps(asdict(source.factors))]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]
