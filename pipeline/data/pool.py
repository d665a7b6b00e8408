"""Several data sets as one, for one policy: each inventory keeps its own days.

Nothing of an inventory changes but its category, which gets its data set's name in front: days,
demand, costs, split and sales class stay, and whatever is drawn for it, for the seed of its data
set stays. Panel files are copied as they are.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from envs.errors import DataError
from pipeline.data.days import Span
from pipeline.data.panel import Panel, TileRef
from pipeline.data.parts import file_info, part_name
from pipeline.data.schema import (
    INVENTORIES,
    ORDER_COLUMNS,
    PANEL,
    FileInfo,
    Manifest,
    inventories_schema,
    quantity_infos,
)
from pipeline.data.writer import check_out
from pipeline.tools.files import beside, remove
from pipeline.tools.progress import Progress

SEPARATOR = "/"
"""Between the name of a data set and a category."""


def pool(
    directories: Sequence[str | Path],
    out: str | Path,
    *,
    name: str | None = None,
    overwrite: bool = False,
) -> Manifest:
    """Makes one data set of several.

    Training and validation use each inventory's own training days, the test its own later days.

    Args:
        directories: Data sets with different names.
        out: The data-set folder to make.
        name: In the manifest; default: the folder's name.
        overwrite: Replace an existing data set.

    Raises:
        DataError: The data sets do not go together, one is missing or damaged, or ``out`` cannot
            be written.
    """
    out = Path(out)
    check_out(out, overwrite)
    panels = [Panel(directory) for directory in directories]
    _check(panels)
    try:
        with beside(out) as partial:
            (partial / PANEL).mkdir(parents=True)
            files = _write(panels, partial)
            manifest = _manifest(panels, name or out.resolve().name, files)
            manifest.write(partial)
            if out.is_dir() and not any(out.iterdir()):
                remove(out)
    except OSError as error:
        raise DataError(
            "out", str(out), "Name a folder on a disk with room that you may write to.",
            f"cannot be written ({error.strerror or error})",
        ) from error  # fmt: skip
    return manifest


def pooled(name: str, category: str) -> str:
    """What a category of a data set is called in a pool."""
    return f"{name}{SEPARATOR}{category}"


def origin(category: str) -> str:
    """The data set that a pool's category comes from."""
    return category.partition(SEPARATOR)[0]


def _check(panels: Sequence[Panel]) -> None:
    if len(panels) < 2:
        raise DataError("data sets", len(panels), "Name two or more.", "are too few for a pool")
    for panel in panels:
        if panel.manifest.spans:
            raise DataError(
                "data set", str(panel.directory), "Name the data sets that it was made of.",
                "is a pool",
            )  # fmt: skip
        if panel.tiles("validation") == panel.tiles("train"):
            raise DataError(
                "data set", str(panel.directory), "Make it again with --validation-share 0.1.",
                "keeps no inventory for validation",
            )  # fmt: skip
    names = Counter(panel.manifest.name for panel in panels)
    twice, times = names.most_common(1)[0]
    if times > 1:
        raise DataError(
            "name of data sets", twice, "Make one of them again with another --name.",
            "is that of several",
        )  # fmt: skip
    if wrong := next((name for name in names if SEPARATOR in name), None):
        raise DataError(
            "name of a data set", wrong, f"Make it again with a --name without {SEPARATOR}.",
            f"holds {SEPARATOR}",
        )  # fmt: skip
    if len({panel.manifest.backlog for panel in panels}) > 1:
        owed = next(panel for panel in panels if panel.manifest.backlog)
        raise DataError(
            "backlog", str(owed.directory), "Make all of them with --backlog, or none.",
            "owes what is not served, the others lose it",
        )  # fmt: skip
    ids = pa.chunked_array(
        chunk
        for panel in panels
        for chunk in panel.read_inventories(["inventory_id"]).column(0).chunks
    )
    if len(ids.unique()) != len(ids):
        known = Counter(ids.to_pylist()).most_common(1)[0][0]
        raise DataError(
            "inventory_id", known, "Pool data sets of different stores or items.",
            "is in several of the data sets",
        )  # fmt: skip


def _write(panels: Sequence[Panel], partial: Path) -> dict[str, FileInfo]:
    """Panel files and inventories.parquet; what the manifest says of them."""
    stated = _order_columns(panels)
    total = sum(panel.manifest.num_inventories for panel in panels)
    progress = Progress("data pool", total, "inventories")
    files: dict[str, FileInfo] = {}
    path = partial / INVENTORIES
    with pq.ParquetWriter(path, inventories_schema(stated), compression="zstd") as writer:
        for panel in panels:
            for part in dict.fromkeys(tile.part for tile in panel.tiles()):
                place = part_name(len(files))
                shutil.copyfile(panel.directory / part, partial / place)
                files[place] = panel.manifest.files[part]
            for tile in panel.tiles():
                writer.write_table(_inventories(panel, tile, stated), row_group_size=tile.rows)
                progress.add(tile.rows)
    return {INVENTORIES: file_info(path, total), **files}


def _order_columns(panels: Sequence[Panel]) -> list[str]:
    """Which of `ORDER_COLUMNS` the pool states for each inventory."""
    there = {name for panel in panels for name in panel.static_columns()}
    if len({panel.manifest.order_multiple for panel in panels}) > 1:
        there.add("order_multiple")
    return [name for name in ORDER_COLUMNS if name in there]


def _inventories(panel: Panel, tile: TileRef, stated: Sequence[str]) -> pa.Table:
    """A tile's rows of inventories.parquet."""
    columns: dict[str, Any] = dict(panel.read(tile, []).static)  # sizes of orders included
    name = panel.manifest.name
    columns["category"] = np.asarray(
        [pooled(name, str(category)) for category in columns["category"]], dtype=object
    )
    schema = inventories_schema(stated)
    return pa.Table.from_arrays(
        [pa.array(columns[field.name], field.type) for field in schema], schema=schema
    )


def _manifest(panels: Sequence[Panel], name: str, files: dict[str, FileInfo]) -> Manifest:
    manifests = [panel.manifest for panel in panels]
    spans: list[Span] = [span for panel in panels for span in panel.spans]
    start = max(span.test_start for span in spans)
    multiples = {manifest.order_multiple for manifest in manifests}
    weights = {manifest.weight_meaning for manifest in manifests}
    return Manifest(
        name=name,
        source="Pool of " + "; ".join(f"{m.name}: {m.source}" for m in manifests),
        seed=manifests[0].seed,
        first_day=spans[0].first_day,
        num_days=start + max(len(span.days("test")) for span in spans),
        ahead_days=max(span.ahead_days for span in spans),
        num_inventories=sum(manifest.num_inventories for manifest in manifests),
        tile_rows=max(manifest.tile_rows for manifest in manifests),
        history_days=start - max(len(span.days("train")) for span in spans),
        test_start=start,
        quantities=quantity_infos(
            dict.fromkeys(name for span in spans for name in span.optional_quantities)
        ),
        order_multiple=multiples.pop() if len(multiples) == 1 else 0.0,
        backlog=manifests[0].backlog,
        weight_meaning="; ".join(sorted(weights)),
        files=files,
        spans=tuple(spans),
    )
