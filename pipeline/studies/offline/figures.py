"""The study's figures, drawn from its tables alone."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping

import pandas as pd
from matplotlib.figure import Figure

from pipeline.comparison.figures import DPI
from pipeline.comparison.plot_methods import model_colour
from pipeline.comparison.style import ALGORITHM_MARKERS, LIGHT, SMALL, Theme, canvas, label_axes
from pipeline.runs.method import Method
from pipeline.studies.offline.measuring.published import PUBLISHED


def published_figure(table: pd.DataFrame, theme: Theme = LIGHT) -> Figure | None:
    """Stockouts against turnover relative to DDPG BOTH: ours filled, published hollow."""
    ours = table[table["name"].str.contains("-", regex=False)]
    if "stockouts_pp" not in ours or ours.empty:
        return None
    figure, (axes,) = canvas(theme, 5.0)
    label_axes(
        axes, theme, x="turnover time, days more than DDPG BOTH",
        y="stockout rate, percentage points more",
    )  # fmt: skip
    axes.axhline(0.0, color=theme.muted, linewidth=0.8)
    axes.axvline(0.0, color=theme.muted, linewidth=0.8)
    for row in ours.to_dict("records"):
        method = Method(row["name"])
        colour, marker = model_colour(method.action_model, theme), _marker(method)
        x, y = row["turnover_days"], row["stockouts_pp"]
        reach = [
            [[value - row[f"{name}_low"]], [row[f"{name}_high"] - value]]
            for name, value in (("turnover_days", x), ("stockouts_pp", y))
        ]
        axes.errorbar(
            [x], [y], xerr=reach[0], yerr=reach[1], color=colour, marker=marker, markersize=7,
            linewidth=1.0, label=method.label,
        )  # fmt: skip
        if method in PUBLISHED:
            stockouts, turnover = PUBLISHED[method]
            axes.plot(
                [turnover], [stockouts], color=colour, marker=marker, markersize=7,
                fillstyle="none", linestyle="",
            )  # fmt: skip
    axes.legend(fontsize=SMALL, frameon=False, labelcolor=theme.ink, ncols=3)
    axes.set_title("hollow: published, other data", loc="right", fontsize=SMALL, color=theme.muted)
    return figure


def budget_figure(table: pd.DataFrame, theme: Theme = LIGHT) -> Figure | None:
    """The objective against CPU time, a line per method."""
    if table.empty:
        return None
    figure, (axes,) = canvas(theme, 4.2)
    label_axes(axes, theme, x="CPU seconds of a training", y="objective on later days")
    for name, rows in table.groupby("name", sort=False):
        method, rows = Method(str(name)), rows.sort_values("cpu_seconds")
        colour = model_colour(method.action_model, theme)
        axes.plot(
            rows["cpu_seconds"], rows["figure"], color=colour, marker=_marker(method),
            label=method.label,
        )  # fmt: skip
        axes.fill_between(
            rows["cpu_seconds"], rows["figure_low"], rows["figure_high"], color=colour, alpha=0.15
        )
    axes.set_xscale("log")
    axes.legend(fontsize=SMALL, frameon=False, labelcolor=theme.ink)
    return figure


def _marker(method: Method) -> str:
    return ALGORITHM_MARKERS.get(method.algorithm, "v")


FIGURES: Mapping[str, Callable[[pd.DataFrame, Theme], Figure | None]] = {
    "published": published_figure,
    "budget": budget_figure,
}
"""Table -> its figure."""


def drawn(name: str, table: pd.DataFrame, theme: Theme = LIGHT) -> bytes | None:
    """The figure of a table as a PNG; None if it has none."""
    draw = FIGURES.get(name)
    figure = None if draw is None else draw(table, theme)
    if figure is None:
        return None
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI)
    return buffer.getvalue()
