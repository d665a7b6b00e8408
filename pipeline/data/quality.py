"""Data-quality rules: bad rows are counted, quarantined and stated, never silently fixed.

Every import writes the rows that break a rule to `OUT.quarantine.parquet` beside OUT, and stops
when their share is too large. The day of a quarantined row becomes off sale (demand unknown),
not a day of zero demand.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from envs.errors import DataError

Array = npt.NDArray[Any]

DEFAULT_MAX_BAD_SHARE = 0.01
MAX_DEMAND = 1e7
MAX_TIMES_MEDIAN = 1000.0

RULES: dict[str, str] = {
    "unknown_id": "sku or warehouse is missing, or not in the inventory attributes",
    "bad_date": "the date is missing or cannot be parsed",
    "missing_demand": "the demand is missing or not a number",
    "negative_demand": "the demand is negative",
    "absurd_demand": f"the demand is above {MAX_DEMAND:g}, or above {MAX_TIMES_MEDIAN:g} times the "
    "median of the inventory's positive demand",
    "bad_price": "the price is not a positive number",
    "bad_flag": "promotion, event, snap or on_sale is neither 0 nor 1",
    "demand_off_sale": "demand is positive on a day when the item was not on sale",
    "duplicate_day": "the inventory has several rows for this day (all of them are quarantined)",
    "gap": "days without a row between the inventory's first and last row (one line per gap)",
}
CONSEQUENCE = (
    "each day concerned is stored as off sale (on_sale = 0, demand 0), not as zero demand; a row "
    "without a usable id or date is left out"
)

_SCHEMA = pa.schema(
    [
        ("row", pa.int64()),
        ("rule", pa.string()),
        ("reason", pa.string()),
        ("sku", pa.string()),
        ("warehouse", pa.string()),
        ("date", pa.string()),
        ("values", pa.string()),
    ]
)


class Quarantine:
    """Collects bad rows in a file; a context manager, so that the file is closed in any case.

    The file has the columns row (number of the row in the source, from 1, no header counted;
    null for a gap), rule, reason, sku, warehouse, date (ISO; null if unusable) and values (the
    row's values as JSON). It is written even when the import stops, and not at all (an older
    one is removed) when no row is bad.

    Args:
        out: The data-set folder; the file is `OUT.quarantine.parquet`.

    Raises:
        DataError: The file cannot be written.
    """

    def __init__(self, out: str | Path) -> None:
        out = Path(out)
        self.path = out.with_name(f"{out.name}.quarantine.parquet")
        self._partial = self.path.with_name(f".{self.path.name}.{os.getpid()}.partial")
        self._writer: pq.ParquetWriter | None = None
        self.counts: Counter[str] = Counter()
        """Rule -> bad rows (for gaps: missing days)."""

    def __enter__(self) -> Quarantine:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._unwritable(error) from error
        return self

    def __exit__(self, *_: object) -> None:
        if self._writer is None:
            self.path.unlink(missing_ok=True)
        else:
            self._writer.close()
            self._partial.replace(self.path)

    def add(
        self,
        rule: str,
        *,
        rows: Sequence[int | None],
        sku: Sequence[str | None],
        warehouse: Sequence[str | None],
        date: Sequence[str | None],
        values: Sequence[dict[str, Any]] | Sequence[str],
        count: int | None = None,
    ) -> None:
        """Quarantine rows under a rule.

        Args:
            rule: A key of `RULES`.
            rows, sku, warehouse, date: One entry per row.
            values: The rows' values, as dicts or as JSON.
            count: What to count; default: the number of rows.
        """
        if not rows:
            return
        self.counts[rule] += len(rows) if count is None else count
        text = [v if isinstance(v, str) else json.dumps(v, default=str) for v in values]
        n = len(rows)
        table = pa.table(
            [
                list(rows),
                [rule] * n,
                [RULES[rule]] * n,
                list(sku),
                list(warehouse),
                list(date),
                text,
            ],
            schema=_SCHEMA,
        )
        if self._writer is None:
            try:
                self._writer = pq.ParquetWriter(self._partial, _SCHEMA, compression="zstd")
            except OSError as error:
                raise self._unwritable(error) from error
        self._writer.write_table(table)

    def _unwritable(self, error: OSError) -> DataError:
        return DataError(
            "quarantine",
            str(self.path),
            "Name an OUT in a folder that you may write to.",
            f"cannot be written ({error.strerror or error})",
        )

    @property
    def bad(self) -> int:
        """Bad rows so far, missing days of gaps included."""
        return sum(self.counts.values())

    def stop_if_beyond(self, max_share: float, rows: int) -> None:
        """Stop the import when too many rows are bad.

        Args:
            max_share: Largest accepted share.
            rows: Rows looked at; missing days of gaps are added to them.

        Raises:
            DataError: The share is beyond `max_share`; the message has the count of every rule.
        """
        share = self.bad / max(rows + self.counts["gap"], 1)
        if share > max_share:
            counts = ", ".join(f"{rule} {count:,}" for rule, count in self.counts.most_common())
            raise DataError(
                "bad rows",
                f"{share:.2%} ({counts})",
                f"Look at {self.path}, correct the source, or accept them with --max-bad-share.",
                f"is beyond the accepted share of {max_share:.2%}",
            )

    def describe(self, rows: int) -> str:
        """What happened, for the manifest and the terminal."""
        if not self.bad:
            return f"{rows:,} rows passed all quality rules."
        counts = ", ".join(f"{rule} {count:,}" for rule, count in self.counts.most_common())
        return f"Of {rows:,} rows, {self.bad:,} were quarantined ({counts}): {CONSEQUENCE}."


def absurd(demand: Array) -> npt.NDArray[np.bool_]:
    """Which demands of each row are absurd (see `RULES`).

    Args:
        demand: [n, T], NaN where unknown.

    Returns:
        [n, T] True where absurd.
    """
    flags: npt.NDArray[np.bool_] = demand > MAX_DEMAND
    positive = np.where(demand > 0, demand, np.nan)
    with np.errstate(invalid="ignore"):
        least = np.where(np.isnan(positive), np.inf, positive).min(axis=1)
        most = np.where(np.isnan(positive), 0.0, positive).max(axis=1)
        # The median is at least the least demand: few rows need it.
        for row in np.flatnonzero(most > MAX_TIMES_MEDIAN * least):
            flags[row] |= demand[row] > MAX_TIMES_MEDIAN * np.nanmedian(positive[row])
    return flags
