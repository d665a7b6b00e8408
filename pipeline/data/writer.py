"""Writes a data-set folder tile by tile; memory does not grow with the number of tiles.

(Eight bytes per inventory are the exception: the demand totals that sales classes need.)
The folder appears under its name only when it is complete: everything is written into
`.NAME.<pid>.partial` beside it, which is renamed at the end.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from envs.errors import DataError
from pipeline.data.order_rules import check_order_rules, order_columns
from pipeline.data.parts import (
    PanelSpec,
    PartSummary,
    PartWriter,
    file_info,
    part_name,
    staging_name,
)
from pipeline.data.schema import (
    INVENTORIES,
    MANIFEST,
    PANEL,
    SALES_CLASS_BOUNDS,
    SALES_CLASSES,
    TILES_PER_PART,
    Manifest,
    inventories_schema,
    quantity_infos,
)
from pipeline.tools.files import partial_of, put_in_place

Array = npt.NDArray[Any]


class PanelWriter:
    """Writes a data set; a context manager. `OUT` appears at `finish()`, or not at all.

    Args:
        out: The data-set folder to make.
        spec: What the manifest will say.
        overwrite: Replace `out` if it is a data set. Anything else is never replaced.

    Raises:
        DataError: `out` exists and may not be replaced, or cannot be written.
    """

    def __init__(self, out: str | Path, spec: PanelSpec, overwrite: bool = False) -> None:
        self.out, self.spec = Path(out), spec
        check_out(self.out, overwrite)
        self.directory = partial_of(self.out, own=True)
        self._parts: dict[int, PartSummary] = {}
        self._part: PartWriter | None = None
        try:
            self.directory.mkdir(parents=True)
            (self.directory / PANEL).mkdir()
        except OSError as error:
            raise _unwritable(self.out, error) from error

    def __enter__(self) -> PanelWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        shutil.rmtree(self.directory, ignore_errors=True)
        if isinstance(error, OSError):  # a full disk, a vanished mount
            raise _unwritable(self.out, error) from error

    def write(self, static: Mapping[str, Any], dynamic: Mapping[str, Array], split: str) -> None:
        """Append a tile; the arguments are those of `PartWriter.write`."""
        if self._part is None:
            self._part = PartWriter(self.directory, self.spec, len(self._parts))
        self._part.write(static, dynamic, split)
        if self._part.tiles == TILES_PER_PART:
            self._close_part()

    def add_part(self, part: PartSummary) -> None:
        """Take over a part that a `PartWriter`, here or in another process, has finished."""
        assert self._part is None
        self._parts[part.number] = part

    def finish(self, note: str = "") -> Manifest:
        """Write inventories.parquet and the manifest, and give the folder its name.

        Args:
            note: Added to the manifest's `source`: what is known only at the end.
        """
        if self._part is not None:
            self._close_part()
        parts = [self._parts[number] for number in sorted(self._parts)]
        assert [part.number for part in parts] == list(range(len(parts)))
        rows = sum(sum(part.tile_rows) for part in parts)
        if rows == 0:
            raise DataError("inventories", 0, "Name a source that has some.", "is empty")
        classes = sales_classes(np.concatenate([part.demand_total for part in parts]))
        self._write_inventories(parts, classes)
        spec = self.spec
        multiple = spec.order_multiple
        if multiple is None:
            multiple = 1.0 if all(part.whole for part in parts) else 0.0
            if not multiple:
                note += (
                    " Some demand is not in whole units: orders may be of any size "
                    "(--order-multiple 1 makes them whole)."
                )
            self._check_orders(multiple)
        files = {INVENTORIES: file_info(self.directory / INVENTORIES, rows)}
        files |= {part_name(part.number): part.info for part in parts}
        manifest = Manifest(
            name=spec.name,
            source=f"{spec.source} {note}".strip(),
            seed=spec.seed,
            first_day=spec.first_day,
            num_days=spec.num_days,
            ahead_days=spec.ahead_days,
            num_inventories=rows,
            tile_rows=spec.tile_rows,
            history_days=spec.history_days,
            test_start=spec.test_start,
            quantities=quantity_infos(spec.optional_quantities),
            order_multiple=multiple,
            backlog=spec.backlog,
            weight_meaning=spec.weight_meaning,
            files=files,
        )
        manifest.write(self.directory)
        self._rename()
        return manifest

    def _close_part(self) -> None:
        assert self._part is not None
        summary = self._part.close()
        self._parts[summary.number] = summary
        self._part = None

    def _write_inventories(self, parts: list[PartSummary], classes: Array) -> None:
        names = np.asarray(SALES_CLASSES, dtype=object)
        schema = inventories_schema(self.spec.order_columns)
        column = schema.get_field_index("sales_class")
        first = 0
        path = self.directory / INVENTORIES
        with pq.ParquetWriter(path, schema, compression="zstd") as writer:
            for part in parts:
                staged = self.directory / staging_name(part.number)
                with pq.ParquetFile(staged) as file:
                    for tile, rows in enumerate(part.tile_rows):
                        named = pa.array(names[classes[first : first + rows]], pa.string())
                        table = file.read_row_group(tile)
                        table = table.set_column(column, table.schema.field(column), named)
                        writer.write_table(table, row_group_size=rows)
                        first += rows
                staged.unlink()

    def _check_orders(self, multiple: float) -> None:
        """What only the pack size tells, which all demand had to be seen for."""
        path, stated = self.directory / INVENTORIES, list(self.spec.order_columns)
        if not stated:
            return
        table = pq.read_table(path, columns=["inventory_id", *stated])
        columns = {name: table.column(name).to_numpy() for name in stated}
        check_order_rules(
            order_columns(columns, multiple, len(table)), table.column("inventory_id").to_numpy()
        )

    def _rename(self) -> None:
        try:
            put_in_place(self.directory, self.out)  # overwriting: checked at the start
        except OSError as error:
            raise _unwritable(self.out, error) from error


def check_out(out: Path, overwrite: bool) -> None:
    """Raise DataError if `out` exists and may not be replaced."""
    try:
        out.lstat()
    except FileNotFoundError:
        return
    except OSError as error:
        raise _unwritable(out, error) from error
    if out.is_dir() and not any(out.iterdir()):
        return
    if not out.is_dir() or not (out / MANIFEST).is_file():
        raise DataError(
            "out",
            str(out),
            "Name a new folder, or remove this one yourself.",
            "exists and is not a data set, so it is not replaced",
        )
    if not overwrite:
        raise DataError(
            "out",
            str(out),
            "Name a new folder, or give --overwrite to replace it.",
            "exists already",
        )


def sales_classes(demand_total: npt.NDArray[np.float64]) -> npt.NDArray[np.int8]:
    """Class of each inventory by its cumulative share of demand, as in `SALES_CLASS_BOUNDS`.

    Args:
        demand_total: [N] demand over the training days, units.

    Returns:
        [N] index into `SALES_CLASSES`. Ties keep panel order.
    """
    order = np.argsort(-demand_total, kind="stable")
    ranked = demand_total[order]
    before = np.cumsum(ranked) - ranked
    share = before / max(float(ranked.sum()), np.finfo(np.float64).tiny)
    bounds = np.asarray(list(SALES_CLASS_BOUNDS.values()))
    ranks = np.minimum(np.searchsorted(bounds, share, side="right"), len(bounds) - 1)
    classes = np.empty(len(demand_total), np.int8)
    classes[order] = ranks
    classes[demand_total <= 0] = SALES_CLASSES.index("Z")
    return classes


def _unwritable(out: Path, error: OSError) -> DataError:
    return DataError(
        "out",
        str(out),
        "Name a folder on a disk with room that you may write to.",
        f"cannot be written ({error.strerror or error})",
    )
