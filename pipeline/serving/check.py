"""What can be wrong with a snapshot that a person or a program has edited."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from envs.errors import DataError
from envs.state import EXPECTED, ObservationLayout
from pipeline.data.order_rules import TOLERANCE, smallest_sizes
from pipeline.features.build import FEATURES
from pipeline.serving.snapshot import LISTS, SCALARS

AGAIN = "Make the snapshot again with `python -m pipeline data snapshot`."
_UNIT_TOLERANCE = 1e-3


class SnapshotChecker:
    """Checks batch by batch; holds 8 bytes per inventory, for duplicates.

    Args:
        path: The snapshot, for messages.
        layout: Of the model that will decide.
        forecast: :func:`~pipeline.serving.snapshot.forecast_mark` of that model; None: it has none.
    """

    def __init__(self, path: Path, layout: ObservationLayout, forecast: str | None) -> None:
        self._path, self._layout, self._forecast = path, layout, forecast
        self._seen: list[NDArray[np.uint64]] = []
        self._date: object = None

    def typed(self, batch: pa.RecordBatch) -> pa.Table:
        """The batch with the contract's types and K columns of arrivals, values checked.

        Raises:
            DataError: Names the column, the inventory and its value, and what to do.
        """
        columns: dict[str, pa.Array] = {}
        for name, kind in SCALARS.items():
            columns[name] = self._cast(batch, name, kind)
        for name, length in LISTS.items():
            columns[name] = self._list(batch, name, length)
        table = pa.table(columns)
        self._check_values(table)
        ids = table.column("inventory_id").to_numpy()
        self._seen.append(pd.util.hash_array(ids))
        return table

    def finish(self, file: pq.ParquetFile) -> None:
        """Looks for inventories that are there twice, once all batches were seen.

        Raises:
            DataError: Names one.
        """
        hashes, counts = np.unique(np.concatenate(self._seen), return_counts=True)
        suspects = hashes[counts > 1]
        if not len(suspects):
            return
        found: set[str] = set()
        for batch in file.iter_batches(65_536, columns=["inventory_id"]):
            ids = batch.column(0).cast(pa.string()).to_numpy(zero_copy_only=False)
            for name in ids[np.isin(pd.util.hash_array(ids), suspects)]:
                if name in found:
                    raise DataError(
                        f"inventory_id in {self._path.name}", name, "Keep one row of each.",
                        "is there several times",
                    )  # fmt: skip
                found.add(name)

    def _cast(self, batch: pa.RecordBatch, name: str, kind: pa.DataType) -> pa.Array:
        column = batch.column(name)
        if column.null_count:
            row = int(np.argmax(column.is_null().to_numpy(zero_copy_only=False)))
            raise self._wrong(name, batch, row, "(missing)", "Fill it in.", "is missing")
        try:
            # Narrower numbers may lose digits, never whole days.
            return column.cast(kind, safe=not pa.types.is_floating(kind))
        except pa.ArrowException:
            raise DataError(
                f"column {name} of {self._path.name}", str(column.type),
                f"Write it as {kind}.", f"cannot be read as {kind}",
            ) from None  # fmt: skip

    def _list(self, batch: pa.RecordBatch, name: str, length: int | None) -> pa.Array:
        """A list column as fixed-size lists; pandas writes lists of variable size."""
        column = batch.column(name)
        if not (pa.types.is_list(column.type) or pa.types.is_fixed_size_list(column.type)
                or pa.types.is_large_list(column.type)):  # fmt: skip
            raise DataError(
                f"column {name} of {self._path.name}", str(column.type),
                "Write a list of float32 per inventory.", "is no list",
            )  # fmt: skip
        if column.null_count:
            row = int(np.argmax(column.is_null().to_numpy(zero_copy_only=False)))
            raise self._wrong(name, batch, row, "(missing)", "Fill it in.", "is missing")
        lengths = column.value_lengths().to_numpy(zero_copy_only=False)
        wanted = int(lengths[0]) if length is None else length
        if (lengths != wanted).any():
            row = int(np.argmax(lengths != wanted))
            raise self._wrong(
                name, batch, row, f"{lengths[row]} values", f"Give {wanted} values per inventory.",
                "has another length",
            )  # fmt: skip
        try:
            values = column.flatten().cast(pa.float32(), safe=False)
        except pa.ArrowException:
            raise DataError(
                f"column {name} of {self._path.name}", str(column.type),
                "Write a list of float32 per inventory.", "holds no numbers",
            ) from None  # fmt: skip
        flat = values.fill_null(float("nan")).to_numpy(zero_copy_only=False)
        matrix = flat.reshape(len(column), wanted)
        self._rule(name, batch, ~(~np.isfinite(matrix)).any(1), matrix, "Use finite numbers.",
                   "is not a number")  # fmt: skip
        if name == "on_order":
            matrix = self._arrivals(batch, matrix)
        array = pa.array(np.ascontiguousarray(matrix).reshape(-1))
        return pa.FixedSizeListArray.from_arrays(array, matrix.shape[1])

    def _arrivals(self, batch: pa.RecordBatch, matrix: NDArray[np.float32]) -> NDArray[np.float32]:
        """[n, K of the model]: fewer days are filled with 0, more must be 0."""
        longest = self._layout.max_lead_time
        self._rule("on_order", batch, ~(matrix < 0).any(1), matrix,
                   "Use quantities of at least 0.", "is negative")  # fmt: skip
        late = matrix[:, longest:]
        self._rule(
            "on_order", batch, ~late.any(1), matrix,
            f"Count them as arriving in {longest} days, as `data snapshot --stock` does.",
            f"arrives later than the {longest} days that the model knows",
        )  # fmt: skip
        missing = max(longest - matrix.shape[1], 0)
        return np.pad(matrix[:, :longest], ((0, 0), (0, missing)))

    def _check_values(self, table: pa.Table) -> None:
        value = {
            n: table.column(n).to_numpy()
            for n in SCALARS
            if n not in ("date", "sales_class", "forecast", "plan", "plan_missing")
        }
        longest = self._layout.max_lead_time
        lead, period = value["lead_time"].astype(int), value["review_period"].astype(int)
        b, h = value["shortage_cost"], value["holding_cost"]
        owed, multiple = value["backlog"], value["order_multiple"]
        least = smallest_sizes(value["order_min"], multiple) - TOLERANCE * multiple
        rules: list[tuple[str, NDArray[np.bool_], str, str]] = [
            ("inventory_id", value["inventory_id"] != "", "Name the inventory.", "is empty"),
            ("on_hand", np.isfinite(value["on_hand"]), "Use finite numbers.", "is not a number"),
            ("on_hand", (value["on_hand"] >= 0) | owed, "Correct the stock: where demand is lost "
             "it cannot be below 0.", "is negative"),
            ("lead_time", (lead >= 0) & (lead <= longest), f"Use 0 to {longest} days, or train on "
             "data with lead times as long as this.", "is not one that the model knows"),
            ("review_period", period >= 1, "Use 1 day or more.", "is below 1"),
            ("order_multiple", np.isfinite(multiple) & (multiple >= 0),
             "Use 0 for any quantity, else the pack size.", "is negative or not a number"),
            ("order_min", np.isfinite(value["order_min"]) & (value["order_min"] >= 0),
             "Use 0 for no minimum.", "is negative or not a number"),
            ("order_max", value["order_max"] >= least, "Raise it to the smallest order that "
             "may be given, the minimum in whole packs; infinity is no limit.",
             "is below the smallest order"),
            *((name, value[name] >= 0, AGAIN, "is below 0 or not a number") for name in EXPECTED),
            ("scale", np.isfinite(value["scale"]) & (value["scale"] > 0), AGAIN, "is not above 0"),
            *((name, np.isfinite(value[name]) & (value[name] > 0), "Use costs above 0.",
               "is not above 0") for name in ("shortage_cost", "holding_cost")),
        ]  # fmt: skip
        for name, good, remedy, problem in rules:
            self._rule(name, table, good, value[name], remedy, problem)
        features = table.column("features").combine_chunks()
        flat = features.flatten().to_numpy().reshape(len(table), -1)
        stated: dict[str, tuple[str, NDArray[np.float64]]] = {
            "lead_time": ("lead_time", lead / 14.0),
            "review_period": ("review_period", period / 7.0),
            "shortage_cost": ("critical_ratio", b / (b + h)),
        }
        for name, (feature, expected) in stated.items():
            good = np.abs(flat[:, FEATURES.index(feature)] - expected) < _UNIT_TOLERANCE
            self._rule(name, table, good, value[name], "Change it in the data set, and make the "
                       "snapshot again.", "was changed without its features")  # fmt: skip
        self._constant(table)

    def _constant(self, table: pa.Table) -> None:
        """One day, and features made as the model's."""
        dates = pc.unique(table.column("date")).to_pylist()
        self._date = dates[0] if self._date is None else self._date
        if dates != [self._date]:
            other = next(date for date in dates if date != self._date)
            raise DataError(
                f"date in {self._path.name}", str(other), "Give the rows of one day.",
                f"is another day than {self._date}",
            )  # fmt: skip
        for mark in pc.unique(table.column("forecast")).to_pylist():
            if self._forecast is not None and mark != self._forecast:
                raise DataError(
                    f"forecast in {self._path.name}", mark,
                    "Make the snapshot again with `data snapshot --model` and this model.",
                    f"is another forecaster than the model's ({self._forecast})",
                )  # fmt: skip

    def _rule(
        self, name: str, rows: pa.RecordBatch | pa.Table, good: Any,
        values: NDArray[np.generic], remedy: str, problem: str,
    ) -> None:  # fmt: skip
        if not good.all():
            row = int(np.argmin(good))
            raise self._wrong(name, rows, row, values[row].tolist(), remedy, problem)

    def _wrong(
        self, name: str, rows: pa.RecordBatch | pa.Table, row: int, value: object, remedy: str,
        problem: str,
    ) -> DataError:  # fmt: skip
        identity = rows.column("inventory_id")[row].as_py()
        return DataError(
            f"{name} of inventory {identity} in {self._path.name}", value, remedy, problem
        )
