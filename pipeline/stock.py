"""What is on hand and on order, from a planner's table, in the order of a data set."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from envs.errors import DataError
from pipeline.data.panel import TileRef
from pipeline.data.schema import INVENTORIES
from pipeline.sources import DatasetSource

_HINT = "Give one row per inventory of the data set, with on_hand 0 where there is none."


class Stock(NamedTuple):
    """Stock of n inventories on a morning, units."""

    on_hand: NDArray[np.float32]
    """[n] today's arrivals included."""
    on_order: NDArray[np.float32]
    """[n, K] arrivals in 1..K days."""


class StockTable:
    """Reads a stock table in panel order, tile by tile; DuckDB joins it out of core.

    Args:
        source: The data set.
        path: Parquet with ``inventory_id``, ``on_hand`` and, optionally, ``on_order``
            (list of arrivals in 1, 2, ... days; shorter lists are filled with 0).

    Raises:
        DataError: The table is unreadable, lacks a column, names an inventory twice or one
            that the data set does not have, or lacks one.
    """

    def __init__(self, source: DatasetSource, path: Path) -> None:
        self._path = path
        try:
            names = pq.read_schema(path).names
        except (OSError, pa.ArrowException) as error:
            raise DataError(
                "stock", str(path), "Name a Parquet file with inventory_id and on_hand.",
                f"cannot be read ({str(error).splitlines()[0]})",
            ) from None  # fmt: skip
        if missing := [name for name in ("inventory_id", "on_hand") if name not in names]:
            raise DataError(f"column of {path.name}", missing[0], "Add it.", "is missing")
        self._db = duckdb.connect()
        self._db.execute("SET memory_limit = '1GB'")
        inventories = str(source.panel.directory / INVENTORIES).replace("'", "''")
        quoted = str(path).replace("'", "''")
        try:
            orders = "CAST(on_order AS FLOAT[])" if "on_order" in names else "CAST([] AS FLOAT[])"
            self._db.execute(
                "CREATE VIEW stock AS SELECT CAST(inventory_id AS VARCHAR) AS inventory_id, "
                f"CAST(on_hand AS FLOAT) AS on_hand, {orders} AS on_order "
                f"FROM read_parquet('{quoted}')"
            )
            self._db.execute(
                "CREATE VIEW inventories AS SELECT inventory_id, file_row_number AS position "
                f"FROM read_parquet('{inventories}', file_row_number = true)"
            )
            self._check()
            ((longest, _),) = self._db.sql(
                "SELECT max(len(on_order)), max(on_hand) FROM stock"  # reads every value
            ).fetchall()
        except duckdb.ConversionException as error:
            raise DataError(
                "stock", str(path), "Give numbers: on_hand one, on_order a list of them.",
                f"holds something else ({str(error).splitlines()[0]})",
            ) from None  # fmt: skip
        self.longest = int(longest or 0)
        """Longest list of arrivals, days."""
        self._batches: Iterator[pa.RecordBatch] | None = None
        self._rest: pa.Table | None = None

    def _check(self) -> None:
        rules = {
            "is there several times": "SELECT inventory_id FROM stock GROUP BY inventory_id "
            "HAVING count(*) > 1 LIMIT 1",
            "is not in the data set": "SELECT inventory_id FROM stock ANTI JOIN inventories "
            "USING (inventory_id) LIMIT 1",
            "is missing": "SELECT inventory_id FROM inventories ANTI JOIN stock "
            "USING (inventory_id) LIMIT 1",
        }
        for problem, query in rules.items():
            if found := self._db.sql(query).fetchall():
                raise DataError(
                    f"inventory_id in {self._path.name}", str(found[0][0]), _HINT, problem
                )

    def read(self, tile: TileRef, length: int) -> Stock:
        """Stock of a tile; tiles must be asked for in panel order.

        Args:
            tile: Of the data set.
            length: K.

        Raises:
            DataError: A quantity is missing or not a number.
        """
        if self._batches is None:
            # The same row order as the panel: one pass over both serves all tiles.
            reader = self._db.sql(
                "SELECT on_hand, on_order FROM inventories JOIN stock USING (inventory_id) "
                "ORDER BY position"
            ).to_arrow_reader(65_536)
            self._batches = iter(reader)
        while self._rest is None or len(self._rest) < tile.rows:
            batch = pa.Table.from_batches([next(self._batches)])
            self._rest = batch if self._rest is None else pa.concat_tables([self._rest, batch])
        table, self._rest = self._rest[: tile.rows], self._rest[tile.rows :]
        table = table.combine_chunks()
        on_hand = table.column("on_hand").to_numpy()
        lists = table.column("on_order").combine_chunks()
        if isinstance(lists, pa.ChunkedArray):
            lists = lists.chunk(0)
        lengths = np.asarray(lists.value_lengths().fill_null(0).to_numpy(zero_copy_only=False))
        on_order = np.zeros((tile.rows, length), np.float32)
        on_order[np.arange(length) < lengths[:, None]] = lists.flatten().to_numpy(
            zero_copy_only=False
        )
        for name, values in (("on_hand", on_hand), ("on_order", on_order)):
            if not np.isfinite(values).all():
                raise DataError(
                    f"{name} in {self._path.name}", "(missing)", _HINT, "is missing or no number"
                )
        return Stock(np.asarray(on_hand, np.float32), on_order)
