"""Whether inventories can be played on a data set's days."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from envs.errors import DataError
from pipeline.data.order_rules import check_order_rules, order_columns
from pipeline.data.panel import Panel
from pipeline.data.schema import ORDER_COLUMNS

Array = npt.NDArray[Any]


def validate_inventories(panel: Panel) -> None:
    """Check that every inventory can be played on its days; training calls it first.

    Reads the terms of inventories.parquet and applies `check_inventories`.

    Raises:
        DataError: Naming the first inventory that breaks a rule, its value and the rule.
    """
    optional = [name for name in panel.static_columns() if name in ORDER_COLUMNS]
    table = panel.read_inventories([*CHECKED_COLUMNS, *optional])
    columns = {name: table.column(name).to_numpy() for name in table.column_names}
    columns |= order_columns(columns, panel.manifest.order_multiple, len(table))
    first = 0
    for span in panel.spans:
        rows = slice(first, first + span.inventories)
        own = {name: values[rows] for name, values in columns.items()}
        check_inventories(own, len(span.days("train")), len(span.days("test")))
        first = rows.stop


CHECKED_COLUMNS = (
    "inventory_id", "lead_time", "lead_time_jitter", "review_period", "review_offset",
    "fill_min", "shortage_cost", "holding_cost", "weight",
)  # fmt: skip


def check_inventories(columns: Mapping[str, Array], train_days: int, test_days: int) -> None:
    """Check supply terms and costs of inventories.

    An order must be able to arrive, and at least one day to be counted, on the training days
    and on the test days: lead_time + lead_time_jitter + review_period <= either. A column that
    is absent is not checked.

    Args:
        columns: `CHECKED_COLUMNS`, and `ORDER_COLUMNS` if there are any, each [n].

    Raises:
        DataError: Naming the first inventory that breaks a rule, its value and the rule.
    """
    names = ("lead_time", "lead_time_jitter", "review_period", "review_offset")
    lead, jitter, period, offset = (columns[name].astype(np.int64) for name in names)
    fill, span = columns["fill_min"], lead + jitter + period
    too_long = (
        f"does not fit the data: there are {train_days} training days and {test_days} test days"
    )
    rules: list[tuple[str, Array, Array, str]] = [
        ("lead_time", lead, lead >= 0, "is negative"),
        ("lead_time_jitter", jitter, jitter >= 0, "is negative"),
        ("review_period", period, period >= 1, "is below 1"),
        ("review_offset", offset, (offset >= 0) & (offset < period), "is not in [0, P)"),
        ("fill_min", fill, (fill >= 0) & (fill <= 1), "is not in [0, 1]"),
        (" + ".join(names[:3]), span, span <= min(train_days, test_days), too_long),
    ]
    for name in ("holding_cost", "shortage_cost"):
        if name in columns:
            values = columns[name]
            good = np.isfinite(values) & (values > 0)
            rules.append((name, values, good, "is not above 0"))
    if "weight" in columns:
        weight = columns["weight"]
        good = np.isfinite(weight) & (weight >= 0)
        rules.append(("weight", weight, good, "is negative or not a number"))
    for name, values, good, problem in rules:
        if not good.all():
            row = int(np.argmin(good))
            remedy = "Correct the inventory's attributes"
            if problem is too_long:
                remedy += (
                    ", draw shorter terms (--max-lead-time, --max-review-period), or use more "
                    "days or fewer --history-days"
                )
            raise DataError(
                f"{name} of inventory {columns['inventory_id'][row]}",
                values[row].item(),
                f"{remedy}, and make the data set again ({np.count_nonzero(~good):,} of "
                f"{len(good):,} inventories looked at).",
                problem,
            )

    if all(name in columns for name in ORDER_COLUMNS):
        check_order_rules(columns, columns["inventory_id"])
