"""Data-quality rules: bad rows are counted, quarantined and stated, never silently fixed.

Every import writes the rows that break a rule to `OUT.quarantine.parquet` beside OUT, and stops
when their share is too large. The demand of a quarantined row's day is not known (`known` = 0),
which is neither zero demand nor off sale; a row under one of `FLAWS` keeps its demand.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from envs.errors import DataError
from pipeline.tools.files import partial_of, put_in_place

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
    "demand_off_sale": "demand is positive on a day when the item was not on sale",
    "duplicate_day": "the inventory has several rows for this day (all of them are quarantined)",
    "gap": "days without a row between the inventory's first and last row (one line per gap)",
    "bad_price": "the price is not a positive number; the demand counts",
    "bad_flag": "promotion, event, snap, on_sale or known is neither 0 nor 1; the demand counts",
    "bad_on_hand": "on_hand is not a number; the demand counts",
}
FLAWS = ("bad_price", "bad_flag", "bad_on_hand")
"""Rules whose rows keep their demand: the value is taken as missing, and no share stops."""
CONSEQUENCE = (
    "each day concerned is stored with unknown demand (known = 0), not as zero demand; a row "
    "without a usable id or date is left out"
)
EXAMPLES = 3

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
        self._partial = partial_of(self.path, own=True)
        self._writer: pq.ParquetWriter | None = None
        self.counts: Counter[str] = Counter()
        """Rule -> bad rows (for gaps: missing days)."""
        self.examples: dict[str, list[str]] = {}
        """Rule -> the first rows, in words."""

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
            put_in_place(self._partial, self.path)

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
        shown = self.examples.setdefault(rule, [])
        for i in range(min(n, EXAMPLES - len(shown))):
            shown.append(_in_words(rows[i], sku[i], warehouse[i], date[i], text[i]))
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
        """Rows so far whose demand does not count, missing days of gaps included."""
        return sum(count for rule, count in self.counts.items() if rule not in FLAWS)

    def stop_if_beyond(
        self, max_share: float, rows: int, remedies: Mapping[str, str] | None = None
    ) -> None:
        """Stop the import when too many rows are bad.

        Args:
            max_share: Largest accepted share.
            rows: Rows looked at; missing days of gaps are added to them.
            remedies: Rule -> what to do about it, if there is something better than to correct
                the source.

        Raises:
            DataError: The share is beyond `max_share`; the message has the count of every rule,
                and examples and remedy of the most frequent one.
        """
        share = self.bad / max(rows + self.counts["gap"], 1)
        if share > max_share:
            ranked = [(rule, n) for rule, n in self.counts.most_common() if rule not in FLAWS]
            counts = ", ".join(f"{rule} {count:,}" for rule, count in ranked)
            first = ranked[0][0]
            remedy = f"Look at {self.path}, and correct the source"
            frequent = [rule for rule, n in ranked if rule == first or n > max_share * rows]
            if meant := [remedies[rule] for rule in frequent if remedies and rule in remedies]:
                remedy = f"{'. '.join(meant)}. Else look at {self.path}, and correct the source"
            if first != "gap":  # a hole does not close by accepting more of them
                remedy += ", or accept that these days are unknown with --max-bad-share"
            raise DataError(
                "bad rows",
                f"{share:.2%} ({counts})",
                f"{remedy}.",
                f"is beyond the accepted share of {max_share:.2%}: {RULES[first]}, e.g. "
                f"{'; '.join(self.examples[first])}",
            )

    def describe(self, rows: int) -> str:
        """What happened, for the manifest and the terminal."""
        flaws = ", ".join(f"{rule} {self.counts[rule]:,}" for rule in FLAWS if self.counts[rule])
        if flaws:
            flaws = (
                f" Values of {flaws} rows cannot be used and are taken as missing; the demand of "
                "these rows counts."
            )
        if not self.bad:
            passed = "passed all quality rules" if not flaws else "have a usable demand"
            return f"{rows:,} rows {passed}.{flaws}"
        counts = ", ".join(
            f"{rule} {count:,}" for rule, count in self.counts.most_common() if rule not in FLAWS
        )
        return f"Of {rows:,} rows, {self.bad:,} were quarantined ({counts}): {CONSEQUENCE}.{flaws}"


def _in_words(
    row: int | None, sku: str | None, warehouse: str | None, date: str | None, values: str
) -> str:
    """A bad row in a message: where it is and what it holds."""
    given = {name: value for name, value in json.loads(values).items() if value is not None}
    for name, value in (("sku", sku), ("warehouse", warehouse), ("date", date)):
        given.setdefault(name, value)
    if row is None:  # a gap
        days = f"{given['first']} to {given['last']}"
        return f"{sku}@{warehouse} {days if given['days'] > 1 else given['first']}"
    listed = ("sku", "warehouse", "date", "demand")
    text = ", ".join(f"{name} {given[name]}" for name in listed if given.get(name) is not None)
    return f"row {row} ({text})"


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
