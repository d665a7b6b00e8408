"""How inventories are cut into tiles."""

from __future__ import annotations

from dataclasses import dataclass

from envs.errors import DataError
from pipeline.data.schema import TRAIN, VALIDATION
from pipeline.tools.progress import LOG


@dataclass(frozen=True)
class TilePlan:
    """A tile to be made: rows [first, first + rows) in panel order."""

    number: int
    first: int
    rows: int
    split: str


def plan_tiles(inventories: int, tile_rows: int, validation_share: float) -> list[TilePlan]:
    """Cut N inventories into tiles: training first, then validation, never mixed.

    A share above 0 keeps at least one inventory for validation, and always one for training.
    Where none is kept (a share of 0, or a single inventory), training inventories are validated
    on, and the log says so (see `Panel.tiles`).

    Raises:
        DataError: The share is not in [0, 1).
    """
    if not 0 <= validation_share < 1:
        raise DataError("validation_share", validation_share, "Use a share, 0 or more, below 1.")
    least = 1 if validation_share > 0 else 0
    validation = min(max(round(validation_share * inventories), least), inventories - 1)
    if validation == 0:
        LOG.warning(
            f"No inventory of {inventories:,} is kept for validation: it uses those of training."
        )
    plans: list[TilePlan] = []
    first = 0
    for split, count in ((TRAIN, inventories - validation), (VALIDATION, validation)):
        end = first + count
        while first < end:
            rows = min(tile_rows, end - first)
            plans.append(TilePlan(len(plans), first, rows, split))
            first += rows
    return plans
