"""Rows of the benchmark's tables, and how their times are taken."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from statistics import median

import pandas as pd

from pipeline.studies.speed.limits import Limits


@dataclass(frozen=True)
class Work:
    """Something to time.

    Args:
        play: Does it once and returns how many units (inventory-days, transitions) it did.
        flops: Float operations that a unit's matrix products take.
        bytes_moved: Bytes that a unit must read from and write to main memory.
    """

    play: Callable[[], int]
    flops: float = 0.0
    bytes_moved: float = 0.0


@dataclass(frozen=True)
class Row:
    """One line of a table and of the history."""

    section: str
    what: str
    cpu_s: float
    """CPU-seconds of one call (median)."""
    rate: float
    """Units per CPU-second: median over rounds."""
    best_rate: float
    unit: str = "inventory-days"
    matrix_share: float = float("nan")
    """Share of the measured float32 matrix rate."""
    memory_share: float = float("nan")
    """Share of the measured memory bandwidth."""


def take_turns(
    section: str,
    work: Mapping[str, Work],
    limits: Limits,
    *,
    rounds: int = 5,
    unit: str = "inventory-days",
) -> list[Row]:
    """Times every piece of work in every round, after one call that is not counted."""
    times: dict[str, list[tuple[int, float]]] = {what: [] for what in work}
    for what in work:
        work[what].play()
    gc.collect()
    for _ in range(rounds):
        for what, piece in work.items():
            start = time.process_time()
            units = piece.play()
            times[what].append((units, time.process_time() - start))
    return [as_row(section, what, work[what], times[what], limits, unit=unit) for what in work]


def as_row(
    section: str,
    what: str,
    work: Work,
    times: list[tuple[int, float]],
    limits: Limits,
    *,
    unit: str = "inventory-days",
) -> Row:
    """A row from (units, seconds) of several calls."""
    rates = [units / seconds for units, seconds in times]
    rate, nan = median(rates), float("nan")
    return Row(
        section=section,
        what=what,
        cpu_s=median(seconds for _, seconds in times),
        rate=rate,
        best_rate=max(rates),
        unit=unit,
        matrix_share=work.flops * rate / limits.flops if work.flops else nan,
        memory_share=work.bytes_moved * rate / limits.bandwidth if work.bytes_moved else nan,
    )


def table(rows: list[Row]) -> pd.DataFrame:
    """All fields, one row each."""
    return pd.DataFrame([asdict(row) for row in rows])
