"""Figures of the training: how fast methods learn, how much tuning matters."""

from __future__ import annotations

import math
from collections.abc import Iterable

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from pipeline.comparison.plot_methods import COST, mark_failed, method_axis, model_colour
from pipeline.comparison.results import SweepResults
from pipeline.comparison.style import FONT, LIGHT, SMALL, Theme, canvas, label_axes, scale_axis
from pipeline.runs.method import Method


def learning_figure(results: SweepResults, theme: Theme = LIGHT) -> Figure | None:
    """Validation cost against training time of every method's selected trial.

    None if no trial was selected.
    """
    chosen = {
        method: results.history(selected.trial)
        for method, selected in results.sweep.selected.items()
        if selected.trial is not None
    }
    drawn = [history for history in chosen.values() if len(history)]
    if not drawn:
        return None
    algorithms = list(dict.fromkeys(results.methods["algorithm"]))
    figure, panels = canvas(theme, 4.2, max(len(algorithms), 1), sharey=True)
    for axes, algorithm in zip(panels, algorithms, strict=False):
        for model in results.methods.query("algorithm == @algorithm")["action_model"]:
            history = chosen.get(Method.of(algorithm, model))
            if history is None or history.empty:
                continue
            colour = model_colour(model, theme)
            axes.plot(history["seconds"], history["cost"], color=colour, linewidth=1.8)
            least = history.loc[history["cost"].idxmin()]
            axes.plot(least["seconds"], least["cost"], "o", color=colour, markersize=6)
        axes.set_xlim(left=0)
        label_axes(axes, theme, x="training time, s", title=algorithm.upper())
    panels[0].set_ylabel("validation " + COST, color=theme.ink, fontsize=FONT)
    # One curve that starts far up must not flatten all others: it runs in from above.
    costs = [cost for history in drawn for cost in history["cost"]]
    top = min(max(costs), 2 * max(history["cost"].median() for history in drawn))
    log = scale_axis(panels[0], "y", [cost for cost in costs if cost <= top])
    if top < max(costs):
        least = min(costs)
        room = least * (1 - (least / top) ** 0.05) if log else 0.05 * (top - least)
        panels[0].set_ylim(least - room, top)
    _model_legend(figure, theme, results.methods["action_model"])
    return figure


def _model_legend(figure: Figure, theme: Theme, models: Iterable[str]) -> None:
    handles = [
        Line2D([], [], color=model_colour(model, theme), linewidth=2.5, label=model.upper())
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
    places = method_axis(axes, theme, results)
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
            color=model_colour(models[trial.method], theme),
            alpha=1.0 if chosen else 0.25 if trial.result.status == "stopped" else 0.6,
            edgecolors=theme.ink if chosen else "none", linewidths=1.6,
        )  # fmt: skip
    scale_axis(axes, "y", costs)
    if not costs:
        axes.set_yticks([])
    axes.margins(y=0.12)
    mark_failed(axes, theme, failed, size=36)
    handles = [
        Line2D([], [], color=theme.muted, marker="o", linestyle="", alpha=0.6, label="trial"),
        Line2D([], [], color=theme.muted, marker="o", linestyle="", markersize=9,
               markeredgecolor=theme.ink, markeredgewidth=1.6, label="selected"),
        *(
            [Line2D([], [], color=theme.muted, marker="o", linestyle="", alpha=0.25,
                    label="stopped early")]
            if any(trial.result.status == "stopped" for trial in results.trials) else []
        ),
        Line2D([], [], color=theme.ink, marker="x", linestyle="", label="failed"),
    ]  # fmt: skip
    figure.legend(
        handles=handles, loc="outside upper right", ncols=len(handles), frameon=False,
        fontsize=SMALL, labelcolor=theme.ink,
    )  # fmt: skip
    return figure
