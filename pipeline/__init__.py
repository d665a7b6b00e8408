"""From data to a decision: features, action models, algorithms, evaluation, comparison.

In a notebook (see docs/python-api.md)::

    data = pipeline.import_frame(sales, "data/mine", columns={"sku": "item"})
    run = pipeline.train(data, "runs/one", algorithm="ds", action_model="base")
    table = pipeline.compare_runs([run], data)
    orders = pipeline.decide(run, pipeline.snapshot(data, stock=stock)).frame()

Each is the function that the command line calls, imported when it is first asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.comparison.compare import compare, compare_runs
    from pipeline.comparison.report import write_report
    from pipeline.data.importing.long.frame import import_frame
    from pipeline.data.panel import Panel
    from pipeline.data.terms import SupplyTerms
    from pipeline.evaluation.play import summarize
    from pipeline.runs.run import Run
    from pipeline.serving.day import decide, snapshot
    from pipeline.training.session import evaluate_run, train

__all__ = [
    "Panel",
    "Run",
    "SupplyTerms",
    "compare",
    "compare_runs",
    "decide",
    "evaluate_run",
    "import_frame",
    "snapshot",
    "summarize",
    "train",
    "write_report",
]

_HOMES = {
    "Panel": "pipeline.data.panel",
    "Run": "pipeline.runs.run",
    "SupplyTerms": "pipeline.data.terms",
    "compare": "pipeline.comparison.compare",
    "compare_runs": "pipeline.comparison.compare",
    "decide": "pipeline.serving.day",
    "evaluate_run": "pipeline.training.session",
    "import_frame": "pipeline.data.importing.long.frame",
    "snapshot": "pipeline.serving.day",
    "summarize": "pipeline.evaluation.play",
    "train": "pipeline.training.session",
    "write_report": "pipeline.comparison.report",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from pipeline.tools.environment import prepare

    prepare()  # before anything imports Ray
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
