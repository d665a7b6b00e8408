"""Reads a data-set folder tile by tile: a tile is one row group of a panel part, up to `tile_rows`
inventories of one split. Shape letters: n rows of the tile, T days of demand, A days ahead of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, Literal

import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from envs.errors import DataError
from pipeline.data.order_rules import order_columns
from pipeline.data.schema import (
    INVENTORIES,
    ORDER_COLUMNS,
    PANEL,
    QUANTITIES,
    SPLITS,
    STATIC_COLUMNS,
    TRAIN,
    Manifest,
    inventories_schema,
    panel_schema,
)

Split = Literal["train", "validation"]
Array = npt.NDArray[Any]


@dataclass(frozen=True)
class TileRef:
    """Where a tile is."""

    index: int
    """Number of the tile in the data set; also its row group in inventories.parquet."""
    part: str
    """Panel file, relative to the data set."""
    row_group: int
    """Row group in that file."""
    rows: int
    split: str
    first_row: int
    """Position of the tile's first inventory in panel order."""
    span: int = 0
    """Which of the panel's spans: the calendar of its inventories."""


@dataclass
class RawTile:
    """One tile as arrays. The dynamic arrays are read-only views of Arrow buffers."""

    inventory_id: Array
    """[n] object (str)."""
    static: dict[str, Array]
    """Column of inventories.parquet -> [n]; text columns are object arrays."""
    dynamic: dict[str, Array]
    """Quantity -> [n, T], or [n, T + A] if it is known ahead; dtype as in `ALL_QUANTITIES`."""
    span: int = 0
    """Of the tile; T and A are those of this span."""


class Panel:
    """A data set on disk.

    Opening reads the manifest and the Parquet footers, never a column. Nothing stays in memory
    but the list of tiles, so a `Panel` pickles to a few kilobytes and is cheap to send to a
    worker.

    Args:
        directory: The data-set folder.

    Raises:
        DataError: The manifest is missing or wrong, or a file is missing, truncated, or has
            other rows, columns or tiles than the manifest says. (`data check` also verifies
            checksums and values.)
    """

    def __init__(self, directory: str | PathLike[str]) -> None:
        self.directory = Path(directory)
        self.manifest = Manifest.read(self.directory)
        self.spans = self.manifest.all_spans
        self._metadata: dict[str, pq.FileMetaData] = {}
        self._tiles = self._open()

    def __fspath__(self) -> str:
        """Its folder: a panel stands for it wherever a path is asked for."""
        return str(self.directory)

    def __repr__(self) -> str:
        size = f"{self.manifest.num_inventories:,} inventories x {self.manifest.num_days} days"
        return f"Panel({str(self.directory)!r}: {size})"

    def __getstate__(self) -> dict[str, Any]:
        # Footers are re-read on demand by whoever receives the panel.
        return {**self.__dict__, "_metadata": {}}

    def tiles(self, split: Split | None = None) -> list[TileRef]:
        """The tiles of a split, or all of them (None), in panel order.

        Data without inventories for validation (`plan_tiles`) validate on those of training.

        Raises:
            DataError: `split` is neither train nor validation.
        """
        if split is None:
            return list(self._tiles)
        if split not in SPLITS:
            raise DataError("split", split, f"Use one of {', '.join(SPLITS)}, or None for all.")
        own = {name: [tile for tile in self._tiles if tile.split == name] for name in SPLITS}
        return own[split] or own[TRAIN]

    def read(self, tile: TileRef, quantities: Iterable[str] | None = None) -> RawTile:
        """Read one tile; only the quantities asked for (None: all) leave the disk.

        Raises:
            DataError: Unknown quantity, or the file is damaged (the message names it).
        """
        there = [*QUANTITIES, *self.spans[tile.span].optional_quantities]
        wanted = there if quantities is None else list(quantities)
        if unknown := [name for name in wanted if name not in there]:
            raise DataError("quantity", unknown[0], f"Use some of {', '.join(there)}.")
        static = self._read_row_group(INVENTORIES, tile.index, self.static_columns())
        columns = {name: _to_numpy(static.column(name)) for name in static.column_names}
        columns |= order_columns(columns, self.manifest.order_multiple, tile.rows)
        dynamic: dict[str, Array] = {}
        if wanted:
            table = self._read_row_group(tile.part, tile.row_group, wanted)
            for name in wanted:
                values = table.column(name).combine_chunks()
                if isinstance(values, pa.ChunkedArray):
                    values = values.chunk(0)
                flat = values.flatten().to_numpy(zero_copy_only=True)
                dynamic[name] = flat.reshape(tile.rows, -1)
        return RawTile(columns["inventory_id"], columns, dynamic, tile.span)

    def static_columns(self) -> list[str]:
        """Columns of inventories.parquet that are there."""
        there = set(self._footer(INVENTORIES).schema.names)
        return [*STATIC_COLUMNS, *(name for name in ORDER_COLUMNS if name in there)]

    def read_ids(self, tile: TileRef) -> Array:
        """[n] object: the inventory ids as the panel part has them; `data check` compares."""
        table = self._read_row_group(tile.part, tile.row_group, ["inventory_id"])
        return _to_numpy(table.column(0))

    def read_inventories(self, columns: Sequence[str] | None = None) -> pa.Table:
        """Columns of inventories.parquet (None: all), in panel order.

        Raises:
            DataError: Unknown column, or the file is damaged.
        """
        there = self.static_columns()
        wanted = there if columns is None else list(columns)
        if unknown := [name for name in wanted if name not in there]:
            raise DataError("column", unknown[0], f"Use some of {', '.join(there)}.")
        try:
            return pq.read_table(self.directory / INVENTORIES, columns=wanted, use_threads=False)
        except (OSError, pa.ArrowException) as error:
            raise _damaged(self.directory / INVENTORIES, error) from error

    def _read_row_group(self, name: str, row_group: int, columns: list[str]) -> pa.Table:
        path = self.directory / name
        try:
            # No memory map: a file that shrinks under a map kills the process.
            with pq.ParquetFile(path, metadata=self._footer(name)) as file:
                return file.read_row_group(row_group, columns=columns, use_threads=False)
        except (OSError, pa.ArrowException) as error:
            raise _damaged(path, error) from error

    def _footer(self, name: str) -> pq.FileMetaData:
        if name not in self._metadata:
            path = self.directory / name
            try:
                self._metadata[name] = pq.read_metadata(path)
            except (OSError, pa.ArrowException) as error:
                raise _damaged(path, error) from error
        return self._metadata[name]

    def _open(self) -> list[TileRef]:
        manifest = self.manifest
        if INVENTORIES not in manifest.files:
            raise _inconsistent("files", INVENTORIES, "is not listed in the manifest")
        for name, info in manifest.files.items():
            path = self.directory / name
            if not path.is_file():
                raise _inconsistent("file", str(path), "is listed in the manifest but is missing")
            if (size := path.stat().st_size) != info.bytes:
                raise _inconsistent(
                    "file",
                    str(path),
                    f"has {size:,} bytes and the manifest says {info.bytes:,}: it is truncated "
                    "or was changed",
                )
            if (rows := self._footer(name).num_rows) != info.rows:
                raise _inconsistent(
                    "file", str(path), f"has {rows:,} rows and the manifest says {info.rows:,}"
                )
        parts = sorted(name for name in manifest.files if name.startswith(f"{PANEL}/"))
        optional = [name for name in self.static_columns() if name in ORDER_COLUMNS]
        self._check_schema(INVENTORIES, inventories_schema(optional))
        spans = self._spans_of(parts)
        for part, span in spans.items():
            own = self.spans[span]
            schema = panel_schema(own.num_days, own.ahead_days, own.optional_quantities)
            self._check_schema(part, schema)
        return self._list_tiles(spans)

    def _spans_of(self, parts: list[str]) -> dict[str, int]:
        """Part -> the span of its inventories: parts of a span follow each other, and hold all."""
        left = [span.inventories for span in self.spans]
        found, span = {}, 0
        for part in parts:
            while span < len(left) - 1 and not left[span]:
                span += 1
            found[part] = span
            left[span] -= self._footer(part).num_rows
        if any(left):
            rows = self.manifest.num_inventories - sum(left)
            raise _inconsistent(
                "num_inventories", self.manifest.num_inventories,
                f"does not match the panel ({rows:,} rows)",
            )  # fmt: skip
        return found

    def _check_schema(self, name: str, expected: pa.Schema) -> None:
        path = self.directory / name
        found = self._footer(name).schema.to_arrow_schema()
        for field in expected:
            if field.name not in found.names:
                raise _inconsistent(f"column of {path.name}", field.name, "is missing")
            if (kind := found.field(field.name).type) != field.type:
                raise _inconsistent(
                    f"column of {path.name}", field.name, f"is {kind} and must be {field.type}"
                )

    def _list_tiles(self, parts: Mapping[str, int]) -> list[TileRef]:
        inventories = self._footer(INVENTORIES)
        split_column = list(STATIC_COLUMNS).index("split")
        tiles: list[TileRef] = []
        first_row = 0
        for part, span in parts.items():
            footer = self._footer(part)
            for row_group in range(footer.num_row_groups):
                index, rows = len(tiles), footer.row_group(row_group).num_rows
                if (
                    index >= inventories.num_row_groups
                    or inventories.row_group(index).num_rows != rows
                ):
                    raise _inconsistent(
                        "file",
                        str(self.directory / INVENTORIES),
                        f"has row groups that do not match tile {index} ({part})",
                    )
                statistics = inventories.row_group(index).column(split_column).statistics
                if statistics is None or statistics.min != statistics.max:
                    raise _inconsistent("split", f"tile {index}", "mixes train and validation")
                if statistics.min not in SPLITS:
                    raise _inconsistent("split", str(statistics.min), "is unknown")
                split = statistics.min
                tiles.append(TileRef(index, part, row_group, rows, split, first_row, span))
                first_row += rows
        if len(tiles) != inventories.num_row_groups:
            raise _inconsistent(
                "file", str(self.directory / INVENTORIES), "has more row groups than the panel"
            )
        return tiles


def _to_numpy(column: pa.ChunkedArray) -> Array:
    values: Array = column.to_numpy()
    return values


def _damaged(path: Path, error: Exception) -> DataError:
    return DataError(
        "file", str(path), "Make or copy the data set again.", f"cannot be read ({error})"
    )


def _inconsistent(field: str, value: object, problem: str) -> DataError:
    return DataError(field, value, "Make or copy the data set again.", problem)
