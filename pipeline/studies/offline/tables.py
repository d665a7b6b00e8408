"""How the study's tables are shown: their titles, columns, and numbers with intervals."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from pipeline.comparison.results import display_name
from pipeline.evaluation.intervals import Interval
from pipeline.runs.method import Method
from pipeline.studies.offline.measuring.play import read_interval
from pipeline.studies.offline.measuring.pooling import BEST


@dataclass(frozen=True)
class Column:
    """A column that is shown."""

    name: str
    title: str
    digits: int | None = None
    """None: text."""
    signed: bool = False

    def text(self, row: Mapping[str, object]) -> str:
        """A row's value, with its interval if the table has one."""
        value = row[self.name]
        if self.digits is None:
            return _name(str(value)) if self.name == "name" else str(value)
        if f"{self.name}_low" in row:
            return self._interval(read_interval(row, self.name))  # type: ignore[arg-type]
        return self._number(float(value))  # type: ignore[arg-type]

    def _interval(self, found: Interval) -> str:
        if math.isnan(found.value):
            return "–"
        if math.isnan(found.low):
            return self._number(found.value)
        value, low, high = map(self._number, found)
        return f"{value} [{low}, {high}]"

    def _number(self, value: float) -> str:
        if not math.isfinite(value):
            return "–"
        return f"{value:{'+' if self.signed else ''},.{self.digits}f}"


def _name(name: str) -> str:
    if name == BEST:
        return "best on validation"
    method = Method(name)
    return (
        display_name(method.algorithm, method.action_model)
        if method.action_model
        else (display_name(name))
    )


@dataclass(frozen=True)
class Shown:
    """A table for people."""

    title: str
    note: str
    columns: tuple[Column, ...]

    def cells(self, table: pd.DataFrame) -> list[list[str]]:
        """Rows of text; columns that the table lacks are left out."""
        shown = self.there(table)
        return [[column.text(row) for column in shown] for row in table.to_dict("records")]

    def there(self, table: pd.DataFrame) -> list[Column]:
        """The columns that the table has."""
        return [column for column in self.columns if column.name in table]

    def markdown(self, table: pd.DataFrame) -> str:
        """As Markdown."""
        titles = [column.title for column in self.there(table)]
        lines = [f"## {self.title}", "", self.note, "", "| " + " | ".join(titles) + " |"]
        lines.append("|---" * len(titles) + "|")
        lines += ["| " + " | ".join(cells) + " |" for cells in self.cells(table)]
        return "\n".join(lines) + "\n"


_NAME = Column("name", "Method")
_FIGURES = (
    Column("stockouts", "Stockout rate, % of days", 2),
    Column("turnover", "Turnover time, days", 2),
    Column("figure", "Objective", 4),
)
_RELATIVE = (
    Column("stockouts_pp", "Stockouts, pp", 2, signed=True),
    Column("turnover_days", "Turnover, days", 2, signed=True),
)
_SEEDS = Column("seeds", "Seeds", 0)
_INTERVALS = "In brackets: 95 % intervals over inventories, weeks and seeds."

SHOWN: Mapping[str, Shown] = {
    "published": Shown(
        "Relative to DDPG BOTH",
        "Later days; stockouts in percentage points and turnover in days relative to DDPG BOTH, "
        f"beside the published differences (of other data). {_INTERVALS}",
        (
            _NAME,
            _RELATIVE[0], Column("published_stockouts_pp", "published, pp", 2, signed=True),
            _RELATIVE[1], Column("published_turnover_days", "published, days", 2, signed=True),
            Column("figure_pct", "Objective above DDPG BOTH's, %", 2, signed=True),
            *_FIGURES, _SEEDS,
        ),
    ),
    "groups": Shown(
        "By sales class, category and lead time",
        "Stockouts and turnover relative to DDPG BOTH, cost relative to the order-up-to rule "
        f"tuned per class, within each group. {_INTERVALS}",
        (
            Column("by", "By"), Column("group", "Group"), Column("inventories", "Inventories", 0),
            _NAME, *_FIGURES[:2], Column("cost", "Cost", 4), *_RELATIVE,
            Column("cost_pct", "Cost above the baseline's, %", 2, signed=True),
        ),
    ),
    "alone": Shown(
        "One policy for the pool against one for each data set",
        "The objective on the later days of each data set, of the policy that was trained on the "
        f"pool and of the one that was trained on that set alone. {_INTERVALS}",
        (
            Column("data", "Data set"), _NAME, Column("own", "Its own policy", 4),
            Column("pooled", "The pool's policy", 4),
            Column("figure_pct", "The pool's above its own, %", 2, signed=True),
        ),
    ),
    "credit": Shown(
        "Credit by order, or at the end",
        "Relative: to the same algorithm's BOTH with the same credit; objective in percent above "
        f"that of the same method with governed credit. {_INTERVALS}",
        (
            Column("credit", "Credit"), _NAME, *_FIGURES, *_RELATIVE,
            Column("figure_pct", "Objective above governed, %", 2, signed=True), _SEEDS,
        ),
    ),
    "budget": Shown(
        "Cost against training time",
        "Each time tuned anew over 4 configurations. Relative: to the shortest training of the "
        f"same method. {_INTERVALS}",
        (
            _NAME, Column("budget", "Times"), Column("cpu_seconds", "CPU seconds a training", 0),
            *_FIGURES, Column("figure_pct", "Objective above the shortest's, %", 2, signed=True),
            _SEEDS,
        ),
    ),
    "conditioning": Shown(
        "One conditioned policy against a policy for each trade-off",
        "Stockouts count so many times; the conditioned policy is the same in all rows of a "
        f"method. The objective is that of the row's factor. {_INTERVALS}",
        (
            _NAME, Column("factor", "Factor", 2),
            Column("own_stockouts", "Its own: stockouts, %", 2),
            Column("own_turnover", "turnover, days", 2),
            Column("stockouts", "Conditioned: stockouts, %", 2),
            Column("turnover", "turnover, days", 2), *_RELATIVE,
            Column("figure_pct", "Objective above its own, %", 2, signed=True),
        ),
    ),
    "sensitivity": Shown(
        "Configurations against each other",
        "The objective on later days of all configurations, none stopped early, at a quarter of "
        "the iterations and one seed each.",
        (
            _NAME, Column("configurations", "Configurations", 0), Column("failed", "Failed", 0),
            Column("best", "Best", 4), Column("median", "Median", 4), Column("worst", "Worst", 4),
            Column("worst_pct", "Worst above best, %", 1),
            Column("spread_pct", "Spread (sd), %", 1),
            Column("chosen_pct", "Chosen on validation, above best, %", 1),
        ),
    ),
}  # fmt: skip
"""Table -> how it is shown, in the order of a piece's page."""
