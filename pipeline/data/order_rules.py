"""Pack size, minimum and largest order of each inventory, as data sets state them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from envs.errors import DataError
from pipeline.data.schema import ORDER_COLUMNS

Array = npt.NDArray[Any]
TOLERANCE = 1e-4
"""Of a pack: a size so close to a multiple counts as that multiple."""


def order_columns(static: Mapping[str, Array], multiple: float, rows: int) -> dict[str, Array]:
    """All of `ORDER_COLUMNS`, [n] float64; what a data set leaves open holds for all alike.

    Args:
        static: Columns of inventories.parquet.
        multiple: The manifest's pack size.
        rows: n.
    """
    of_all = dict(zip(ORDER_COLUMNS, (multiple, 0.0, np.inf), strict=True))
    columns = {}
    for name, value in of_all.items():
        stated = np.asarray(static.get(name, np.full(rows, np.nan)), dtype=np.float64)
        columns[name] = np.where(np.isnan(stated), value, stated)
    return columns


def check_order_rules(columns: Mapping[str, Array], ids: Array) -> None:
    """Check that every inventory can be ordered.

    Args:
        columns: As `order_columns` gives them; NaN where the manifest's pack size will hold.
        ids: [n] names, for the message.

    Raises:
        DataError: Naming the first inventory whose size is negative or infinite, or whose largest
            order is below its smallest: the minimum in whole packs, or a pack.
    """
    multiple, minimum, largest = (columns[name] for name in ORDER_COLUMNS)
    for name, values, good in (
        ("order_multiple", multiple, (multiple >= 0) & (multiple < np.inf)),
        ("order_min", minimum, (minimum >= 0) & (minimum < np.inf)),
        ("order_max", largest, largest > 0),
    ):
        good |= np.isnan(values)
        if not good.all():
            row = int(np.argmin(good))
            raise DataError(
                f"{name} of inventory {ids[row]}", values[row].item(),
                "Use a number of units of at least 0, or leave it blank.", "is out of range",
            )  # fmt: skip
    packs = np.nan_to_num(multiple)
    smallest = smallest_sizes(minimum, packs)
    # As in largest_order(): a maximum so close below a multiple holds it.
    good = ~(largest < smallest - TOLERANCE * packs)
    if not good.all():
        row = int(np.argmin(good))
        raise DataError(
            f"order_max of inventory {ids[row]}", largest[row].item(),
            f"Raise it to {smallest[row]:g} or more, or lower order_min ({minimum[row]:g}) or "
            f"order_multiple ({packs[row]:g}).",
            f"is below the smallest order that may be given, {smallest[row]:g}",
        )  # fmt: skip


def smallest_sizes(minimum: Array, multiple: Array) -> Array:
    """[n] the least that an order must be able to be: the minimum in whole packs, or a pack."""
    with np.errstate(divide="ignore", invalid="ignore"):
        whole = np.ceil(minimum / multiple - TOLERANCE) * multiple
        sizes: Array = np.where(multiple > 0, np.maximum(whole, multiple), minimum)
    return sizes
