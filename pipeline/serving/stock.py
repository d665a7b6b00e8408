"""What is on hand and on order, from a planner's table, in the order of a data set.

Of a million rows there is always one that cannot be right: a booking that came before the
receipt, a late purchase order. Such rows are counted and named, and do not stop the orders of the
others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from envs.errors import DataError
from pipeline.data.panel import TileRef
from pipeline.data.schema import INVENTORIES
from pipeline.scenarios.dataset import DatasetSource

BadStock = Literal["zero", "skip", "refuse"]
"""Inventories whose stock cannot be right are counted with 0, left out, or refused."""

Mask = NDArray[np.bool_]


class _Problem(NamedTuple):
    words: str
    """What is wrong with N inventories; ``{k}``: K."""
    with_zero: str
    """What is made of it."""
    never_guessed: bool = False
    """Left out whatever was asked for: no number is likelier than another."""
    never_left_out: bool = False


_PROBLEMS = {
    "no_row": _Problem("have no row", "0 on hand"),
    "no_number": _Problem("have no number on hand", "0 on hand"),
    "unread_number": _Problem("have an on_hand that is no number", "", never_guessed=True),
    "negative": _Problem("have stock below 0", "0 on hand"),
    "arrivals": _Problem("have arrivals that are no quantities", "these count as 0"),
    "rows_differ": _Problem("have several rows that differ", "", never_guessed=True),
    "late": _Problem(
        "have arrivals in more than {k} days", "counted as arriving in {k}", never_left_out=True
    ),
}
_LEFT_OUT = "left out, no order"


class Stock(NamedTuple):
    """Stock of n inventories on a morning, units."""

    on_hand: NDArray[np.float32]
    """[n] today's arrivals included."""
    on_order: NDArray[np.float32]
    """[n, K] arrivals in 1..K days."""
    kept: Mask | None = None
    """[n] inventories that orders are decided for; None: all."""


class StockTable:
    """Reads a stock table in panel order, tile by tile; DuckDB joins it out of core.

    Args:
        source: The data set, whose longest lead time is K.
        path: Parquet or CSV with ``inventory_id``, ``on_hand`` and, optionally, ``on_order``
            (list of arrivals in 1, 2, ... days; shorter lists are filled with 0).
        bad: What becomes of inventories whose stock cannot be right. Rows of inventories that
            the data set does not have are counted, and refused with ``refuse``.

    Raises:
        DataError: The table is unreadable, lacks a column, or has none of the inventories.
    """

    def __init__(self, source: DatasetSource, path: Path, bad: BadStock = "zero") -> None:
        self._path, self._bad = path, bad
        self._days = source.max_lead_time
        self._owed = source.panel.manifest.backlog
        self._found: Counter[str] = Counter()
        self._first: dict[str, str] = {}
        self._kept = 0
        self._db = duckdb.connect()
        self._db.execute("SET memory_limit = '1GB'")
        inventories = _quoted(source.panel.directory / INVENTORIES)
        try:
            self._read_given()
            self._db.execute(
                "CREATE VIEW inventories AS SELECT inventory_id, file_row_number AS position "
                f"FROM read_parquet({inventories}, file_row_number = true)"
            )
            # A row that is there twice says the same twice; rows that differ contradict.
            self._db.execute(
                "CREATE TABLE stock AS SELECT inventory_id, first(on_hand) AS on_hand, "
                "first(on_order) AS on_order, bool_or(unread) AS unread, bool_or(odd) AS odd, "
                "count(*) AS versions "
                "FROM (SELECT DISTINCT * EXCLUDE written FROM given) GROUP BY inventory_id"
            )
        except duckdb.Error as error:
            raise DataError(
                "stock", str(path), "Name a Parquet or CSV file with inventory_id, on_hand (a "
                "number) and, if you like, on_order (a list of numbers).",
                f"cannot be read ({str(error).splitlines()[0]})",
            ) from None  # fmt: skip
        self._look_for_strangers()
        self._batches: Iterator[pa.RecordBatch] | None = None
        self._rest: pa.Table | None = None

    def _read_given(self) -> None:
        """View ``given``: an inventory's numbers, null where they cannot be read."""
        csv = self._path.suffix.lower() in (".csv", ".gz", ".txt", ".tsv")
        quoted = _quoted(self._path)
        table = f"read_csv({quoted}, all_varchar = true)" if csv else f"read_parquet({quoted})"
        head = self._db.sql(f"SELECT * FROM {table} LIMIT 0")
        # Names in capitals, as other systems write them, are the same to DuckDB.
        kinds = {
            name.lower(): str(kind) for name, kind in zip(head.columns, head.types, strict=True)
        }
        identity = "trim(CAST(inventory_id AS VARCHAR))"
        if "inventory_id" not in kinds and {"sku", "warehouse"} <= kinds.keys():
            identity = f"{_escaped('sku')} || '@' || {_escaped('warehouse')}"
            kinds["inventory_id"] = "VARCHAR"
        if missing := [name for name in ("inventory_id", "on_hand") if name not in kinds]:
            raise DataError(
                f"column of {self._path.name}", missing[0],
                "Add it (instead of inventory_id, sku and warehouse will do); the table has "
                f"{', '.join(head.columns[:20])}.", "is missing",
            )  # fmt: skip
        kind = kinds.get("on_order", "[]")
        if not kind.endswith("]") and kind not in ("VARCHAR", '"NULL"'):
            raise DataError(
                f"column on_order of {self._path.name}", kind,
                "Give a list of arrivals in 1, 2, ... days for each inventory.", "is no list",
            )  # fmt: skip
        arrivals, unread = "CAST([] AS DOUBLE[])", "false"
        if "on_order" in kinds:
            arrivals = "TRY_CAST(on_order AS DOUBLE[])"
            unread = f"on_order IS NOT NULL AND {arrivals} IS NULL"
        written = "CAST(on_hand AS VARCHAR)"
        number = "TRY_CAST(on_hand AS DOUBLE)"
        # A dash or a word is no number; "1,250" is one, and 0 would be a wrong one.
        odd = f"{number} IS NULL AND coalesce(regexp_matches({written}, '[0-9]'), false)"
        self._db.execute(
            f"CREATE VIEW given AS SELECT {identity} AS inventory_id, {number} AS on_hand, "
            f"{arrivals} AS on_order, {unread} AS unread, {odd} AS odd, {written} AS written "
            f"FROM {table}"
        )

    def _look_for_strangers(self) -> None:
        """Counts rows of inventories that the data set does not have; there must be others."""
        ((strangers, first, known, numbers),) = self._db.sql(
            "SELECT count(*) FILTER (position IS NULL), "
            "min(coalesce(inventory_id, '(missing)')) FILTER (position IS NULL), count(position), "
            "count(on_hand) FILTER (position IS NOT NULL) "
            "FROM stock LEFT JOIN inventories USING (inventory_id)"
        ).fetchall()
        self._strangers, self._first_stranger = int(strangers), str(first)
        if not known:
            ((example,),) = self._db.sql("SELECT inventory_id FROM inventories LIMIT 1").fetchall()
            raise DataError(
                f"inventory_id in {self._path.name}", first,
                f"Use the ids of the data set, such as {example}.", "is not in the data set, and "
                "neither is any other",
            )  # fmt: skip
        if not numbers:
            ((example,),) = self._db.sql("SELECT min(written) FROM given").fetchall()
            raise DataError(
                f"column on_hand of {self._path.name}", f"{example or '(blank)'} (all rows)",
                "Give units, with a point before decimals and no mark between thousands.",
                "holds no number",
            )  # fmt: skip

    def read(self, tile: TileRef) -> Stock:
        """Stock of a tile; tiles must be asked for in panel order."""
        if self._batches is None:
            # The same row order as the panel: one pass over both serves all tiles.
            reader = self._db.sql(
                "SELECT inventory_id, coalesce(versions, 0) AS versions, on_hand, on_order, "
                "coalesce(unread, false) AS unread, coalesce(odd, false) AS odd "
                "FROM inventories LEFT JOIN stock USING (inventory_id) ORDER BY position"
            ).to_arrow_reader(65_536)
            self._batches = iter(reader)
        while self._rest is None or len(self._rest) < tile.rows:
            batch = pa.Table.from_batches([next(self._batches)])
            self._rest = batch if self._rest is None else pa.concat_tables([self._rest, batch])
        table, self._rest = self._rest[: tile.rows], self._rest[tile.rows :]
        return self._judged(table.combine_chunks())

    def _judged(self, table: pa.Table) -> Stock:
        on_hand = table.column("on_hand").to_numpy().astype(np.float32)
        arrivals = _padded(table.column("on_order"), self._days)
        versions = table.column("versions").to_numpy()
        usable = np.isfinite(arrivals) & (arrivals >= 0)
        arrivals = np.where(usable, arrivals, 0.0)
        number, odd = np.isfinite(on_hand), table.column("odd").to_numpy()
        masks: dict[str, Mask] = {
            "no_row": versions == 0,
            "rows_differ": versions > 1,
            "unread_number": (versions == 1) & odd,
            "no_number": (versions == 1) & ~number & ~odd,
            "negative": (versions == 1) & (on_hand < 0) & (not self._owed),
            "arrivals": (versions == 1) & (~usable.all(1) | table.column("unread").to_numpy()),
            "late": (versions == 1) & (arrivals[:, self._days :] > 0).any(1),
        }
        kept = np.ones(len(table), bool)
        for name, mask in masks.items():
            if not mask.any():
                continue
            self._found[name] += int(mask.sum())
            identity = table.column("inventory_id")[int(np.argmax(mask))].as_py()
            self._first.setdefault(name, identity)
            if self._left_out(_PROBLEMS[name]):
                kept &= ~mask
        self._kept += int(kept.sum())
        on_hand = np.where(number & ((on_hand >= 0) | self._owed), on_hand, np.float32(0.0))
        if self._days:
            arrivals[:, self._days - 1] += arrivals[:, self._days :].sum(1)
        return Stock(on_hand, arrivals[:, : self._days].astype(np.float32), kept)

    def _left_out(self, problem: _Problem) -> bool:
        wanted = self._bad == "skip" and not problem.never_left_out
        return problem.never_guessed or wanted

    def finish(self) -> tuple[str, ...]:
        """A line for each kind of row that cannot be right, once all tiles were read.

        Raises:
            DataError: There are some, and they are to be refused; or no inventory is left.
        """
        lines: list[str] = []
        refused: list[str] = []
        if self._strangers:
            words = f"{self._strangers:,} are not in the data set (e.g. {self._first_stranger})"
            lines.append(f"{self._path.name}: of its inventories, {words}: not used")
            refused.append(words)
        for name, problem in _PROBLEMS.items():
            if count := self._found[name]:
                words = f"{count:,} {problem.words} (e.g. {self._first[name]})"
                done = _LEFT_OUT if self._left_out(problem) else problem.with_zero
                refused.append(words.format(k=self._days))
                lines.append(f"{self._path.name}: {words}: {done}".format(k=self._days))
        if refused and self._bad == "refuse":
            raise DataError(
                "stock", str(self._path),
                "Correct these rows, or use --bad-stock zero or skip to go on without them.",
                f"cannot be right: inventories, {'; '.join(refused)}",
            )  # fmt: skip
        if not self._kept:
            raise DataError(
                "stock", str(self._path), "Correct it, or use --bad-stock zero.",
                f"leaves no inventory to decide for: {'; '.join(lines)}",
            )  # fmt: skip
        return tuple(lines)


def _quoted(path: Path) -> str:
    """As SQL text."""
    return "'" + str(path).replace("'", "''") + "'"


def _escaped(name: str) -> str:
    """SQL: a part of an inventory's id, as `schema.inventory_ids` writes it."""
    text = f"trim(CAST({name} AS VARCHAR))"
    return f"replace(replace({text}, '\\', '\\\\'), '@', '\\@')"


def _padded(lists: pa.ChunkedArray, width: int) -> NDArray[np.float64]:
    """[n, width or the longest list] numbers; NaN for one that is missing, 0 after a list's end."""
    column = lists.combine_chunks()
    if isinstance(column, pa.ChunkedArray):
        column = column.chunk(0)
    lengths = np.asarray(column.value_lengths().fill_null(0).to_numpy(zero_copy_only=False))
    matrix = np.zeros((len(lengths), max(width, int(lengths.max(initial=0)))))
    filled = np.arange(matrix.shape[1]) < lengths[:, None]
    matrix[filled] = column.flatten().to_numpy(zero_copy_only=False)
    return matrix
