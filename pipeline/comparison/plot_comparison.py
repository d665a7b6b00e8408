"""Figures of the test days: what methods cost, how they serve, and where."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_rgb
from matplotlib.figure import Figure

from envs.metrics import STOCKOUT_RATE, TURNOVER_TIME
from pipeline.baselines.base import PER_CLASS, day_rules
from pipeline.baselines.rules import HINDSIGHT
from pipeline.comparison.columns import BASELINE
from pipeline.comparison.plot_methods import COST, mark_failed, method_axis, model_colour
from pipeline.comparison.results import (
    ALL_CLASSES,
    SweepResults,
    display_name,
    rounded,
)
from pipeline.comparison.style import (
    ALGORITHM_MARKERS,
    FONT,
    LIGHT,
    MODEL_COLOURS,
    SMALL,
    Theme,
    canvas,
    freeze_layout,
    label_axes,
    place_labels,
    scale_axis,
    spread,
)
from pipeline.runs.method import REFERENCE

MAP_LIMITS = 10.0, 50.0
"""Percent at which the heat map's colour is full: at least, at most."""


def cost_figure(results: SweepResults, theme: Theme = LIGHT) -> Figure:
    """Cost of every method on test days with its interval; baselines as lines."""
    figure, (axes,) = canvas(theme, 4.6)
    label_axes(axes, theme, y=COST)
    places = method_axis(axes, theme, results)
    methods = results.methods.set_index("name")
    done = methods.dropna(subset=["cost"])
    scale_axis(axes, "y", [*done["cost"], *map(results.baseline_cost, day_rules())])
    for name, row in done.iterrows():
        x, cost = places[str(name)], row["cost"]
        reach = np.nan_to_num([[cost - row["ci_low"]], [row["ci_high"] - cost]]).clip(0)
        axes.errorbar(
            x, cost, yerr=reach, fmt="o", markersize=8, elinewidth=1.8, capsize=4,
            color=model_colour(row["action_model"], theme), zorder=3,
        )  # fmt: skip
        axes.annotate(
            rounded(cost), (x, row["ci_high"] if reach[1] > 0 else cost), (0, 6),
            textcoords="offset points", ha="center", va="bottom", fontsize=SMALL, color=theme.ink,
            bbox={"facecolor": theme.background, "edgecolor": "none", "pad": 0.6},
        )  # fmt: skip
    _cost_limits(axes, results)
    failed = [places[name] for name in methods.index.difference(done.index)]
    mark_failed(axes, theme, failed)
    for x in failed:
        axes.annotate(
            "failed", (x, 0.97), (0, -8), xycoords=axes.get_xaxis_transform(),
            textcoords="offset points", ha="center", va="top", fontsize=SMALL, color=theme.ink,
        )  # fmt: skip
    _baseline_lines(axes, theme, results.baselines)
    return figure


def _cost_limits(axes: Axes, results: SweepResults) -> None:
    """Shows the methods and the rules that plan; other baselines must not squeeze them."""
    done = results.methods.dropna(subset=["cost"])
    shown = [*done[["cost", "ci_low", "ci_high"]].to_numpy().ravel()]
    shown = [v for v in [*shown, *map(results.baseline_cost, day_rules())] if np.isfinite(v)]
    if done.empty:
        shown = list(results.baselines["cost"])
    if not shown:
        return
    scale = axes.yaxis.get_transform()
    low, high = scale.transform(np.array([min(shown), max(shown)]))
    span = (high - low) or abs(high) or 1.0
    axes.set_ylim(*scale.inverted().transform(np.array([low - 0.12 * span, high + 0.18 * span])))


def _line_style(name: str) -> str:
    """Drawn through for the headlines' baseline, dashed for others that plan."""
    styles = dict.fromkeys(day_rules(), "--") | {PER_CLASS: "-", HINDSIGHT.name: "-."}
    return styles.get(name, ":")


def _baseline_lines(axes: Axes, theme: Theme, baselines: pd.DataFrame) -> None:
    """Lines with their names at the right; one beyond the axis is named at its edge."""
    figure = axes.figure
    assert isinstance(figure, Figure)
    bottom, top = axes.get_ylim()
    labels, costs = [], []
    for _, row in baselines.iterrows():
        own, cost = row["name"] == PER_CLASS, float(row["cost"])
        colour = theme.ink if own else theme.muted
        text = f"{display_name(row['algorithm'])}\n{rounded(cost)}"
        text += " (not attainable)" if row["name"] == HINDSIGHT.name else ""
        if bottom <= cost <= top:
            axes.axhline(
                cost, color=colour, linewidth=1.6 if own else 1.1, zorder=1,
                linestyle=_line_style(str(row["name"])),
            )  # fmt: skip
        else:
            text = ("↓ " if cost < bottom else "↑ ") + text
        costs.append(min(max(cost, bottom), top))
        label = axes.annotate(
            text, (1, costs[-1]), (5, 0), xycoords=("axes fraction", "data"),
            textcoords="offset points", va="center", fontsize=SMALL, color=colour,
            annotation_clip=False,
        )  # fmt: skip
        labels.append(label)
    freeze_layout(figure)
    heights = [float(axes.transData.transform((0, cost))[1]) for cost in costs]
    points = 72.0 / figure.dpi
    for label, height, moved in zip(labels, heights, spread(heights, 28.0 / points), strict=True):
        label.set_position((5, (moved - height) * points))


def service_figure(results: SweepResults, theme: Theme = LIGHT) -> Figure:
    """Stockout rate against turnover time, one labelled point per method and baseline.

    Perfect hindsight is left out: it stocks exactly what is asked for, so many of its days
    end empty although nothing is lost.
    """
    figure, (axes,) = canvas(theme, 5.6)
    axes.grid(axis="x", color=theme.grid, linewidth=0.8)
    across, up = TURNOVER_TIME, STOCKOUT_RATE
    table = results.table[results.table["name"] != HINDSIGHT.name]
    table = table.dropna(subset=[across.name, up.name])
    label_axes(axes, theme, x=across.words.heading, y=up.words.heading)
    for _, row in table.iterrows():
        baseline = row["action_model"] == BASELINE
        axes.scatter(
            row[across.name], row[up.name], s=64, zorder=3,
            marker="D" if baseline else ALGORITHM_MARKERS.get(row["algorithm"], "v"),
            color=theme.ink if baseline else model_colour(row["action_model"], theme),
        )  # fmt: skip
    scale_axis(axes, "x", list(table[across.name]))
    scale_axis(axes, "y", list(table[up.name]))
    axes.margins(0.1)
    axes.set_title(
        "↙ lower left is better", loc="right", fontsize=SMALL, style="italic", color=theme.muted
    )
    best = results.best
    place_labels(
        axes,
        theme,
        list(zip(table[across.name], table[up.name], strict=True)),
        [display_name(*pair) for pair in table[["algorithm", "action_model"]].to_numpy()],
        emphasised=[best is not None and name == best["name"] for name in table["name"]],
    )
    return figure


def classes_figure(results: SweepResults, theme: Theme = LIGHT) -> Figure | None:
    """Cost by sales class relative to DDPG BOTH (or, without it, to a baseline).

    None if the sweep's evaluations are gone.
    """
    costs = results.class_costs()
    references = (REFERENCE, PER_CLASS, *day_rules())
    reference = next((name for name in references if name in costs.index), None)
    if reference is None:
        return None
    relative = 100.0 * (costs / costs.loc[reference].replace(0.0, np.nan) - 1.0)
    figure, (axes,) = canvas(theme, 0.9 + 0.32 * len(relative))
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    below, above = MODEL_COLOURS["both"], MODEL_COLOURS["none"]
    colours = LinearSegmentedColormap.from_list("relative", [below, theme.background, above])
    sizes = np.abs(relative.drop(index=HINDSIGHT.name, errors="ignore").to_numpy())
    sizes = sizes[np.isfinite(sizes)]
    full = round(float(np.clip(np.percentile(sizes, 90) if sizes.size else 0.0, *MAP_LIMITS)))
    shown = np.ma.masked_invalid(relative.to_numpy())
    axes.imshow(shown, cmap=colours, vmin=-full, vmax=full, aspect="auto")
    for (y, x), value in np.ndenumerate(relative.to_numpy()):
        share = float(np.clip(value / full, -1, 1)) if np.isfinite(value) else 0.0
        text = f"{value:+,.1f}" if np.isfinite(value) else "–"
        text = "0" if relative.index[y] == reference else text.replace("+0.0", "0.0")
        axes.text(
            x, y, text.replace("-", "−"), ha="center", va="center", fontsize=SMALL,
            color=_readable_on(colours((share + 1) / 2), theme),
        )  # fmt: skip
    counts = {**results.rows["sales_class"].value_counts(), ALL_CLASSES: len(results.rows)}
    axes.set_xticks(
        range(len(relative.columns)), [f"{c}\n{counts[c]:,} inv." for c in relative.columns]
    )
    names = results.table.set_index("name")[["algorithm", "action_model"]]
    axes.set_yticks(
        range(len(relative)), [display_name(*names.loc[name]) for name in relative.index]
    )
    axes.tick_params(length=0, top=True, labeltop=True, bottom=False, labelbottom=False)
    axes.axvline(len(relative.columns) - 1.5, color=theme.background, linewidth=4)
    learned = sum(names.loc[name, "action_model"] != BASELINE for name in relative.index)
    axes.axhline(learned - 0.5, color=theme.background, linewidth=4)
    figure.supxlabel(
        f"cost relative to {display_name(*names.loc[reference])}, % "
        f"(blue: cheaper, orange: dearer; full colour from ±{full})",
        fontsize=FONT, color=theme.ink,
    )  # fmt: skip
    return figure


def _readable_on(colour: tuple[float, ...], theme: Theme) -> str:
    """The theme's ink, or its ground where that has more contrast."""

    def luminance(c: tuple[float, ...]) -> float:
        linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in c[:3]]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] + 0.05

    def contrast(text: str) -> float:
        a, b = luminance(colour), luminance(to_rgb(text))
        return max(a, b) / min(a, b)

    return max((theme.ink, theme.background), key=contrast)
