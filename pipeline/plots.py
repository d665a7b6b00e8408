"""The figures of a compared sweep; each function draws one.

No pyplot, so nothing is kept between calls and no display is needed.
"""

from __future__ import annotations

import io
import math
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from pipeline.plot_style import (
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
from pipeline.report_data import (
    ALL_CLASSES,
    BASELINE,
    FORECAST,
    HINDSIGHT,
    REFERENCE,
    SweepResults,
    display_name,
    rounded,
)

DPI = 180
COST = "cost\nmoney per inventory and day"
BASELINE_LINES = {FORECAST: "--", "base_stock_per_class": ":", HINDSIGHT: "-."}
MAP_LIMIT = 50.0
"""Percent from which on the heat map's colour no longer deepens."""


def _slots(results: SweepResults) -> tuple[dict[str, float], list[tuple[str, float, float]]]:
    """Places of the methods on an x axis, grouped by algorithm; the groups' names and ends."""
    places: dict[str, float] = {}
    groups = []
    at = 0.0
    for algorithm, rows in results.methods.groupby("algorithm", sort=False):
        for name in rows["name"]:
            places[name] = at
            at += 1.0
        groups.append((str(algorithm).upper(), places[rows["name"].iloc[0]], at - 1.0))
        at += 0.8
    return places, groups


def _method_axis(axes: Axes, theme: Theme, results: SweepResults) -> dict[str, float]:
    places, groups = _slots(results)
    models = dict(zip(results.methods["name"], results.methods["action_model"], strict=True))
    axes.set_xticks(list(places.values()), [models[name].upper() for name in places])
    axes.tick_params(axis="x", length=0)
    axes.set_xlim(-0.6, max(places.values(), default=0.0) + 0.6)
    for name, first, last in groups:
        axes.annotate(
            name, ((first + last) / 2, 0), (0, -24), xycoords=("data", "axes fraction"),
            textcoords="offset points", ha="center", va="top", fontsize=FONT,
            fontweight="bold", color=theme.ink,
        )  # fmt: skip
    return places


def _mark_failed(axes: Axes, theme: Theme, x: Iterable[float], size: float = 55) -> None:
    xs = list(x)
    across = axes.get_xaxis_transform()
    axes.scatter(
        xs, [0.97] * len(xs), s=size, marker="x", color=theme.ink, transform=across,
        clip_on=False, zorder=4, label="failed",
    )  # fmt: skip


def _colour(model: str, theme: Theme) -> str:
    return MODEL_COLOURS.get(model, theme.ink)


def cost_figure(results: SweepResults, theme: Theme = LIGHT) -> Figure:
    """Cost of every method on test days with its interval; baselines as lines."""
    figure, (axes,) = canvas(theme, 4.6)
    label_axes(axes, theme, y=COST)
    places = _method_axis(axes, theme, results)
    methods = results.methods.set_index("name")
    done = methods.dropna(subset=["cost"])
    scale_axis(axes, "y", [*done["cost"], *results.baselines["cost"]])
    for name, row in done.iterrows():
        x, cost = places[str(name)], row["cost"]
        reach = np.nan_to_num([[cost - row["ci_low"]], [row["ci_high"] - cost]]).clip(0)
        axes.errorbar(
            x, cost, yerr=reach, fmt="o", markersize=8, elinewidth=1.8, capsize=4,
            color=_colour(row["action_model"], theme), zorder=3,
        )  # fmt: skip
        axes.annotate(
            rounded(cost), (x, row["ci_high"] if reach[1] > 0 else cost), (0, 6),
            textcoords="offset points", ha="center", va="bottom", fontsize=SMALL, color=theme.ink,
            bbox={"facecolor": theme.background, "edgecolor": "none", "pad": 0.6},
        )  # fmt: skip
    axes.margins(y=0.12)
    failed = [places[name] for name in methods.index.difference(done.index)]
    _mark_failed(axes, theme, failed)
    for x in failed:
        axes.annotate(
            "failed", (x, 0.97), (0, -8), xycoords=axes.get_xaxis_transform(),
            textcoords="offset points", ha="center", va="top", fontsize=SMALL, color=theme.ink,
        )  # fmt: skip
    labels = []
    for _, row in results.baselines.iterrows():
        own = row["name"] == FORECAST
        axes.axhline(
            row["cost"], color=theme.ink if own else theme.muted, linewidth=1.6 if own else 1.1,
            linestyle=BASELINE_LINES.get(row["name"], ":"), zorder=1,
        )  # fmt: skip
        text = f"{display_name(row['algorithm'])}\n{rounded(row['cost'])}"
        text += " (not attainable)" if row["name"] == HINDSIGHT else ""
        labels.append(
            axes.annotate(
                text,
                (1, row["cost"]),
                (5, 0),
                xycoords=("axes fraction", "data"),
                textcoords="offset points",
                va="center",
                fontsize=SMALL,
                color=theme.ink if own else theme.muted,
                annotation_clip=False,
            )  # fmt: skip
        )
    freeze_layout(figure)
    heights = [float(axes.transData.transform((0, cost))[1]) for cost in results.baselines["cost"]]
    points = 72.0 / figure.dpi
    for label, height, moved in zip(labels, heights, spread(heights, 28.0 / points), strict=True):
        label.set_position((5, (moved - height) * points))
    return figure


def service_figure(results: SweepResults, theme: Theme = LIGHT) -> Figure:
    """Stockout rate against turnover time, one labelled point per method and baseline.

    Perfect hindsight is left out: it stocks exactly what is asked for, so most of its days
    end empty although nothing is lost.
    """
    figure, (axes,) = canvas(theme, 5.6)
    axes.grid(axis="x", color=theme.grid, linewidth=0.8)
    table = results.table[results.table["name"] != HINDSIGHT]
    table = table.dropna(subset=["turnover_days", "stockout_rate_pct"])
    label_axes(axes, theme, x="turnover time, days", y="stockout rate, % of days")
    for _, row in table.iterrows():
        baseline = row["action_model"] == BASELINE
        axes.scatter(
            row["turnover_days"], row["stockout_rate_pct"], s=64, zorder=3,
            marker="D" if baseline else ALGORITHM_MARKERS.get(row["algorithm"], "v"),
            color=theme.ink if baseline else _colour(row["action_model"], theme),
        )  # fmt: skip
    scale_axis(axes, "x", list(table["turnover_days"]))
    scale_axis(axes, "y", list(table["stockout_rate_pct"]))
    axes.margins(0.1)
    axes.annotate(
        "better", (0.012, 0.016), (0.075, 0.1), xycoords="axes fraction",
        textcoords="axes fraction", fontsize=SMALL, style="italic", color=theme.muted,
        arrowprops={"arrowstyle": "->", "color": theme.muted},
    )  # fmt: skip
    best = results.best
    place_labels(
        axes, theme,
        list(zip(table["turnover_days"], table["stockout_rate_pct"], strict=True)),
        [display_name(a, m) for a, m in zip(table["algorithm"], table["action_model"], strict=True)],
        emphasised=[best is not None and name == best["name"] for name in table["name"]],
    )  # fmt: skip
    return figure


def learning_figure(results: SweepResults, theme: Theme = LIGHT) -> Figure:
    """Validation cost against training time of every method's selected trial."""
    chosen = {
        method: results.history(selected.trial)
        for method, selected in results.sweep.selected.items()
        if selected.trial is not None
    }
    algorithms = list(dict.fromkeys(results.methods["algorithm"]))
    figure, panels = canvas(theme, 4.2, max(len(algorithms), 1), sharey=True)
    drawn = [history for history in chosen.values() if len(history)]
    for axes, algorithm in zip(panels, algorithms, strict=False):
        for model in results.methods.query("algorithm == @algorithm")["action_model"]:
            history = chosen.get(f"{algorithm}-{model}")
            if history is None or history.empty:
                continue
            colour = _colour(model, theme)
            axes.plot(history["seconds"], history["cost"], color=colour, linewidth=1.8)
            least = history.loc[history["cost"].idxmin()]
            axes.plot(least["seconds"], least["cost"], "o", color=colour, markersize=6)
        axes.set_xlim(left=0)
        label_axes(axes, theme, x="training time, s", title=algorithm.upper())
    panels[0].set_ylabel("validation " + COST, color=theme.ink, fontsize=FONT)
    scale_axis(panels[0], "y", [cost for history in drawn for cost in history["cost"]])
    _model_legend(figure, theme, results.methods["action_model"])
    return figure


def _model_legend(figure: Figure, theme: Theme, models: Iterable[str]) -> None:
    handles = [
        Line2D([], [], color=_colour(model, theme), linewidth=2.5, label=model.upper())
        for model in dict.fromkeys(models)
    ]
    handles.append(
        Line2D([], [], color=theme.muted, marker="o", linestyle="", label="model that is kept")
    )
    figure.legend(
        handles=handles, loc="outside upper center", ncols=len(handles), frameon=False,
        fontsize=SMALL, labelcolor=theme.ink,
    )  # fmt: skip


def configurations_figure(results: SweepResults, theme: Theme = LIGHT) -> Figure:
    """Validation cost of every trial, method by method; failed ones are crosses on top."""
    figure, (axes,) = canvas(theme, 4.6)
    label_axes(axes, theme, y="validation " + COST)
    places = _method_axis(axes, theme, results)
    models = dict(zip(results.methods["name"], results.methods["action_model"], strict=True))
    count = max((trial.configuration for trial in results.trials), default=0) + 1
    failed, costs = [], []
    for trial in results.trials:
        if trial.method not in places:
            continue
        # A configuration has its place in the strip, so its seeds stand above each other.
        x = places[trial.method] + 0.6 * ((trial.configuration + 0.5) / count - 0.5)
        if not math.isfinite(trial.cost):
            failed.append(x)
            continue
        costs.append(trial.cost)
        chosen = results.sweep.selected[trial.method].trial == trial.key
        axes.scatter(
            x, trial.cost, s=70 if chosen else 30, zorder=3 if chosen else 2,
            color=_colour(models[trial.method], theme), alpha=1.0 if chosen else 0.6,
            edgecolors=theme.ink if chosen else "none", linewidths=1.6,
        )  # fmt: skip
    scale_axis(axes, "y", costs)
    axes.margins(y=0.12)
    _mark_failed(axes, theme, failed, size=36)
    handles = [
        Line2D([], [], color=theme.muted, marker="o", linestyle="", alpha=0.6, label="trial"),
        Line2D([], [], color=theme.muted, marker="o", linestyle="", markersize=9,
               markeredgecolor=theme.ink, markeredgewidth=1.6, label="selected"),
        Line2D([], [], color=theme.ink, marker="x", linestyle="", label="failed"),
    ]  # fmt: skip
    figure.legend(
        handles=handles, loc="outside upper right", ncols=3, frameon=False, fontsize=SMALL,
        labelcolor=theme.ink,
    )  # fmt: skip
    return figure


def classes_figure(results: SweepResults, theme: Theme = LIGHT) -> Figure | None:
    """Cost by sales class relative to DDPG BOTH (or, without it, to the forecast baseline).

    None if the sweep's evaluations are gone.
    """
    costs = results.class_costs()
    reference = next((name for name in (REFERENCE, FORECAST) if name in costs.index), None)
    if reference is None:
        return None
    relative = 100.0 * (costs / costs.loc[reference].replace(0.0, np.nan) - 1.0)
    figure, (axes,) = canvas(theme, 0.9 + 0.32 * len(relative))
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    below, above = MODEL_COLOURS["both"], MODEL_COLOURS["none"]
    colours = LinearSegmentedColormap.from_list("relative", [below, theme.background, above])
    shown = np.ma.masked_invalid(relative.to_numpy())
    axes.imshow(shown, cmap=colours, vmin=-MAP_LIMIT, vmax=MAP_LIMIT, aspect="auto")
    for (y, x), value in np.ndenumerate(relative.to_numpy()):
        share = float(np.clip(value / MAP_LIMIT, -1, 1)) if np.isfinite(value) else 0.0
        text = f"{value:+,.1f}" if np.isfinite(value) else "–"
        text = "0" if relative.index[y] == reference and value == 0 else text
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
        "(blue: cheaper, orange: dearer)",
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


FIGURES: Mapping[str, Callable[[SweepResults, Theme], Figure | None]] = MappingProxyType(
    {
        "cost": cost_figure,
        "service": service_figure,
        "classes": classes_figure,
        "learning": learning_figure,
        "configurations": configurations_figure,
    }
)
"""File name -> how to draw it, in the report's order."""


def render(results: SweepResults, theme: Theme = LIGHT) -> dict[str, bytes]:
    """Every figure as a PNG, by name."""
    images = {}
    for name, draw in FIGURES.items():
        figure = draw(results, theme)
        if figure is not None:
            buffer = io.BytesIO()
            figure.savefig(buffer, format="png", dpi=DPI)
            images[name] = buffer.getvalue()
    return images


def write_plots(images: Mapping[str, bytes], directory: Path) -> list[Path]:
    """Writes PNGs into ``directory``, each in one step."""
    directory.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, image in images.items():
        path = directory / f"{name}.png"
        partial = directory / f"{name}.png.partial"
        partial.write_bytes(image)
        os.replace(partial, path)
        paths.append(path)
    return paths


def save_plots(sweep_dir: Path) -> list[Path]:
    """Draws a compared sweep into ``SWEEP/plots/*.png``.

    Raises:
        ConfigError: The sweep is not finished, or not compared yet.
    """
    return write_plots(render(SweepResults.read(sweep_dir)), sweep_dir / "plots")
