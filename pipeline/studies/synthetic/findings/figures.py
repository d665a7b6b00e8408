"""All figures of a study: their names, titles and captions, and how they become PNGs."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from pipeline.comparison.figures import DPI, write_plots
from pipeline.comparison.style import LIGHT, Theme
from pipeline.studies.synthetic.findings.plots import (
    best_so_far_figure,
    gap_figure,
    growth_figure,
    overfitting_figure,
)
from pipeline.studies.synthetic.findings.plots_diagnostics import (
    critic_figure,
    horizon_figure,
    hyperparameter_figure,
    outputs_figure,
    spread_figure,
)
from pipeline.studies.synthetic.results import ALGORITHMS, StudyResults

Draw = Callable[[StudyResults, Theme], Figure | None]


@dataclass(frozen=True)
class StudyFigure:
    """A figure of the report."""

    name: str
    title: str
    caption: str
    draw: Draw


def _hyperparameters(algorithm: str) -> Draw:
    return lambda results, theme: hyperparameter_figure(results, algorithm, theme)


FIGURES: tuple[StudyFigure, ...] = (
    StudyFigure(
        "1-gap", "Figure 1. Test loss above the reference policy",
        "Selected configuration of each method. Dots: mean over seeds with its 95 % interval; "
        "small circles: the seeds. Settings 2 and 3: the reference is DS BASE trained on the "
        "test trajectories, so a small gap remains for everyone.",
        gap_figure,
    ),
    StudyFigure(
        "2-best-so-far", "Figure 2. Best-so-far loss against the number of configurations tried",
        "The configuration that validates best among the first k goes to test; mean over all "
        "orders in which the configurations could have been tried.",
        best_so_far_figure,
    ),
    StudyFigure(
        "3-horizon", "Figure 3. DS BASE in setting 4: more days, or more SKUs?",
        "Test cost above the best policy's. Mean over seeds with 95 % interval; every seed draws "
        "its own SKUs.",
        horizon_figure,
    ),
    StudyFigure(
        "4-critic", "Figure 4. Critic loss over the first 10,000 updates",
        "DDPG NONE and BASE with the same hyperparameters; each starts at its action model's own "
        "sensible first output. Thin: seeds; bold: their geometric "
        "mean; losses are counted in the size of their targets.",
        critic_figure,
    ),
    StudyFigure(
        "5a-overfitting", "Figure 5a. Validation against test loss of DDPG and DS",
        "Every run of the sweeps. Above the line: worse on test than validation promised.",
        overfitting_figure,
    ),
    StudyFigure(
        "5b-growth", "Figure 5b. More and more training trajectories",
        "The selected configuration of each method, trained on other numbers of trajectories "
        "(validated on as many); mean over seeds with 95 % interval. Far outliers are cut.",
        growth_figure,
    ),
    StudyFigure(
        "6-spread", "Figure 6. How much the configuration matters",
        "Test loss of every configuration that was tried, seed 0.",
        spread_figure,
    ),
    StudyFigure(
        "7-outputs", "Figure 7. What the network says when the inventory changes",
        "Output of the selected policies on a day in mid-horizon. The best policy orders up to a "
        "level: as an order (NONE) that is a line of slope −1, as a level (BASE) a constant.",
        outputs_figure,
    ),
    *(
        StudyFigure(
            f"8-hyperparameters-{algorithm}",
            f"Figure 8. Hyperparameters of {algorithm.upper()}",
            "Test loss relative to the reference policy's of every configuration, all settings.",
            _hyperparameters(algorithm),
        )
        for algorithm in ALGORITHMS
    ),
)  # fmt: skip


def render(results: StudyResults, theme: Theme = LIGHT) -> dict[str, bytes]:
    """Every figure as a PNG, by name; those whose experiment was not run are left out."""
    images = {}
    for figure in FIGURES:
        drawn = figure.draw(results, theme)
        if drawn is not None:
            buffer = io.BytesIO()
            drawn.savefig(buffer, format="png", dpi=DPI)
            images[figure.name] = buffer.getvalue()
    return images


def save_figures(directory: Path) -> list[Path]:
    """Draws a measured study into ``STUDY/figures/*.png``.

    Raises:
        ConfigError: The folder holds no measured study.
    """
    return write_plots(render(StudyResults.read(directory)), directory / "figures")
