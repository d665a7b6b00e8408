"""What the figures with one place per method on their x axis share."""

from __future__ import annotations

from collections.abc import Iterable

from matplotlib.axes import Axes

from envs import metrics
from pipeline.comparison.results import SweepResults
from pipeline.comparison.style import FONT, MODEL_COLOURS, Theme

COST = f"{metrics.COST.words.name}\n{metrics.COST.words.unit}"
"""Along an axis."""


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


def method_axis(axes: Axes, theme: Theme, results: SweepResults) -> dict[str, float]:
    """Names action models and algorithms along the x axis.

    Returns:
        Method (``ddpg-both``) -> its place.
    """
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


def mark_failed(axes: Axes, theme: Theme, x: Iterable[float], size: float = 55) -> None:
    """Crosses along the top, whatever the y axis shows."""
    xs = list(x)
    across = axes.get_xaxis_transform()
    axes.scatter(
        xs, [0.97] * len(xs), s=size, marker="x", color=theme.ink, transform=across,
        clip_on=False, zorder=4, label="failed",
    )  # fmt: skip


def model_colour(model: str, theme: Theme) -> str:
    """Of an action model; the theme's ink for one that has none."""
    return MODEL_COLOURS.get(model, theme.ink)
