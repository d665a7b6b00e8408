"""Runs the parts of the offline study's pieces; the same call resumes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.comparison.compare import compare
from pipeline.comparison.report import write_report
from pipeline.runs.sweep import Sweep
from pipeline.studies.offline.measuring.play import play_selected
from pipeline.studies.offline.pieces import Part, Piece
from tuning.preset import Preset, load_preset, merged
from tuning.sweep import SweepPlan, run_sweep

PRESET, SMOKE = "offline", "offline-smoke"


def presets_of(piece: Piece, name: str = PRESET) -> dict[str, Preset]:
    """What the parts of a piece train, by part.

    Args:
        piece: Of the study.
        name: The preset that all parts start from.

    Raises:
        ConfigError: A key or value of one is wrong.
    """
    return {part.name: preset_of(part, name) for part in piece.parts}


def preset_of(part: Part, name: str = PRESET) -> Preset:
    """What a part trains: the preset with the part's keys, at its budget."""
    start = load_preset(name)
    plans = {a: scaled(p.model_dump(), part.budget) for a, p in start.algorithms.items()}
    over = merged({"name": f"{name}-{part.name}", "algorithms": plans}, dict(part.over))
    if name == SMOKE:
        over |= {key: min(over[key], 2) for key in ("configurations", "seeds") if key in over}
    return load_preset(name, over)


def scaled(plan: Mapping[str, Any], budget: float) -> dict[str, Any]:
    """The lengths of an algorithm's plan at a budget: as many validations, further apart.

    Args:
        plan: Of a preset, as plain values.
        budget: Times its iterations.
    """
    every: int = max(1, round(plan["validate_every"] * budget))

    def whole(iterations: int) -> int:
        return max(1, round(iterations * budget / every)) * every

    iterations = plan["iterations"]
    return {
        "validate_every": every,
        "checkpoint_every": whole(plan["checkpoint_every"]),
        "iterations": {model: whole(count) for model, count in iterations.items()}
        if isinstance(iterations, Mapping)
        else whole(iterations),
    }


def run_part(
    part: Part, plan: SweepPlan, on_trial: Callable[[Path], None] = lambda folder: None
) -> tuple[Sweep, pd.DataFrame | None]:
    """Trains a part's sweep and plays its policies on later days.

    Args:
        part: Of a piece.
        plan: Its sweep, of one of :func:`presets_of`.
        on_trial: Called with the folder of every trial that has ended.

    Returns:
        The sweep, and its table if it is one that is compared.
    """
    sweep = run_sweep(plan, on_trial=on_trial)
    if not part.compared:
        play_selected(sweep)
        return sweep, None
    table = compare(plan.directory)
    write_report(plan.directory)
    return sweep, table
