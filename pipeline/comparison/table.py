"""``comparison.csv`` for people: the same rows, rounded, as HTML and as Markdown."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from pipeline.baselines.tuned import HINDSIGHT
from pipeline.comparison.columns import BASELINE, SHORT
from pipeline.comparison.pages import page
from pipeline.comparison.results import display_name, row_names
from pipeline.evaluation.play import METRICS
from pipeline.runs.method import REFERENCE

DASH = "–"
TITLE = "Methods compared on later days"


@dataclass(frozen=True)
class Column:
    """A column of the shown table."""

    title: str
    unit: str = ""
    meaning: str = ""
    """Shown when the pointer rests on the title."""


@dataclass(frozen=True)
class Cell:
    """A figure as it is shown."""

    text: str
    note: str = ""
    """Its interval."""
    sort: float | None = None
    best: bool = False


@dataclass(frozen=True)
class Row:
    """A method or baseline as it is shown."""

    name: str
    title: str
    kind: str
    """``method``, ``baseline`` or ``bound``."""
    cells: Sequence[Cell]
    failed: bool
    cause: str = ""
    best: bool = False
    """The learned method with the least cost."""


COLUMNS = (
    Column("Cost", "money per inventory and day", "Mean over inventories."),
    Column("vs order-up-to per class", "% of cost", "On the same inventories and days."),
    Column(f"vs {REFERENCE.label}", "% of cost", "On the same inventories and days."),
    Column("Stockout rate", "% of days", "Share of days that end without stock."),
    Column("Turnover time", "days", "All stock over all daily sales."),
    Column("Fill rate", "% of demand", "Share of demand that is served from stock."),
    Column(f"Stockout rate vs {REFERENCE.label}", "percentage points"),
    Column(f"Turnover time vs {REFERENCE.label}", "days"),
    Column(f"Fill rate vs {REFERENCE.label}", "percentage points"),
    Column("Without the plan", "% of cost", "On mornings that know no promotions, events or "
           "assortment ahead, against those that do; of at most 16 tiles."),
    Column("Intervals hold", "", "What would vary a figure, as far as the intervals know."),
    Column("Tried", "configurations", "Hyperparameter configurations tried."),
    Column("Seeds", "tested", "A row is the mean over them."),
    Column("Failed", "trials"),
    Column("Training", "time", "All of the method's trials together."),
)  # fmt: skip
METRIC_COLUMNS = 11
"""How many of the columns a method without a finished trial has no figures for."""
_LEAST = {"cost": True, "stockout_rate_pct": True, "turnover_days": True, "fill_rate_pct": False}
"""Metric -> less of it is better."""


def duration(seconds: float) -> str:
    """``42 s``, ``12 min``, ``3.5 h``."""
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    if seconds < 99.5 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:,.1f} h"


def decimals(values: pd.Series, digits: int = 4) -> int:
    """Decimals that show a column's typical magnitude with ``digits`` digits."""
    typical = values.astype(float).abs().median()
    if not typical > 0:
        return digits - 1
    return min(max(digits - 1 - math.floor(math.log10(typical)), 0), 8)


def shown_rows(table: pd.DataFrame, causes: Mapping[str, str] | None = None) -> list[Row]:
    """The rows of ``comparison.csv`` as they are shown.

    Args:
        table: As :func:`pipeline.comparison.compare.compare` makes it.
        causes: Method (``ddpg-both``) -> why it has no finished trial.
    """
    causes = causes or {}
    names = pd.Series(row_names(table), index=table.index)
    real = table[names != HINDSIGHT]
    ends = {m: real[m].min() if least else real[m].max() for m, least in _LEAST.items()}
    learned = table.loc[table["action_model"] != BASELINE, "cost"].dropna()
    best = learned.idxmin() if len(learned) else None
    places = decimals(table["cost"])
    rows = []
    for index, row in table.iterrows():
        name = names[index]
        kind = "method" if row["action_model"] != BASELINE else "baseline"
        rows.append(
            Row(
                name,
                display_name(row["algorithm"], row["action_model"]),
                "bound" if name == HINDSIGHT else kind,
                _cells(
                    row, places, kind, {m: name != HINDSIGHT and row[m] == ends[m] for m in ends}
                ),
                failed=bool(pd.isna(row["cost"])),
                cause=causes.get(name, ""),
                best=index == best,
            )
        )
    return rows


def _cells(row: pd.Series, places: int, kind: str, best: Mapping[str, bool]) -> list[Cell]:
    cells = [
        _with_interval(row, "cost", "ci", f".{places}f", best=best["cost"]),
        _with_interval(row, "cost_pct_vs_baseline", "cost_pct_vs_baseline_ci", "+.1f"),
        _with_interval(row, f"cost_pct_vs_{REFERENCE.in_columns}", "cost_pct_ci", "+.1f"),
    ]
    rates = METRICS[1:]
    cells += [_with_interval(row, m, f"{m}_ci", ".2f", best=best[m]) for m in rates]
    against = [f"{SHORT[metric]}_vs_{REFERENCE.in_columns}" for metric in rates]
    cells += [_with_interval(row, name, f"{name}_ci", "+.2f") for name in against]
    cells.append(_cell(row["cost_pct_without_plan"], "+.1f"))
    cells.append(Cell(DASH if pd.isna(row["interval_note"]) else str(row["interval_note"])))
    if kind != "method":
        return cells + [Cell(DASH)] * 4
    cells += [_cell(row[name], ".0f") for name in ("n_configs", "n_seeds", "n_failed")]
    return [*cells, Cell(duration(row["seconds"]), sort=float(row["seconds"]))]


def _with_interval(row: pd.Series, name: str, ci: str, form: str, *, best: bool = False) -> Cell:
    return _cell(row[name], form, _range(row[f"{ci}_low"], row[f"{ci}_high"], form), best)


def _figure(value: float, form: str) -> str:
    if float(f"{value:{form}}") == 0.0:  # neither +0.0 nor -0.0
        return f"{0.0:{form.removeprefix('+')}}"
    return f"{value:,{form}}" if not form.startswith("+") else f"{value:+,{form[1:]}}"


def _cell(value: float, form: str, note: str = "", best: bool = False) -> Cell:
    if pd.isna(value):
        return Cell(DASH)
    return Cell(_figure(value, form).replace("-", "−"), note, float(value), bool(best))


def _range(low: float, high: float, form: str) -> str:
    if pd.isna(low) or pd.isna(high) or low == high:
        return ""
    return f"{_figure(low, form)} to {_figure(high, form)}".replace("-", "−")


def comparison_html(table: pd.DataFrame, caption: str) -> str:
    """A small page with the table alone.

    Args:
        table: As :func:`pipeline.comparison.compare.compare` makes it.
        caption: What the figures are, in a sentence or two.
    """
    return page(
        "comparison.html.j2",
        title=TITLE,
        caption=caption,
        columns=COLUMNS,
        metric_columns=METRIC_COLUMNS,
        rows=shown_rows(table),
    )


def comparison_markdown(table: pd.DataFrame, caption: str) -> str:
    """The table in Markdown; the arguments are :func:`comparison_html`'s."""
    titles = ["Method", *(f"{c.title}, {c.unit}" if c.unit else c.title for c in COLUMNS)]
    lines = [
        f"# {TITLE}",
        "",
        caption,
        "",
        "| " + " | ".join(titles) + " |",
        "|---|" + "---:|" * len(COLUMNS),
    ]
    for row in shown_rows(table):
        title = row.title.replace("|", "\\|")
        cells = [_markdown(cell) for cell in row.cells]
        if row.failed:
            cells[0] = "failed"
        lines.append(f"| {f'**{title}**' if row.best else title} | " + " | ".join(cells) + " |")
    lines += [
        "",
        "Bold: the least figure of a column (of the fill rate: the greatest; perfect hindsight "
        "aside), the learned method with the least cost.",
    ]
    return "\n".join(lines) + "\n"


def _markdown(cell: Cell) -> str:
    text = f"**{cell.text}**" if cell.best else cell.text
    return f"{text} ({cell.note})" if cell.note else text


def comparison_text(table: pd.DataFrame) -> str:
    """The columns that fit a terminal, rounded."""
    shown = table[
        ["algorithm", "action_model", "stockout_rate_pct", "turnover_days", "fill_rate_pct", "cost",
         "ci_low", "ci_high", "cost_pct_vs_baseline", f"cost_pct_vs_{REFERENCE.in_columns}",
         "n_configs", "n_seeds", "n_failed", "seconds"]
    ]  # fmt: skip
    return str(shown.to_string(index=False, float_format=lambda value: f"{value:.4g}"))
