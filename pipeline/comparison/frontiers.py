"""Stock against service on test days: a compared sweep's curves, as tables and as a figure.

Of every learned method that leads its algorithm, of DDPG BOTH and of the rules, each at many
trade-offs: ``frontier.csv`` has the points, ``frontier_levels.csv`` the turnover time at the same
stockout rate or fill rate, with intervals.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from envs.metrics import STOCKOUT_RATE, TURNOVER_TIME
from pipeline.baselines.base import PER_CLASS
from pipeline.comparison.plot_methods import model_colour
from pipeline.comparison.results import SweepResults, display_name
from pipeline.comparison.style import ALGORITHM_MARKERS, LIGHT, SMALL, Theme, canvas, label_axes
from pipeline.evaluation.frontier import (
    STOCKOUT_LEVELS,
    Adjustable,
    curve_samples,
    curve_table,
    level_table,
    play_curves,
)
from pipeline.evaluation.tiles import AdjustableModel
from pipeline.runs.method import REFERENCE, Method
from pipeline.runs.sweep import Sweep
from pipeline.scenarios.dataset import DatasetSource
from pipeline.tools.files import write_text

POINTS, LEVELS = "frontier.csv", "frontier_levels.csv"
TILES = 4
"""Tiles that are played: some 8,000 inventories at every trade-off."""


def write_frontiers(
    sweep: Sweep,
    source: DatasetSource,
    rules: Mapping[str, Adjustable],
    *,
    seed: int = 0,
    most_tiles: int = TILES,
) -> pd.DataFrame:
    """Plays the curves of a finished sweep and writes :data:`POINTS` and :data:`LEVELS`.

    Args:
        sweep: Finished.
        source: Its data set.
        rules: Baselines whose trade-off can be turned, by name.
        seed: Of the bootstrap.
        most_tiles: Tiles that are played.

    Returns:
        The table of levels.
    """
    policies: dict[str, Adjustable] = dict(rules)
    curves_of: dict[str, list[str]] = {name: [name] for name in rules}
    for method in leading(sweep):
        curves_of[method] = sweep.seeds(method)
        for key in curves_of[method]:
            policies[key] = AdjustableModel(sweep.trial(key) / "model")
    folder = sweep.directory / "frontier"
    played = play_curves(source, "test", policies, folder, most_tiles=most_tiles)
    curves = {name: [played[key] for key in keys] for name, keys in curves_of.items()}
    reference = PER_CLASS if PER_CLASS in curves else next(iter(curves))
    levels = level_table(curve_samples(curves, seed), reference)
    write_text(sweep.directory / POINTS, curve_table(curves).to_csv(index=False))
    write_text(sweep.directory / LEVELS, levels.to_csv(index=False))
    return levels


def leading(sweep: Sweep) -> list[Method]:
    """The best method of each algorithm on validation, and DDPG BOTH, where they finished."""
    done = [m for m, choice in sweep.selected.items() if choice.validation is not None]
    best: dict[str, Method] = {}
    for method in done:
        rival = best.get(method.algorithm)
        if rival is None or _figure(sweep, method) < _figure(sweep, rival):
            best[method.algorithm] = method
    return [m for m in done if m in best.values() or m == REFERENCE]


def _figure(sweep: Sweep, method: Method) -> float:
    value = sweep.selected[method].validation
    assert value is not None
    return sweep.objective.signed(value)


def frontier_figure(results: SweepResults, theme: Theme = LIGHT) -> Figure | None:
    """Turnover time against stockout rate, a curve per policy; None without a table of points."""
    points = read_table(results.sweep.directory / POINTS)
    if points is None:
        return None
    figure, (axes,) = canvas(theme, 5.6)
    axes.grid(axis="x", color=theme.grid, linewidth=0.8)
    across, up = STOCKOUT_RATE, TURNOVER_TIME
    label_axes(axes, theme, x=across.words.heading, y=up.words.heading)
    within = (0.5 * STOCKOUT_LEVELS[0], 2.0 * STOCKOUT_LEVELS[-1])
    for name, curve in points.groupby("name", sort=False):
        method = Method(str(name)) if str(name) in results.sweep.selected else None
        colour = theme.ink if method is None else model_colour(method.action_model, theme)
        marker = "D" if method is None else ALGORITHM_MARKERS.get(method.algorithm, "v")
        label = (
            display_name(str(name))
            if method is None
            else display_name(method.algorithm, method.action_model)
        )
        curve = curve[curve[across.name].between(0.5 * within[0], 2.0 * within[1])]
        axes.plot(
            curve[across.name], curve[up.name], color=colour, marker=marker, markersize=5,
            linewidth=1.4, label=label, linestyle="--" if method is None else "-",
        )  # fmt: skip
    axes.set_xscale("log")
    axes.set_xlim(*within)
    shown = points[points[across.name].between(*within)][up.name]
    if len(shown):
        axes.set_ylim(0.85 * float(shown.min()), 1.08 * float(shown.max()))
    axes.set_xticks(STOCKOUT_LEVELS, [f"{level:g}" for level in STOCKOUT_LEVELS])
    axes.xaxis.set_minor_formatter("")
    axes.legend(fontsize=SMALL, frameon=False, labelcolor=theme.ink)
    axes.set_title(
        "↙ lower left is better", loc="right", fontsize=SMALL, style="italic", color=theme.muted
    )
    return figure


def read_table(path: Path) -> pd.DataFrame | None:
    """A table of this module; None if the sweep has none."""
    return pd.read_csv(path) if path.exists() else None
