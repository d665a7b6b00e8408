"""What all imports share: options, prices of days without one, and writing a tile."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from envs.errors import DataError
from pipeline.data.draws import Draws
from pipeline.data.order_rules import order_columns
from pipeline.data.playable import check_inventories
from pipeline.data.quality import DEFAULT_MAX_BAD_SHARE
from pipeline.data.schema import (
    DEFAULT_HISTORY_DAYS,
    DEFAULT_TILE_ROWS,
    DEFAULT_VALIDATION_SHARE,
    ORDER_COLUMNS,
    counting,
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
        order_multiple: As in the manifest; None: 1 if all demand is in whole units, else 0.
        backlog: As in the manifest.
        ahead_days: Days after the last day of demand to keep what is known ahead of, as far as
            the source goes; None: as far as a decision looks (`SupplyTerms.days_ahead`).
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
    order_multiple: float | None = None
    backlog: bool = False
    ahead_days: int | None = None
    max_bad_share: float = DEFAULT_MAX_BAD_SHARE
    overwrite: bool = False

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise DataError("seed", self.seed, "Use 0 or more.")
        if self.ahead_days is not None and self.ahead_days < 0:
            raise DataError("ahead_days", self.ahead_days, "Use 0 or more.")
        if not 0 <= self.max_bad_share <= 1:
            raise DataError("max_bad_share", self.max_bad_share, "Use a share, 0 to 1.")

    @property
    def days_ahead(self) -> int:
        """Most days ahead to keep: `ahead_days` or its default."""
        return self.terms.days_ahead if self.ahead_days is None else self.ahead_days

    def draws(self, inventory_ids: Iterable[str]) -> Draws:
        """Random numbers of this import for the inventories."""
        return Draws(self.seed, inventory_ids)


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


def regular_price(price: Array, on_sale: Array, history_days: int) -> Array:
    """Price that costs are a share of: known when the first decision is made, whatever is tested.

    Args:
        price: [n, T], carried.
        on_sale: [n, T].
        history_days: The first days, on which nothing is decided.

    Returns:
        [n] median price over the days of history on sale; of an item that comes later the price
        on its first day on sale; NaN if there is no price at all.
    """
    history = slice(0, history_days)
    shown = np.where(on_sale[:, history] == 1, price[:, history], np.nan)
    first = np.argmax(on_sale == 1, axis=1)[:, None]
    result: Array = np.take_along_axis(price, first, axis=1)[:, 0].astype(np.float64)
    some = ~np.isnan(shown).all(axis=1)
    result[some] = np.nanmedian(shown[some], axis=1)
    return result


def write_tile(
    writer: PanelWriter, static: Mapping[str, Any], dynamic: Mapping[str, Array], split: str
) -> None:
    """Check the supply terms of a tile and write it.

    Raises:
        DataError: An inventory cannot be played on these days (`check_inventories`).
    """
    spec = writer.spec
    columns = {name: np.asarray(values) for name, values in static.items()}
    if any(name in columns for name in ORDER_COLUMNS):
        columns |= order_columns(columns, spec.order_multiple or 0.0, len(dynamic["demand"]))
    check_inventories(columns, spec.test_start - spec.history_days, spec.num_days - spec.test_start)
    on_sale = dynamic["on_sale"][:, : spec.num_days]
    demand = np.where((on_sale == 1) & (counting(dynamic) == 1), dynamic["demand"], 0)
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
