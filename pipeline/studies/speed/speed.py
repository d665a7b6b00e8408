"""Runs the sections that were asked for, prints them and writes the history."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
import pandas as pd
import torch

from pipeline.studies.speed import history, scaling, sections
from pipeline.studies.speed.limits import load, measure_limits
from pipeline.studies.speed.products import products
from pipeline.studies.speed.timing import Row, table

RATES: dict[str, Callable[..., list[Row]]] = {
    "products": products,
    "dynamics": sections.dynamics,
    "rollouts": sections.rollouts,
    "training": sections.training,
    "through_rllib": sections.through_rllib,
    "inventories": scaling.inventories,
    "shapes": scaling.shapes,
    "runners": scaling.runners,
}
TABLES: dict[str, Callable[[], pd.DataFrame]] = {
    "sizes": lambda: pd.DataFrame(scaling.sizes()),
    "memory": scaling.bench_memory,
}


def run_speed(names: Sequence[str], rounds: int, path: Path) -> None:
    """Prints a table per section; appends one entry to the history at ``path``."""
    torch.set_num_threads(1)
    limits = measure_limits()
    click.echo(
        f"One thread: {limits.flops / 1e9:.1f} GFLOP/s (float32, [2048, 64] x [64, 64]), "
        f"{limits.bandwidth / 1e9:.1f} GB/s copied; {load()} processes wanted a core."
    )
    rows: list[Row] = []
    tables: dict[str, list[dict[str, Any]]] = {}
    for name in names:
        if name in RATES:
            found = RATES[name](limits, rounds=rounds)
            rows += found
            _print(name, _readable(found))
        else:
            frame = TABLES[name]()
            tables[name] = frame.to_dict("records")
            _print(name, frame.round(1))
    new = history.entry(rows, tables, limits)
    for sentence in history.slower(history.read(path), new):
        click.echo(f"SLOWER  {sentence}")
    history.append(path, new)
    click.echo(f"Added to {path}.")


def _readable(rows: list[Row]) -> pd.DataFrame:
    frame = table(rows)
    return pd.DataFrame(
        {
            "what": frame["what"],
            "cpu_s": frame["cpu_s"].map("{:.3f}".format),
            "M_per_cpu_s": (frame["rate"] / 1e6).map("{:,.3f}".format),
            "best": (frame["best_rate"] / 1e6).map("{:,.3f}".format),
            "unit": frame["unit"],
            "of_matrix_rate": frame["matrix_share"].map(_percent),
            "of_bandwidth": frame["memory_share"].map(_percent),
        }
    )


def _percent(share: float) -> str:
    return "" if pd.isna(share) else f"{share:.0%}"


def _print(name: str, frame: pd.DataFrame) -> None:
    click.echo(f"\n{name}\n{frame.to_string(index=False)}")
