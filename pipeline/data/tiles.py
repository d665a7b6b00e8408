"""How inventories are cut into tiles."""

from __future__ import annotations

from dataclasses import dataclass

from envs.errors import DataError
from pipeline.data.schema import TRAIN, VALIDATION


@dataclass(frozen=True)
class TilePlan:
    """A tile to be made: rows [first, first + rows) in panel order."""

    number: int
    first: int
    rows: int
    split: str


def plan_tiles(inventories: int, tile_rows: int, validation_share: float) -> list[TilePlan]:
    """Cut N inventories into tiles: training first, then validation, never mixed.

    Raises:
        DataError: The share is not in [0, 1), or leaves a split empty.
    """
    if not 0 <= validation_share < 1:
        raise DataError("validation_share", validation_share, "Use a share, 0 or more, below 1.")
    validation = round(validation_share * inventories)
    if validation == 0 < validation_share or validation == inventories:
        raise DataError(
            "validation_share",
            validation_share,
            "Use more inventories or another share.",
            f"leaves a split of the {inventories} inventories empty",
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
