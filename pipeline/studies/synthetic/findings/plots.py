"""The study's figures of results: gaps, tuning, overfitting; all from ``STUDY/measured``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from pipeline.comparison.style import (
    ALGORITHM_MARKERS,
    FONT,
    LIGHT,
    SMALL,
    Theme,
    canvas,
    label_axes,
    scale_axis,
)
from pipeline.evaluation.intervals import Interval, mean_interval
from pipeline.runs.method import Method
from pipeline.studies.synthetic.findings.tuning_speed import Tried, best_so_far
from pipeline.studies.synthetic.results import ALGORITHMS, MODELS, SETTING_NAMES, StudyResults

# Only two action models here: farther apart than their colours in the other reports.
COLOURS = {"none": "#D55E00", "base": "#0072B2"}
DARK_COLOURS = {"none": "#F09055", "base": "#56B4E9"}
ALGORITHM_COLOURS = {"ddpg": "#0072B2", "ppo": "#009E73", "ds": "#CC79A7"}
LINES: dict[str, Any] = {"ddpg": "-", "ppo": "--", "ds": ":"}
COST = "cost per day"


def colour(model: str, theme: Theme) -> str:
    """Of an action model on that ground."""
    return (COLOURS if theme is LIGHT else DARK_COLOURS)[model]


def legend(figure: Figure, theme: Theme, handles: Sequence[Line2D]) -> None:
    """One row above the panels."""
    figure.legend(
        handles=list(handles), loc="outside upper center", ncols=len(handles), frameon=False,
        fontsize=SMALL, labelcolor=theme.ink,
    )  # fmt: skip


def model_handles(theme: Theme) -> list[Line2D]:
    """Legend entries of NONE and BASE."""
    return [
        Line2D([], [], color=colour(model, theme), linewidth=2.5, label=model.upper())
        for model in MODELS
    ]


def interval_bar(axes: Axes, x: float, interval: Interval, **style: Any) -> None:
    """A dot with its interval; no interval where there is one seed only."""
    error = None
    if math.isfinite(interval.low):
        error = [[interval.value - interval.low], [interval.high - interval.value]]
    axes.errorbar([x], [interval.value], yerr=error, capsize=3, linewidth=1.6, **style)


def gap_figure(results: StudyResults, theme: Theme = LIGHT) -> Figure | None:
    """Figure 1: test gap to the reference, mean and interval over seeds; hollow: every seed."""
    settings = results.settings
    figure, panels = canvas(theme, 4.2, len(settings))
    for axes, setting in zip(panels, settings, strict=True):
        label_axes(axes, theme, title=SETTING_NAMES[setting])
        drawn: list[float] = []
        shown: dict[tuple[str, str], float] = {}
        for place, algorithm in enumerate(ALGORITHMS):
            for shift, model in ((-0.18, "none"), (0.18, "base")):
                values = results.final(setting, Method.of(algorithm, model))
                if not values:
                    continue
                interval = mean_interval(values)
                shade = colour(model, theme)
                axes.scatter(
                    [place + shift + 0.09] * len(values), values, s=14, facecolors="none",
                    edgecolors=shade, linewidths=1.0,
                )  # fmt: skip
                interval_bar(
                    axes, place + shift, interval, color=shade, markersize=7,
                    marker=ALGORITHM_MARKERS[algorithm],
                )  # fmt: skip
                drawn += values
                shown[algorithm, model] = interval.value
        axes.set_xticks(
            range(len(ALGORITHMS)), [_named(algorithm, shown) for algorithm in ALGORITHMS]
        )
        axes.set_xlim(-0.55, len(ALGORITHMS) - 0.45)
        if drawn and min(drawn) > 0:
            # An interval of two far seeds must not flatten the rest: it runs out of the panel.
            if scale_axis(axes, "y", drawn):
                axes.set_ylim(0.7 * min(drawn), 1.5 * max(drawn))
        else:
            axes.axhline(0.0, color=theme.muted, linewidth=0.8)
    panels[0].set_ylabel("test cost above the reference, %", color=theme.ink, fontsize=FONT)
    seeds = Line2D(
        [], [], marker="o", linestyle="", color=theme.muted, fillstyle="none", markersize=4,
        label="one seed",
    )  # fmt: skip
    legend(figure, theme, [*model_handles(theme), seeds])
    return figure


def _named(algorithm: str, shown: dict[tuple[str, str], float]) -> str:
    """An algorithm's name with its figures below."""
    lines = [algorithm.upper()]
    for model in MODELS:
        value = shown.get((algorithm, model))
        if value is not None:
            lines.append(
                f"{model.upper()} {value:.0f}" if value >= 10 else f"{model.upper()} {value:.1f}"
            )
    return "\n".join(lines)


def best_so_far_figure(results: StudyResults, theme: Theme = LIGHT) -> Figure | None:
    """Figure 2: expected test cost of the best-validated of the first k configurations."""
    figure, panels = canvas(theme, 4.2, len(results.settings))
    for axes, setting in zip(panels, results.settings, strict=True):
        drawn: list[float] = []
        longest = 1
        for algorithm in ALGORITHMS:
            for model in MODELS:
                tried = Tried.of(results.trials, setting, Method.of(algorithm, model))
                if len(tried.test) == 0:
                    continue
                curve = best_so_far(tried.validation, tried.test)
                longest = max(longest, len(curve))
                axes.plot(
                    range(1, len(curve) + 1), curve, LINES[algorithm], linewidth=1.8,
                    color=colour(model, theme), marker=ALGORITHM_MARKERS[algorithm], markersize=3.5,
                )  # fmt: skip
                drawn += curve.tolist()
        reference = results.reference(setting)
        axes.axhline(reference, color=theme.muted, linewidth=1.0)
        label_axes(axes, theme, x="configurations tried", title=SETTING_NAMES[setting])
        step = max(1, longest // 5)
        axes.set_xticks(range(1, longest + 1, step))
        scale_axis(axes, "y", [*drawn, reference])
    panels[0].set_ylabel(f"test {COST}, best so far", color=theme.ink, fontsize=FONT)
    lines = [
        Line2D([], [], linestyle=LINES[a], color=theme.muted, marker=ALGORITHM_MARKERS[a],
               markersize=4, label=a.upper()) for a in ALGORITHMS
    ]  # fmt: skip
    reference_line = Line2D([], [], color=theme.muted, linewidth=1.0, label="reference")
    legend(figure, theme, [*model_handles(theme), *lines, reference_line])
    return figure


def overfitting_figure(results: StudyResults, theme: Theme = LIGHT) -> Figure | None:
    """Figure 5a: validation against test cost of every DS and DDPG run."""
    figure, panels = canvas(theme, 4.2, len(results.settings))
    for axes, setting in zip(panels, results.settings, strict=True):
        rows = results.trials[
            (results.trials["setting"] == setting)
            & results.trials["algorithm"].isin(["ddpg", "ds"])
        ].dropna(subset=["validation", "test"])
        label_axes(axes, theme, x=f"validation {COST}", title=SETTING_NAMES[setting])
        if rows.empty:
            continue
        # Runs that learned nothing would squeeze the others into a corner.
        limit = 2.5 * float(rows["test"].min())
        shown = rows[rows["test"] <= limit]
        for row in shown.to_dict("records"):
            axes.scatter(
                row["validation"], row["test"], s=22, alpha=0.75, linewidths=1.0,
                marker=ALGORITHM_MARKERS[row["algorithm"]],
                color=colour(row["action_model"], theme),
                facecolors="none" if row["algorithm"] == "ds" else None,
            )  # fmt: skip
        low = min(shown["validation"].min(), shown["test"].min())
        high = max(shown["validation"].max(), shown["test"].max())
        axes.plot([low, high], [low, high], color=theme.muted, linewidth=0.8)
        axes.axhline(results.reference(setting), color=theme.muted, linewidth=0.8, linestyle="--")
        if len(shown) < len(rows):
            axes.set_xlabel(
                f"validation {COST}\n({len(rows) - len(shown)} runs beyond {limit:.2f} not shown)",
                color=theme.ink, fontsize=FONT,
            )  # fmt: skip
    panels[0].set_ylabel(f"test {COST}", color=theme.ink, fontsize=FONT)
    marks = [
        Line2D([], [], linestyle="", color=theme.muted, marker=ALGORITHM_MARKERS[a],
               fillstyle="none" if a == "ds" else "full", label=a.upper()) for a in ("ddpg", "ds")
    ]  # fmt: skip
    lines = [
        Line2D([], [], color=theme.muted, linewidth=0.8, label="test = validation"),
        Line2D([], [], color=theme.muted, linewidth=0.8, linestyle="--", label="reference"),
    ]
    legend(figure, theme, [*model_handles(theme), *marks, *lines])
    return figure


def growth_figure(results: StudyResults, theme: Theme = LIGHT) -> Figure | None:
    """Figure 5b: test (and validation) cost against the number of training trajectories."""
    table = results.growth
    if table.empty:
        return None
    settings = list(dict.fromkeys(table["setting"]))
    cases = [(setting, model) for setting in settings for model in MODELS]
    figure, panels = canvas(theme, 4.6, len(cases), sharey=len(settings) == 1)
    for axes, (setting, model) in zip(panels, cases, strict=True):
        drawn: list[float] = []
        sizes = sorted(set(table["n"]))
        for offset, algorithm in enumerate(ALGORITHMS):
            rows = table[
                (table["setting"] == setting) & (table["method"] == Method.of(algorithm, model))
            ]
            shade = ALGORITHM_COLOURS[algorithm]
            ns = [n for n in sizes if (rows["n"] == n).any()]
            costs = [mean_interval(rows.loc[rows["n"] == n, "test"].tolist()) for n in ns]
            checks = [float(rows.loc[rows["n"] == n, "validation"].mean()) for n in ns]
            at = [n * (1 + 0.06 * (offset - 1)) for n in ns]
            axes.plot(at, [c.value for c in costs], color=shade, linewidth=1.8)
            for x, interval in zip(at, costs, strict=True):
                interval_bar(axes, x, interval, color=shade, marker=ALGORITHM_MARKERS[algorithm],
                             markersize=5)  # fmt: skip
            axes.plot(at, checks, color=shade, linewidth=1.0, linestyle=":")
            drawn += [c.value for c in costs] + checks
        reference = results.reference(setting)
        axes.axhline(reference, color=theme.muted, linewidth=1.0)
        axes.set_xscale("log")
        axes.set_xticks(sizes, [str(n) for n in sizes])
        axes.minorticks_off()
        label_axes(
            axes, theme, x="training trajectories",
            title=f"{SETTING_NAMES[setting].partition(',')[0]}: {model.upper()}",
        )  # fmt: skip
        known = [x for x in [*drawn, reference] if math.isfinite(x)]
        if known:
            low, high = min(known), float(np.percentile(known, 97))
            axes.set_ylim(low - 0.06 * (high - low), high + 0.15 * (high - low))
    panels[0].set_ylabel(COST, color=theme.ink, fontsize=FONT)
    handles = [
        Line2D([], [], color=ALGORITHM_COLOURS[a], marker=ALGORITHM_MARKERS[a], markersize=5,
               label=a.upper()) for a in ALGORITHMS
    ]  # fmt: skip
    handles += [
        Line2D([], [], color=theme.muted, linewidth=1.8, label="test"),
        Line2D([], [], color=theme.muted, linewidth=1.0, linestyle=":", label="validation"),
        Line2D([], [], color=theme.muted, linewidth=1.0, label="reference"),
    ]
    legend(figure, theme, handles)
    return figure
