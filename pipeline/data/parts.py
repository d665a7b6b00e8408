"""Writes one panel part: up to 64 tiles, one row group each."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from envs.errors import DataError
from pipeline.data.days import check_days
from pipeline.data.schema import (
    ALL_QUANTITIES,
    DEFAULT_TEST_SHARE,
    DEFAULT_TILE_ROWS,
    DEFAULT_WEIGHT_MEANING,
    PANEL,
    QUANTITIES,
    SPLITS,
    TILES_PER_PART,
    FileInfo,
    counting,
    days_of,
    inventories_schema,
    panel_schema,
)

Array = npt.NDArray[Any]

# Long runs of one value: a dictionary would take time and save nothing.
_RUNS = ("known", "on_sale", "imputed")
_DICTIONARY = ["inventory_id", *(f"{q}.list.element" for q in QUANTITIES if q not in _RUNS)]


@dataclass(frozen=True)
class PanelSpec:
    """What the manifest will say, as far as it is known before the first tile.

    Raises:
        DataError: Days or tile size make no sense.
    """

    name: str
    source: str
    seed: int
    first_day: date
    num_days: int
    history_days: int
    test_start: int
    tile_rows: int = DEFAULT_TILE_ROWS
    order_multiple: float | None = None
    """None: 1 if all demand is in whole units, else 0."""
    backlog: bool = False
    weight_meaning: str = DEFAULT_WEIGHT_MEANING
    ahead_days: int = 0
    order_columns: tuple[str, ...] = ()
    """Which of `ORDER_COLUMNS` the tiles have."""
    optional_quantities: tuple[str, ...] = ()
    """Which of `OPTIONAL_QUANTITIES` the tiles have."""

    def __post_init__(self) -> None:
        try:
            check_days(self.num_days, self.history_days, self.test_start)
        except ValueError as error:
            raise DataError(
                "days",
                self.num_days,
                f"Use more days, fewer history days (--history-days {self.num_days // 4}), or "
                "another first test day (--test-start).",
                f"cannot be split: {error}",
            ) from error
        if self.tile_rows < 1:
            raise DataError("tile_rows", self.tile_rows, "Use 1 or more.")
        if self.order_multiple is not None and not 0 <= self.order_multiple < math.inf:
            raise DataError(
                "order_multiple", self.order_multiple,
                "Use the size of a pack, 0 for continuous orders, or auto.",
            )  # fmt: skip
        if self.ahead_days < 0:
            raise DataError("ahead_days", self.ahead_days, "Use 0 or more.")


def default_test_start(num_days: int) -> int:
    """First test day such that the last 28 % of the days are the test."""
    return num_days - max(1, round(DEFAULT_TEST_SHARE * num_days))


@dataclass(frozen=True)
class PartSummary:
    """A finished panel part; what `PanelWriter` needs to know about it."""

    number: int
    tile_rows: tuple[int, ...]
    demand_total: npt.NDArray[np.float64]
    """[rows of the part] demand over the training days; see `PartWriter.write`."""
    whole: bool
    """All demand is in whole units."""
    info: FileInfo


class PartWriter:
    """Writes one panel part and, in a staging file, the static columns of its inventories.

    Parts are independent: several processes may write different parts into one folder.

    Args:
        directory: The partial folder (`PanelWriter.directory`).
        spec: As given to `PanelWriter`.
        number: Number of the part, from 0.
    """

    def __init__(self, directory: Path, spec: PanelSpec, number: int) -> None:
        self._spec, self._number = spec, number
        self._path = directory / part_name(number)
        self._schema = panel_schema(spec.num_days, spec.ahead_days, spec.optional_quantities)
        self._panel = pq.ParquetWriter(
            self._path, self._schema, compression="zstd", use_dictionary=_DICTIONARY
        )
        schema = inventories_schema(spec.order_columns)
        self._static = pq.ParquetWriter(directory / staging_name(number), schema)
        self._tile_rows: list[int] = []
        self._totals: list[npt.NDArray[np.float64]] = []
        self._whole = True

    def write(self, static: Mapping[str, Any], dynamic: Mapping[str, Array], split: str) -> None:
        """Append a tile.

        Args:
            static: The columns of inventories.parquet, each [n], without split and
                sales_class; weight may be missing (default: see `DEFAULT_WEIGHT_MEANING`).
            dynamic: Every quantity, each [n, `days_of`]. Demand must be 0 on days off sale and
                on days when it is neither known nor imputed.
            split: train or validation.
        """
        demand = dynamic["demand"]
        n, num_days = demand.shape
        spec = self._spec
        assert split in SPLITS
        assert num_days == spec.num_days
        assert 0 < n <= spec.tile_rows
        assert len(self._tile_rows) < TILES_PER_PART
        arrays = [pa.array(static["inventory_id"], pa.string())]
        for name in (*QUANTITIES, *spec.optional_quantities):
            values = np.ascontiguousarray(dynamic[name], dtype=ALL_QUANTITIES[name].dtype)
            assert values.shape == (n, days_of(name, num_days, spec.ahead_days)), name
            kind = self._schema.field(name).type
            arrays.append(pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), type=kind))
        table = pa.Table.from_arrays(arrays, schema=self._schema)
        self._panel.write_table(table, row_group_size=n)
        window = slice(spec.history_days, spec.test_start)
        total = demand[:, window].sum(axis=1, dtype=np.float64)
        columns = {**static, "split": [split] * n, "sales_class": [""] * n}
        on_sale = dynamic["on_sale"][:, window] == 1
        observed = on_sale & (counting(dynamic)[:, window] == 1)
        rate = total / np.maximum(observed.sum(axis=1), 1)
        columns.setdefault("weight", rate.astype(np.float32))
        table = _static_table(columns, spec.order_columns)
        self._static.write_table(table, row_group_size=n)
        self._whole = self._whole and bool((demand == np.rint(demand)).all())
        self._tile_rows.append(n)
        # A day that nobody observed sells what the others do.
        self._totals.append(rate * on_sale.sum(axis=1))

    @property
    def tiles(self) -> int:
        """Tiles written so far."""
        return len(self._tile_rows)

    def close(self) -> PartSummary:
        """Finish the part's files and return its summary."""
        self._panel.close()
        self._static.close()
        return PartSummary(
            self._number,
            tuple(self._tile_rows),
            np.concatenate(self._totals),
            self._whole,
            file_info(self._path, sum(self._tile_rows)),
        )


def file_info(path: Path, rows: int) -> FileInfo:
    """Size and SHA-256 of a file, for the manifest."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return FileInfo(rows=rows, bytes=path.stat().st_size, sha256=digest)


def _static_table(columns: Mapping[str, Any], optional: Sequence[str]) -> pa.Table:
    schema = inventories_schema(optional)
    assert set(columns) == set(schema.names), set(columns) ^ set(schema.names)
    arrays = [pa.array(columns[field.name], field.type) for field in schema]
    return pa.Table.from_arrays(arrays, schema=schema)


def part_name(number: int) -> str:
    """Path of a panel part in the data set."""
    return f"{PANEL}/part-{number:05d}.parquet"


def staging_name(number: int) -> str:
    """Name of the file that holds a part's static columns until they are all known."""
    return f"static-{number:05d}.parquet"
