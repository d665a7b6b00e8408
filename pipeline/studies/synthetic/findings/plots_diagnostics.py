"""The study's figures that explain: critics, horizons, hyperparameters, outputs."""

from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
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
from pipeline.evaluation.intervals import mean_interval
from pipeline.runs.method import Method
from pipeline.studies.synthetic.findings.claims import UPDATES
from pipeline.studies.synthetic.findings.plots import (
    LINES,
    colour,
    interval_bar,
    legend,
    model_handles,
)
from pipeline.studies.synthetic.results import ALGORITHMS, MODELS, SETTING_NAMES, StudyResults

HORIZON_COLOURS = ("#D55E00", "#009E73", "#0072B2", "#CC79A7", "#E69F00")
SMOOTHED = 5
"""Iterations that a curve of critic losses is averaged over."""


def horizon_figure(results: StudyResults, theme: Theme = LIGHT) -> Figure | None:
    """Figure 3: test gap of DS BASE in setting 4 against days, one line per number of SKUs."""
    table = results.horizon
    if table.empty:
        return None
    figure, (axes,) = canvas(theme, 4.4)
    days = sorted(set(table["t"]))
    drawn: list[float] = []
    sizes = sorted(set(table["n"]))
    for place, n in enumerate(sizes):
        shade = HORIZON_COLOURS[place % len(HORIZON_COLOURS)]
        at = [t * (1 + 0.04 * (place - 1)) for t in days]
        gaps = [
            mean_interval(table[(table["n"] == n) & (table["t"] == t)]["gap_pct"].tolist())
            for t in days
        ]
        axes.plot(at, [gap.value for gap in gaps], color=shade, linewidth=1.8)
        for x, gap in zip(at, gaps, strict=True):
            interval_bar(axes, x, gap, color=shade, marker="o", markersize=6)
            drawn.append(gap.value)
    axes.set_xscale("log")
    axes.set_xticks(days, [str(t) for t in days])
    axes.minorticks_off()
    label_axes(
        axes, theme, x="counted training days, T − 1", y="test cost above 100 + 1.282σ, %",
        title="4 IID: DS BASE",
    )  # fmt: skip
    positive = [x for x in drawn if x > 0]
    if positive and max(positive) > 10 * min(positive):
        axes.set_ylim(bottom=0.5 * min(positive))
        scale_axis(axes, "y", positive)
    else:
        axes.set_ylim(bottom=min(0.0, *drawn))
    legend(
        figure, theme,
        [
            Line2D([], [], color=HORIZON_COLOURS[k % len(HORIZON_COLOURS)], marker="o",
                   label=f"N = {n}") for k, n in enumerate(sizes)
        ],
    )  # fmt: skip
    return figure


def critic_figure(results: StudyResults, theme: Theme = LIGHT) -> Figure | None:
    """Figure 4: critic loss over the first 10,000 updates, NONE against BASE."""
    table = results.critic
    table = table[table["updates"] <= UPDATES] if len(table) else table
    if table.empty:
        return None
    settings = list(dict.fromkeys(table["setting"]))
    figure, panels = canvas(theme, 4.2, len(settings), sharey=True)
    for axes, setting in zip(panels, settings, strict=True):
        for model in MODELS:
            rows = table[(table["setting"] == setting) & (table["action_model"] == model)]
            curves = rows.pivot(index="updates", columns="seed", values="critic_loss")
            shade = colour(model, theme)
            smooth = np.exp(np.log(curves).rolling(SMOOTHED, min_periods=1).mean())
            for seed in smooth:
                axes.plot(smooth.index, smooth[seed], color=shade, linewidth=0.7, alpha=0.45)
            if len(smooth):
                axes.plot(
                    smooth.index, np.exp(np.log(smooth).mean(axis=1)), color=shade, linewidth=2.4
                )
        axes.set_xlim(left=0)
        label_axes(axes, theme, x="updates of the critic", title=SETTING_NAMES[setting])
    panels[0].set_ylabel("critic loss", color=theme.ink, fontsize=FONT)
    scale_axis(panels[0], "y", table["critic_loss"].tolist())
    thin = Line2D([], [], color=theme.muted, linewidth=0.7, label="one seed")
    legend(figure, theme, [*model_handles(theme), thin])
    return figure


def spread_figure(results: StudyResults, theme: Theme = LIGHT) -> Figure | None:
    """Test cost of every configuration (seed 0), method by method: how much tuning matters."""
    figure, panels = canvas(theme, 4.2, len(results.settings))
    for axes, setting in zip(panels, results.settings, strict=True):
        rows = results.trials[
            (results.trials["setting"] == setting) & (results.trials["seed"] == 0)
        ].dropna(subset=["test"])
        for place, algorithm in enumerate(ALGORITHMS):
            for shift, model in ((-0.18, "none"), (0.18, "base")):
                costs = rows[(rows["algorithm"] == algorithm) & (rows["action_model"] == model)][
                    "test"
                ].to_numpy(float)
                if len(costs) == 0:
                    continue
                jitter = np.linspace(-0.09, 0.09, len(costs)) if len(costs) > 1 else [0.0]
                axes.scatter(
                    place + shift + np.asarray(jitter), costs, s=22, alpha=0.75,
                    color=colour(model, theme), marker=ALGORITHM_MARKERS[algorithm],
                )  # fmt: skip
                middle = float(np.median(costs))
                axes.plot([place + shift - 0.13, place + shift + 0.13], [middle] * 2,
                          color=theme.ink, linewidth=1.4)  # fmt: skip
        axes.set_xticks(range(len(ALGORITHMS)), [a.upper() for a in ALGORITHMS])
        axes.axhline(results.reference(setting), color=theme.muted, linewidth=0.8)
        label_axes(axes, theme, title=SETTING_NAMES[setting])
        scale_axis(axes, "y", [*rows["test"], results.reference(setting)])
    panels[0].set_ylabel("test cost per day", color=theme.ink, fontsize=FONT)
    handles = [
        Line2D([], [], color=theme.ink, linewidth=1.4, label="median"),
        Line2D([], [], color=theme.muted, linewidth=0.8, label="reference"),
    ]
    legend(figure, theme, [*model_handles(theme), *handles])
    return figure


def outputs_figure(results: StudyResults, theme: Theme = LIGHT) -> Figure | None:
    """The selected policies' outputs against the inventory that they see, in mid-horizon."""
    table = results.outputs
    if table.empty:
        return None
    settings = list(dict.fromkeys(table["setting"]))
    figure, panels = canvas(theme, 4.2, len(settings))
    for axes, setting in zip(panels, settings, strict=True):
        for (method,), rows in table[table["setting"] == setting].groupby(["method"]):
            own = Method(method)
            axes.plot(
                rows["inventory"], rows["output"], LINES[own.algorithm], linewidth=1.8,
                color=colour(own.action_model, theme),
            )  # fmt: skip
        label_axes(axes, theme, x="net inventory, units", title=SETTING_NAMES[setting])
    panels[0].set_ylabel(
        "output: level (BASE), order (NONE), units", color=theme.ink, fontsize=FONT
    )
    lines = [
        Line2D([], [], linestyle=LINES[a], color=theme.muted, label=a.upper()) for a in ALGORITHMS
    ]
    legend(figure, theme, [*model_handles(theme), *lines])
    return figure


def sensitivity_table(trials: pd.DataFrame) -> pd.DataFrame:
    """How much the test loss depends on each hyperparameter.

    Returns:
        Rows ``algorithm``, ``hyperparameter``, and for each action model ``*_rank``: Spearman's
        correlation of its value with the test loss over configurations (mean over settings),
        and ``*_effect``: mean test loss of its worse half over that of its better half, in %.
    """
    first = trials[(trials["seed"] == 0)].dropna(subset=["test"])
    values = pd.DataFrame([json.loads(text) for text in first["training"]], index=first.index)
    rows = []
    for algorithm in ALGORITHMS:
        own = first[first["algorithm"] == algorithm]
        mine = values.loc[own.index].dropna(axis=1, how="all")
        for name in mine:
            if mine[name].astype(str).nunique() < 2:
                continue
            number = mine[name].map(lambda v: float(np.sum(v)) if np.ndim(v) else float(v))
            row: dict[str, object] = {"algorithm": algorithm.upper(), "hyperparameter": name}
            for model in MODELS:
                ranks, effects = [], []
                for _, cell in own[own["action_model"] == model].groupby("setting"):
                    x, y = number[cell.index], cell["test"]
                    if x.nunique() < 2 or len(y) < 3:
                        continue
                    ranks.append(float(x.rank().corr(y.rank())))
                    upper = x > x.median() if (x > x.median()).any() else x >= x.median()
                    halves = sorted((float(y[upper].mean()), float(y[~upper].mean())))
                    effects.append(100.0 * (halves[1] / halves[0] - 1.0))
                row[f"{model}_rank"] = float(np.mean(ranks)) if ranks else math.nan
                row[f"{model}_effect"] = float(np.mean(effects)) if effects else math.nan
            rows.append(row)
    return pd.DataFrame(rows)


def hyperparameter_figure(
    results: StudyResults, algorithm: str, theme: Theme = LIGHT
) -> Figure | None:
    """Test loss relative to the reference against each searched hyperparameter, all settings."""
    first = results.trials[
        (results.trials["seed"] == 0) & (results.trials["algorithm"] == algorithm)
    ].dropna(subset=["test"])
    if first.empty:
        return None
    values = pd.DataFrame([json.loads(text) for text in first["training"]], index=first.index)
    names = [n for n in values if values[n].dropna().astype(str).nunique() > 2]
    names = [n for n in names if not isinstance(values[n].dropna().iloc[0], list)]
    if not names:
        return None
    relative = first["test"] / first["setting"].map(results.reference)
    figure, panels = canvas(theme, 2.9, len(names), sharey=True)
    for axes, name in zip(panels, names, strict=True):
        for model in MODELS:
            rows = first.index[first["action_model"] == model]
            axes.scatter(values.loc[rows, name], relative[rows], s=10, alpha=0.7,
                         color=colour(model, theme))  # fmt: skip
        known = values[name].dropna().astype(float)
        low, high = float(known.min()), float(known.max())
        middle = (low + high) / 2
        if low > 0 and high > 8 * low:
            axes.set_xscale("log")
            middle = math.sqrt(low * high)
        axes.set_xticks(
            [low, middle, high],
            [f"{x:.0f}" if x >= 100 else f"{x:.2g}" for x in (low, middle, high)],
        )
        axes.tick_params(axis="x", which="minor", bottom=False, labelbottom=False)
        axes.tick_params(axis="x", labelsize=SMALL - 2.5, rotation=45)
        axes.set_xlabel(name.replace("train_batch_size_per_learner", "batch"), fontsize=SMALL - 1,
                        color=theme.ink)  # fmt: skip
    panels[0].set_ylabel("test cost / reference", color=theme.ink, fontsize=SMALL)
    scale_axis(panels[0], "y", relative.tolist())
    panels[0].set_title(algorithm.upper(), loc="left", color=theme.ink, fontsize=FONT,
                        fontweight="bold")  # fmt: skip
    legend(figure, theme, model_handles(theme))
    return figure
