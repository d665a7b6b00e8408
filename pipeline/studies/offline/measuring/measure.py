"""Writes the tables of a piece: ``OFFLINE/tables/<piece>-<table>.csv``."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pandas as pd

from pipeline.runs.sweep import Sweep
from pipeline.studies.offline.folder import OfflineFolder
from pipeline.studies.offline.measuring.groups import group_table
from pipeline.studies.offline.measuring.play import rows_of, samples
from pipeline.studies.offline.measuring.pooling import pool_table
from pipeline.studies.offline.measuring.published import pair_table, published_table
from pipeline.studies.offline.measuring.special import (
    budget_table,
    conditioning_table,
    credit_table,
    sensitivity_table,
)
from pipeline.studies.offline.pieces import MAIN, PIECES, SETS, Piece
from pipeline.tools.progress import LOG

Tables = dict[str, pd.DataFrame]


def measure(folder: OfflineFolder, piece: Piece) -> None:
    """Measures the sweeps of a piece that are finished, and writes its tables.

    Policies that were played already are not played again.
    """
    sweeps = folder.sweeps(piece)
    if not sweeps:
        return
    for name, table in KINDS[piece.kind](folder, sweeps).items():
        folder.write(piece, name, table)
        LOG.info(f"{piece.name}: table {name}, {len(table)} rows")


def _published(folder: OfflineFolder, sweeps: Mapping[str, Sweep]) -> Tables:
    return _main(sweeps[MAIN], pooled=False)


def _main(sweep: Sweep, *, pooled: bool) -> Tables:
    rows = rows_of(sweep)
    drawn = samples(rows, sweep.objective)
    return {
        "published": published_table(drawn),
        "pairs": pair_table(drawn),
        "groups": group_table(rows, pooled=pooled),
    }


def _pool(folder: OfflineFolder, sweeps: Mapping[str, Sweep]) -> Tables:
    """The pool's policies on each set need the sweeps of both."""
    tables = _main(sweeps[MAIN], pooled=True)
    alone: dict[str, Sweep | None] = {}
    for data in SETS:
        alone[data] = folder.sweeps(PIECES[f"{data}-cost"]).get(MAIN)
    own = {data: sweep for data, sweep in alone.items() if sweep is not None}
    for data in set(SETS) - set(own):
        LOG.info(f"pool: run the piece {data}-cost, then this one again, to compare them")
    return tables | ({"alone": pool_table(sweeps[MAIN], own)} if own else {})


KINDS: Mapping[str, Callable[[OfflineFolder, Mapping[str, Sweep]], Tables]] = {
    "published": _published,
    "pool": _pool,
    "credit": lambda _, sweeps: {"credit": credit_table(sweeps)},
    "budget": lambda _, sweeps: {"budget": budget_table(sweeps)},
    "conditioning": lambda _, sweeps: {"conditioning": conditioning_table(sweeps)},
    "sensitivity": lambda _, sweeps: {"sensitivity": sensitivity_table(sweeps[MAIN])},
}
"""What is made of a piece."""
