"""How the figures look: colours, axes, and labels that do not overlap."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator
from matplotlib.transforms import Bbox

WIDTH = 9.0
"""Inches; at 100 points an inch as wide as the report's column (900 px)."""
FONT = 10.0
SMALL = 9.0

# Okabe and Ito's colour-blind-safe palette: warm without, cold with demand features.
MODEL_COLOURS = {
    "none": "#D55E00", "base": "#E69F00", "coeff": "#56B4E9", "both": "#0072B2",
    "proj": "#CC79A7", "projboth": "#009E73",
}  # fmt: skip
ALGORITHM_MARKERS = {"ddpg": "o", "ppo": "s", "ds": "^"}
LOG_FROM = 3.0
"""Largest over smallest value from which on an axis is logarithmic."""


@dataclass(frozen=True)
class Theme:
    """Colours of a figure's ground and ink."""

    name: Literal["light", "dark"]
    background: str
    ink: str
    muted: str
    grid: str


LIGHT = Theme("light", "#ffffff", "#1b1f24", "#5c6570", "#e3e6ea")
DARK = Theme("dark", "#171a1f", "#e8eaed", "#a3abb5", "#31363d")


def canvas(
    theme: Theme, height: float, columns: int = 1, *, sharey: bool = False
) -> tuple[Figure, list[Axes]]:
    """A figure without pyplot's global state, and its styled axes in a row.

    Args:
        theme: Colours.
        height: Inches.
        columns: Number of axes.
        sharey: The axes have one y range.
    """
    figure = Figure(figsize=(WIDTH, height), facecolor=theme.background, layout="constrained")
    FigureCanvasAgg(figure)
    row = figure.subplots(1, columns, squeeze=False, sharey=sharey)[0]
    all_axes = [cast(Axes, axes) for axes in row]
    for axes in all_axes:
        axes.set_facecolor(theme.background)
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color(theme.muted)
        axes.tick_params(which="both", colors=theme.muted, labelcolor=theme.ink, labelsize=SMALL)
        axes.grid(axis="y", color=theme.grid, linewidth=0.8)
        axes.set_axisbelow(True)
    return figure, all_axes


def label_axes(axes: Axes, theme: Theme, x: str = "", y: str = "", title: str = "") -> None:
    """Axis labels (with units) and a title at the left, in the theme's ink."""
    axes.set_xlabel(x, color=theme.ink, fontsize=FONT)
    axes.set_ylabel(y, color=theme.ink, fontsize=FONT)
    if title:
        axes.set_title(title, loc="left", color=theme.ink, fontsize=FONT, fontweight="bold")


def wants_log(values: Sequence[float]) -> bool:
    """The values span so much that a linear axis would hide the small ones."""
    finite = [value for value in values if math.isfinite(value)]
    return bool(finite) and min(finite) > 0 and max(finite) > LOG_FROM * min(finite)


def scale_axis(axes: Axes, which: Literal["x", "y"], values: Sequence[float]) -> bool:
    """Makes an axis logarithmic, with plain numbers at its ticks, if ``values`` ask for it.

    Returns:
        Whether it is logarithmic.
    """
    if not wants_log(values):
        return False
    axis = axes.yaxis if which == "y" else axes.xaxis
    (axes.set_yscale if which == "y" else axes.set_xscale)("log")
    name, *unit = axis.get_label_text().split("\n")
    axis.set_label_text("\n".join([f"{name} (log scale)", *unit]))
    finite = [value for value in values if math.isfinite(value)]
    decades = math.log10(max(finite) / min(finite))
    subs = [1.0, 2.0, 5.0] if decades < 2.5 else [1.0]
    if decades < 1.2:
        subs = [1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0]
    axis.set_major_locator(LogLocator(subs=subs))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axis.set_minor_locator(NullLocator())
    axis.set_minor_formatter(NullFormatter())
    return True


def freeze_layout(figure: Figure) -> None:
    """Lays the figure out now, so that positions in pixels can be relied on."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")


def place_labels(
    axes: Axes,
    theme: Theme,
    points: Sequence[tuple[float, float]],
    texts: Sequence[str],
    *,
    emphasised: Sequence[bool] | None = None,
) -> list[Any]:
    """Labels points so that no label covers another label or a point.

    Every label takes a free place around its point (16 directions, growing distance),
    points in crowds first; a label that had to go far is tied by a thin line.

    Args:
        axes: In its final scale and limits; its figure's layout is frozen here.
        theme: Colours.
        points: (x, y) in data units.
        texts: One per point.
        emphasised: Labels in bold.
    """
    figure = axes.figure
    assert isinstance(figure, Figure)
    freeze_layout(figure)
    renderer = cast(Any, figure.canvas).get_renderer()
    pixels = [(float(x), float(y)) for x, y in map(axes.transData.transform, points)]
    per_point = figure.dpi / 72.0
    margin = 6.5 * per_point
    taken = [Bbox.from_extents(x - margin, y - margin, x + margin, y + margin) for x, y in pixels]
    frame = axes.get_window_extent(renderer)

    def crowd(index: int) -> float:
        return sum(math.dist(pixels[index], other) < 60 * per_point for other in pixels)

    labels: list[Any] = []
    for index in sorted(range(len(points)), key=crowd, reverse=True):
        bold = bool(emphasised and emphasised[index])
        label = axes.annotate(
            texts[index], points[index], (0, 0), textcoords="offset points",
            fontsize=SMALL, color=theme.ink, ha="center", va="center",
            fontweight="bold" if bold else "normal",
        )  # fmt: skip
        extent = label.get_window_extent(renderer)
        half = extent.width / 2, extent.height / 2
        box = _free_place(index, pixels, half, taken, frame, per_point)
        x, y = pixels[index]
        centre = (box.x0 + box.x1) / 2 - x, (box.y0 + box.y1) / 2 - y
        label.set_position((centre[0] / per_point, centre[1] / per_point))
        # The line ends at the label's nearest edge, so that it crosses no letters.
        near = min(max(x, box.x0), box.x1) - x, min(max(y, box.y0), box.y1) - y
        if math.hypot(*near) > 12 * per_point:
            _tie(axes, theme, points[index], (near[0] / per_point, near[1] / per_point))
        taken.append(box)
        labels.append(label)
    return labels


def _tie(axes: Axes, theme: Theme, point: tuple[float, float], offset: tuple[float, float]) -> None:
    """A thin line from a point (data units) to where its label is, ``offset`` points away."""
    axes.annotate(
        "", point, offset, textcoords="offset points",
        arrowprops={
            "arrowstyle": "-", "color": theme.muted, "linewidth": 0.7, "shrinkA": 1, "shrinkB": 4,
        },
    )  # fmt: skip


def _free_place(
    own: int,
    pixels: Sequence[tuple[float, float]],
    half: tuple[float, float],
    taken: Sequence[Bbox],
    frame: Bbox,
    per_point: float,
) -> Bbox:
    """The nearest place that covers least; of equal ones, the farthest from other points."""
    least, best = math.inf, None
    for ring in range(14):
        gap = (9 + 7 * ring) * per_point
        found: list[tuple[float, float, Bbox]] = []
        for direction in range(16):
            angle = math.pi * direction / 8
            x = pixels[own][0] + math.cos(angle) * (half[0] + gap)
            y = pixels[own][1] + math.sin(angle) * (half[1] + gap)
            box = Bbox.from_extents(x - half[0], y - half[1], x + half[0], y + half[1])
            covered = sum(_overlap(box.padded(per_point), other) for other in taken)
            covered += box.width * box.height - _overlap(box, frame)
            others = [_distance(box, point) for k, point in enumerate(pixels) if k != own]
            # Beyond some distance nobody takes the label for another point's: then the right.
            alone = min([25 * per_point, *others])
            found.append((round(covered, 3), -round(alone, 1), box))
        covered, _, box = min(found, key=lambda place: place[:2])
        if covered < least:
            least, best = covered, box
        if least <= 0:
            break
    assert best is not None
    return best


def _distance(box: Bbox, point: tuple[float, float]) -> float:
    across = float(max(box.x0 - point[0], point[0] - box.x1, 0.0))
    return math.hypot(across, float(max(box.y0 - point[1], point[1] - box.y1, 0.0)))


def _overlap(a: Bbox, b: Bbox) -> float:
    width = min(a.x1, b.x1) - max(a.x0, b.x0)
    height = min(a.y1, b.y1) - max(a.y0, b.y0)
    return float(max(width, 0.0) * max(height, 0.0))


def spread(values: Sequence[float], gap: float) -> list[float]:
    """The values moved apart as little as needed to lie ``gap`` from each other, in order."""
    order = sorted(range(len(values)), key=values.__getitem__)
    # Groups of neighbours that touch; each is centred on its members' mean.
    groups: list[list[int]] = []
    for index in order:
        groups.append([index])
        while len(groups) > 1:
            (low, high) = groups[-2:]
            if _centre(low, values) + gap * (len(low) + len(high)) / 2 <= _centre(high, values):
                break
            groups[-2:] = [low + high]
    moved = list(values)
    for group in groups:
        first = _centre(group, values) - gap * (len(group) - 1) / 2
        for position, index in enumerate(group):
            moved[index] = first + gap * position
    return moved


def _centre(group: Sequence[int], values: Sequence[float]) -> float:
    return sum(values[index] for index in group) / len(group)
