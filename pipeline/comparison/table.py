"""``comparison.csv`` for people: the same rows, rounded, as HTML and as Markdown."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from envs.metrics import COST, METRICS, Metric, listed, service_metrics
from pipeline.baselines.rules import HINDSIGHT
from pipeline.comparison.columns import BASELINE, ends
from pipeline.comparison.pages import page
from pipeline.comparison.results import display_name, row_names
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


def _columns() -> list[Column]:
    same = "On the same inventories and days."
    against = f"vs {REFERENCE.label}"
    service = service_metrics()
    return [
        _of(COST),
        Column("vs order-up-to per class", COST.words.difference, same),
        Column(against, COST.words.difference, same),
        *(_of(metric) for metric in service),
        *(Column(f"{m.words.title} {against}", m.words.difference) for m in service),
        Column("Without the plan", COST.words.difference, "On mornings that know no promotions, "
               "events or assortment ahead, against those that do; of at most 16 tiles."),
        Column("Intervals hold", "", "What would vary a figure, as far as the intervals know."),
        Column("Tried", "configurations", "Hyperparameter configurations tried."),
        Column("Seeds", "tested", "A row is the mean over them."),
        Column("Failed", "trials"),
        Column("Training", "time", "All of the method's trials together."),
    ]  # fmt: skip


def _of(metric: Metric) -> Column:
    return Column(metric.words.title, metric.words.unit, metric.words.meaning)


COLUMNS = _columns()
METRIC_COLUMNS = [column.title for column in COLUMNS].index("Tried")
"""How many of the columns a method without a finished trial has no figures for."""


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
    real = table[names != HINDSIGHT.name]
    best_of = {
        m.name: real[m.name].min() if m.least_is_best else real[m.name].max() for m in METRICS
    }
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
                "bound" if name == HINDSIGHT.name else kind,
                _cells(
                    row,
                    places,
                    kind,
                    {m: name != HINDSIGHT.name and row[m] == best_of[m] for m in best_of},
                ),
                failed=bool(pd.isna(row["cost"])),
                cause=causes.get(name, ""),
                best=index == best,
            )
        )
    return rows


def _cells(row: pd.Series, places: int, kind: str, best: Mapping[str, bool]) -> list[Cell]:
    def figure(stem: str, form: str) -> Cell:
        low, high = ends(stem).values()
        return _cell(row[stem], form, _range(row[low], row[high], form), best.get(stem, False))

    against, service = f"vs_{REFERENCE.in_columns}", service_metrics()
    cells = [
        figure(COST.name, f".{places}f"),
        figure(f"{COST.stem}_vs_baseline", "+.1f"),
        figure(f"{COST.stem}_{against}", "+.1f"),
        *(figure(metric.name, metric.words.form) for metric in service),
        *(figure(f"{metric.stem}_{against}", "+" + metric.words.form) for metric in service),
        _cell(row[f"{COST.stem}_without_plan"], "+.1f"),
        Cell(DASH if pd.isna(row["interval_note"]) else str(row["interval_note"])),
    ]
    if kind != "method":
        return cells + [Cell(DASH)] * (len(COLUMNS) - METRIC_COLUMNS)
    cells += [_cell(row[name], ".0f") for name in ("n_configs", "n_seeds", "n_failed")]
    return [*cells, Cell(duration(row["seconds"]), sort=float(row["seconds"]))]


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


def best_in_words() -> str:
    """Which figure of a column is the best; the bracket is open."""
    most = [metric.words.name for metric in METRICS if not metric.least_is_best]
    return f"the least figure of a column (of the {listed(most)}: the greatest"


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
        bold=best_in_words(),
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
        f"Bold: {best_in_words()}; perfect hindsight aside), the learned method with the least "
        f"{COST.words.name}.",
    ]
    return "\n".join(lines) + "\n"


def _markdown(cell: Cell) -> str:
    text = f"**{cell.text}**" if cell.best else cell.text
    return f"{text} ({cell.note})" if cell.note else text


def comparison_text(table: pd.DataFrame) -> str:
    """The columns that fit a terminal, rounded."""
    shown = [
        "algorithm", "action_model", *(metric.name for metric in service_metrics()),
        COST.name, *ends(COST.name).values(),
        *(f"{COST.stem}_vs_{other}" for other in ("baseline", REFERENCE.in_columns)),
        "n_configs", "n_seeds", "n_failed", "seconds",
    ]  # fmt: skip
    return str(table[shown].to_string(index=False, float_format=lambda value: f"{value:.4g}"))
