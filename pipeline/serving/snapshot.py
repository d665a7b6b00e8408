"""A day's snapshot: all that a decision needs, one row per inventory, in one Parquet file.

It is made from a data set as of a morning (:func:`make_snapshot`), with the features of
:mod:`pipeline.features.build`, and read tile by tile (:func:`read_snapshot`) to decide orders.
``docs/data-formats.md`` says the same in prose. K: days that an order may still be on its way.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray

from envs.errors import DataError
from envs.orders import whole_units
from envs.rollout import rollout
from envs.state import EXPECTED, ORDER_SIZES
from pipeline.data.days import reviewed
from pipeline.data.panel import RawTile, TileRef
from pipeline.evaluation.play import PolicyFor
from pipeline.features.build import BASIS, FEATURES, build_features, order_sizes
from pipeline.features.forecast import DayFactors
from pipeline.features.outlook import varying
from pipeline.features.plan import missing_quantities
from pipeline.scenarios.dataset import DatasetSource
from pipeline.scenarios.start import evaluation_start
from pipeline.serving.stock import BadStock, Stock, StockTable
from pipeline.tools.progress import Progress
from pipeline.tools.streamed import StreamedParquet

SCALARS: dict[str, pa.DataType] = {
    "inventory_id": pa.string(),
    "date": pa.date32(),
    "sales_class": pa.string(),
    "due": pa.bool_(),
    "on_hand": pa.float32(),
    "lead_time": pa.int16(),
    "review_period": pa.int16(),
    "shortage_cost": pa.float32(),
    "holding_cost": pa.float32(),
    **{name: pa.float32() for name in ORDER_SIZES},
    "backlog": pa.bool_(),
    "forecast": pa.string(),
    "plan": pa.string(),
    "plan_missing": pa.string(),
    "scale": pa.float32(),
    **{name: pa.float32() for name in EXPECTED},
}
"""Columns with one value; ``forecast`` is :func:`forecast_mark`, ``plan`` says whether it is known,
``plan_missing`` :func:`plan_missing`, and :data:`~envs.state.EXPECTED` is what rules of orders look
at."""
LISTS: dict[str, int | None] = {"on_order": None, "basis": len(BASIS), "features": len(FEATURES)}
"""Columns with a list of float32, and its length (None: K)."""


def snapshot_schema(max_lead_time: int) -> pa.Schema:
    """Arrow schema of a snapshot whose ``on_order`` holds arrivals in 1..K days."""
    fields = [pa.field(name, kind, nullable=False) for name, kind in SCALARS.items()]
    element = pa.field("element", pa.float32(), nullable=False)
    for name, length in LISTS.items():
        kind = pa.list_(element, max_lead_time if length is None else length)
        fields.append(pa.field(name, kind, nullable=False))
    return pa.schema(fields)


def forecast_mark(factors: DayFactors | None) -> str:
    """Tells forecasters, and definitions of the features, apart.

    A model must see features that were made as those it was trained on.
    """
    content = json.dumps([asdict(factors) if factors else None, FEATURES, BASIS], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:16]


PLAN_KNOWN, PLAN_MISSING = "known", "missing"


def plan_missing(source: DatasetSource, raw: RawTile, day: int) -> NDArray[np.object_]:
    """[n] what is not known of the protection period to come; empty where all is."""
    lead, review = (raw.static[name].astype(np.int64) for name in ("lead_time", "review_period"))
    return missing_quantities(
        raw.dynamic, varying(source.factors, raw.static["category"]), day,
        torch.as_tensor(lead + review),
    )  # fmt: skip


@dataclass(frozen=True)
class Snapshot:
    """What :func:`make_snapshot` wrote; it stands for its file wherever a path is asked for."""

    path: Path
    inventories: int
    no_plan: Mapping[str, int]
    """Quantities that are not known, as in the column ``plan_missing`` -> inventories."""
    stock: tuple[str, ...] = ()
    """A line for each kind of stock that could not be right."""

    def __fspath__(self) -> str:
        return str(self.path)

    def frame(self) -> pd.DataFrame:
        """All rows."""
        return pd.read_parquet(self.path)

    def __str__(self) -> str:
        """In words, for the terminal."""
        text = f"{self.inventories:,} inventories"
        if self.no_plan:
            missing = "; ".join(f"{n:,} {names}" for names, n in sorted(self.no_plan.items()))
            text += (
                f"\n{sum(self.no_plan.values()):,} of them have no plan for all days of their "
                f"protection period; missing: {missing}"
            )
        return "\n".join((text, *self.stock))


def make_snapshot(
    source: DatasetSource,
    out: Path,
    *,
    day: int | None = None,
    stock: Path | None = None,
    bad_stock: BadStock = "zero",
    played: PolicyFor | None = None,
) -> Snapshot:
    """Writes the snapshot of a data set as of the morning of a day, tile by tile.

    Demand of earlier days is known, and of later ones what the data set knows ahead: of days
    after its last one only what its days ahead hold. Where that is less than the protection
    period, the plan counts as far as it goes, and the column ``plan_missing`` says what is missing.

    Args:
        source: The data set, with the forecaster of the model that will decide.
        out: Parquet file to write; it is whole or absent.
        day: 1..T, numbered as in the data set; None for T, the morning after its last day.
        stock: See :class:`~pipeline.serving.stock.StockTable`; None for one demand scale on hand
            and nothing on order, as every evaluation starts.
        bad_stock: What becomes of stock that cannot be right; an arrival in more than K days
            counts as one in K days.
        played: Instead: the stock that this policy leaves after it has played the test days.
            Only for the morning after the last of them.

    Returns:
        Rows written, how many inventories have no plan, and what was wrong with the stock.

    Raises:
        DataError: The day is not in the data, the stock has nothing to do with it, or rows of it
            are refused.
        ConfigError: ``out`` cannot be written.
    """
    day = _checked_day(source, day)
    assert played is None or (day == source.panel.manifest.num_days and stock is None)
    tiles = source.panel.tiles()
    progress = Progress(f"snapshot of day {day}", len(tiles), "tiles")
    table = StockTable(source, stock, bad_stock) if stock is not None else None
    rows, marks = 0, Counter[str]()
    notes: tuple[str, ...] = ()
    with StreamedParquet(out, snapshot_schema(source.max_lead_time)) as file:
        for number, tile in enumerate(tiles):
            given = None if table is None else table.read(tile)
            if played is not None:
                given = _stock_left(source, number, played)
            morning = _morning(source, tile, day, given)
            file.write(morning)
            for mark in morning.column("plan_missing").value_counts():
                marks[mark["values"].as_py()] += mark["counts"].as_py()
            rows += len(morning)
            progress.add(1)
        if table is not None:
            notes = table.finish()
        file.finish()
    del marks[""]
    return Snapshot(out, rows, marks, notes)


def _checked_day(source: DatasetSource, day: int | None) -> int:
    manifest = source.panel.manifest
    if manifest.spans:
        raise DataError(
            "data", str(source.directory),
            "Make the snapshot of one of the data sets that it was made of.",
            "is a pool, whose inventories have no morning in common",
        )  # fmt: skip
    days = manifest.num_days
    day = days if day is None else day
    if not 1 <= day <= days:
        raise DataError(
            "day", day, f"Use a day from 1 to {days} ({days}: the morning after the last day)."
        )
    return day


def _morning(source: DatasetSource, tile: TileRef, day: int, stock: Stock | None) -> pa.Table:
    """A tile's rows; ``day`` as in :func:`make_snapshot`."""
    manifest = source.panel.manifest
    raw = source.panel.read(tile)
    made = build_features(
        raw.static, raw.dynamic, source.factors, manifest.first_day.weekday(),
        first=day, stop=day + 1,
    )  # fmt: skip
    static, n = raw.static, tile.rows
    if stock is None:
        on_hand = whole_units(made.scale[0], order_sizes(static)["order_multiple"])
        stock = Stock(on_hand.numpy(), np.zeros((n, source.max_lead_time), np.float32))
    unknown = plan_missing(source, raw, day)
    columns: dict[str, Any] = {
        "inventory_id": static["inventory_id"],
        "date": np.full(n, manifest.day(day), dtype="datetime64[D]"),
        "sales_class": np.asarray(static["sales_class"]).astype(str),
        "due": reviewed(manifest.first_day, day, static["review_period"], static["review_offset"]),
        "on_hand": stock.on_hand,
        "backlog": np.full(n, manifest.backlog),
        "forecast": pa.repeat(forecast_mark(source.factors), n),
        "plan": np.where(unknown == "", PLAN_KNOWN, PLAN_MISSING),
        "plan_missing": unknown,
        "scale": made.scale[0].numpy(),
        "on_order": stock.on_order,
        "basis": made.basis[0].numpy(),
        "features": made.features[0].numpy(),
    }
    for name in ("lead_time", "review_period", "shortage_cost", "holding_cost", *ORDER_SIZES):
        columns[name] = static[name]
    for name, value in zip(EXPECTED, made.expected, strict=True):
        columns[name] = value[0].numpy()
    table = table_of(columns, snapshot_schema(source.max_lead_time))
    return table if stock.kept is None else table.filter(pa.array(stock.kept))


@torch.no_grad()
def _stock_left(source: DatasetSource, tile: int, policy_for: PolicyFor) -> Stock:
    scenario = source.open("test", tile)[1]
    seen, policy = policy_for(scenario)
    left = rollout(seen, policy, evaluation_start(scenario)).final.stack().numpy()
    return Stock(left[:, 0], left[:, 1:])


def table_of(columns: Mapping[str, Any], schema: pa.Schema) -> pa.Table:
    """Arrow table from arrays; a 2-d array becomes a column of fixed-size lists."""
    arrays = []
    for field in schema:
        values = columns[field.name]
        if pa.types.is_fixed_size_list(field.type):
            flat = pa.array(np.ascontiguousarray(values, dtype=np.float32).reshape(-1))
            arrays.append(pa.FixedSizeListArray.from_arrays(flat, type=field.type))
        else:
            arrays.append(pa.array(values, field.type))
    return pa.Table.from_arrays(arrays, schema=schema)


def matrix(column: pa.Array) -> torch.Tensor:
    """[n, length] float32 of a column of fixed-size lists."""
    width = column.type.list_size
    return torch.from_numpy(np.array(column.flatten()).reshape(len(column), width))


def open_snapshot(path: Path) -> pq.ParquetFile:
    """Opens a snapshot and checks its columns' names.

    Raises:
        DataError: It is missing, is not Parquet, is empty or lacks a column.
    """
    try:
        file = pq.ParquetFile(path)
    except (OSError, pa.ArrowException) as error:
        raise DataError(
            "snapshot", str(path), "Name a file that `python -m pipeline data snapshot` wrote.",
            f"cannot be read ({str(error).splitlines()[0]})",
        ) from None  # fmt: skip
    if file.metadata.num_rows == 0:
        raise DataError("snapshot", str(path), "Give a row per inventory.", "is empty")
    names = file.schema_arrow.names
    if missing := [name for name in (*SCALARS, *LISTS) if name not in names]:
        raise DataError(
            f"column of {path.name}", missing[0],
            "Add it, or make the snapshot again with `python -m pipeline data snapshot`.",
            "is missing",
        )  # fmt: skip
    return file


def read_snapshot(path: Path, file: pq.ParquetFile, rows: int) -> Iterator[pa.RecordBatch]:
    """The columns of a snapshot in batches of at most ``rows`` inventories.

    Raises:
        DataError: The file is damaged.
    """
    batches = file.iter_batches(rows, columns=[*SCALARS, *LISTS], use_threads=True)
    while True:
        try:
            batch = next(batches, None)
        except (OSError, pa.ArrowException) as error:
            raise DataError(
                "snapshot", str(path), "Make it again with `python -m pipeline data snapshot`.",
                f"is damaged ({str(error).splitlines()[0]})",
            ) from None  # fmt: skip
        if batch is None:
            return
        yield batch
