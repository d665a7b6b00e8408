"""``comparison.csv`` for people: the same rows, rounded, as HTML and as Markdown."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from pipeline.pages import page
from pipeline.report_data import BASELINE, HINDSIGHT, display_name, row_names

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
    Column("Cost", "money per inventory and day", "Mean over inventories, with a 95 % interval."),
    Column("vs DDPG BOTH", "% of cost", "On the same inventories; the interval is paired."),
    Column("Stockout rate", "% of days", "Share of days that end without stock."),
    Column("vs DDPG BOTH", "percentage points"),
    Column("Turnover time", "days", "Mean stock over mean daily sales."),
    Column("vs DDPG BOTH", "days"),
    Column("Tried", "configurations", "Hyperparameter configurations tried."),
    Column("Failed", "trials"),
    Column("Training", "time", "All of the method's trials together."),
)
METRIC_COLUMNS = 6
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
        table: As :func:`pipeline.compare.compare` makes it.
        causes: Method (``ddpg-both``) -> why it has no finished trial.
    """
    causes = causes or {}
    names = pd.Series(row_names(table), index=table.index)
    real = table[names != HINDSIGHT]
    least = {m: real[m].min() for m in ("cost", "stockout_rate_pct", "turnover_days")}
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
                    row, places, kind, {m: name != HINDSIGHT and row[m] == least[m] for m in least}
                ),
                failed=bool(pd.isna(row["cost"])),
                cause=causes.get(name, ""),
                best=index == best,
            )
        )
    return rows


def _cells(row: pd.Series, places: int, kind: str, best: Mapping[str, bool]) -> list[Cell]:
    own = f".{places}f"
    return [
        _cell(row["cost"], own, _range(row["ci_low"], row["ci_high"], own), best["cost"]),
        _cell(
            row["cost_pct_vs_ddpg_both"],
            "+.1f",
            _range(row["cost_pct_ci_low"], row["cost_pct_ci_high"], "+.1f"),
        ),
        _cell(row["stockout_rate_pct"], ".2f", best=best["stockout_rate_pct"]),
        _cell(row["stockout_rate_pp_vs_ddpg_both"], "+.2f"),
        _cell(row["turnover_days"], ".2f", best=best["turnover_days"]),
        _cell(row["turnover_days_vs_ddpg_both"], "+.2f"),
        *(
            [_cell(row["n_configs"], ".0f"), _cell(row["n_failed"], ".0f"),
             Cell(duration(row["seconds"]), sort=float(row["seconds"]))]
            if kind == "method"
            else [Cell(DASH)] * 3
        ),
    ]  # fmt: skip


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
        table: As :func:`pipeline.compare.compare` makes it.
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
    lines += ["", "Bold: the best value of a column (perfect hindsight aside), the best method."]
    return "\n".join(lines) + "\n"


def _markdown(cell: Cell) -> str:
    text = f"**{cell.text}**" if cell.best else cell.text
    return f"{text} ({cell.note})" if cell.note else text


def comparison_text(table: pd.DataFrame) -> str:
    """The columns that fit a terminal, rounded."""
    shown = table[
        ["algorithm", "action_model", "stockout_rate_pct", "turnover_days", "cost", "ci_low",
         "ci_high", "cost_pct_vs_ddpg_both", "n_configs", "n_failed", "seconds"]
    ]  # fmt: skip
    return str(shown.to_string(index=False, float_format=lambda value: f"{value:.4g}"))
