"""What all imports share: options, prices of days without one, and writing a tile."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from envs.errors import DataError
from pipeline.data.panel import check_inventories
from pipeline.data.quality import DEFAULT_MAX_BAD_SHARE
from pipeline.data.schema import (
    DEFAULT_HISTORY_DAYS,
    DEFAULT_TILE_ROWS,
    DEFAULT_VALIDATION_SHARE,
)
from pipeline.data.terms import SupplyTerms
from pipeline.data.writer import PanelWriter

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class ImportOptions:
    """What every import can be told.

    Args:
        seed: Of the order of the inventories, the split and the drawn supply terms.
        name: In the manifest; default: the folder's name.
        history_days: Days that only feed features.
        test_start: First test day; default: the last 28 % of the days are the test.
        validation_share: Share of the inventories kept for validation.
        tile_rows: Inventories per tile.
        terms: How supply terms are drawn.
        order_multiple, backlog: As in the manifest.
        max_bad_share: Largest accepted share of quarantined rows.
        overwrite: Replace an existing data set.
    """

    seed: int = 1
    name: str | None = None
    history_days: int = DEFAULT_HISTORY_DAYS
    test_start: int | None = None
    validation_share: float = DEFAULT_VALIDATION_SHARE
    tile_rows: int = DEFAULT_TILE_ROWS
    terms: SupplyTerms = field(default_factory=SupplyTerms)
    order_multiple: float = 0.0
    backlog: bool = False
    max_bad_share: float = DEFAULT_MAX_BAD_SHARE
    overwrite: bool = False

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise DataError("seed", self.seed, "Use 0 or more.")
        if not 0 <= self.max_bad_share <= 1:
            raise DataError("max_bad_share", self.max_bad_share, "Use a share, 0 to 1.")

    def rng(self, *key: int) -> np.random.Generator:
        """A random generator of this import's own, fixed by the seed and `key`."""
        return np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=key))


def carry(values: Array) -> Array:
    """Fill NaN with the last known value of the row, or else with the next one.

    Args:
        values: [n, T]; a row may be all NaN and then stays so.
    """
    columns = np.arange(values.shape[1])
    known = ~np.isnan(values)
    last = np.maximum.accumulate(np.where(known, columns, -1), axis=1)
    first = np.argmax(known, axis=1)[:, None]
    return np.take_along_axis(values, np.where(last >= 0, last, first), axis=1)


def regular_price(price: Array, on_sale: Array, test_start: int) -> Array:
    """[n] median price over the days on sale before the test; NaN if there is none."""
    shown = np.where(on_sale[:, :test_start] == 1, price[:, :test_start], np.nan)
    result = np.full(len(price), np.nan)
    some = ~np.isnan(shown).all(axis=1)
    result[some] = np.nanmedian(shown[some], axis=1)
    return np.where(some, result, price[:, 0])


def write_tile(
    writer: PanelWriter, static: Mapping[str, Any], dynamic: Mapping[str, Array], split: str
) -> None:
    """Check the supply terms of a tile and write it.

    Raises:
        DataError: An inventory cannot be played on these days (`check_inventories`).
    """
    spec = writer.spec
    columns = {name: np.asarray(values) for name, values in static.items()}
    check_inventories(columns, spec.test_start - spec.history_days, spec.num_days - spec.test_start)
    on_sale = dynamic["on_sale"][:, : spec.num_days]
    demand = np.where((on_sale == 1) & (dynamic["known"] == 1), dynamic["demand"], 0)
    writer.write(static, {**dynamic, "demand": demand}, split)


def read_columns(path: Path, found: list[str], required: list[str]) -> None:
    """Raise DataError unless `found` has all `required` columns of the file `path`."""
    if missing := [name for name in required if name not in found]:
        raise DataError(
            f"column of {path.name}",
            missing[0],
            f"Add it; the file has {', '.join(found[:20])}{' ...' if len(found) > 20 else ''}.",
            "is missing",
        )
