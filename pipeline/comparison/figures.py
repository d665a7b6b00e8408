"""All figures of a compared sweep: their names, and how they become PNGs.

No pyplot, so nothing is kept between calls and no display is needed.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from matplotlib.figure import Figure

from pipeline.comparison.frontiers import frontier_figure
from pipeline.comparison.plot_comparison import classes_figure, cost_figure, service_figure
from pipeline.comparison.plot_training import configurations_figure, learning_figure
from pipeline.comparison.results import SweepResults
from pipeline.comparison.style import LIGHT, Theme
from pipeline.tools.files import write_bytes

DPI = 180

FIGURES: Mapping[str, Callable[[SweepResults, Theme], Figure | None]] = MappingProxyType(
    {
        "cost": cost_figure,
        "service": service_figure,
        "frontier": frontier_figure,
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
    paths = []
    for name, image in images.items():
        path = directory / f"{name}.png"
        write_bytes(path, image)
        paths.append(path)
    return paths


def save_plots(sweep_dir: Path) -> list[Path]:
    """Draws a compared sweep into ``SWEEP/plots/*.png``.

    Raises:
        ConfigError: The sweep is not finished, or not compared yet.
    """
    return write_plots(render(SweepResults.read(sweep_dir)), sweep_dir / "plots")
