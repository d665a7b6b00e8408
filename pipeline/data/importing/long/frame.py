"""Imports a long table that is in memory: for notebooks."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from envs.errors import DataError
from pipeline.data.importing.common import ImportOptions
from pipeline.data.importing.long.options import LongOptions
from pipeline.data.importing.long.run import import_long
from pipeline.data.panel import Panel
from pipeline.tools.files import write_parquet

TABLES = ("attributes", "plan")
"""Options that may be frames as well."""


def import_frame(frame: pd.DataFrame, out: str | PathLike[str], **options: Any) -> Panel:
    """Makes a data set of a long table: a row per sku, warehouse and date, with its demand.

    Args:
        frame: Columns as :func:`~pipeline.data.importing.long.run.import_long` has them, or
            named by ``columns``.
        out: The data-set folder to make.
        **options: Those of :class:`~pipeline.data.importing.common.ImportOptions` and
            :class:`~pipeline.data.importing.long.options.LongOptions`:
            ``columns={"sku": "item"}``, ``absent_day="zero"`` and so on; ``attributes`` and
            ``plan`` may be frames.

    Raises:
        DataError: There is no such option, a frame is none, or as ``import_long``.
    """
    common, long = _split(options)
    with tempfile.TemporaryDirectory() as folder:
        for name in TABLES:
            if not isinstance(long.get(name), str | PathLike | None):
                long[name] = _written(name, long[name], Path(folder))
        table = _written("frame", frame, Path(folder))
        import_long(table, Path(out), ImportOptions(**common), LongOptions(**long))
    return Panel(out)


def _split(options: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    kinds = [kind.__dataclass_fields__ for kind in (ImportOptions, LongOptions)]
    for name, value in options.items():
        if not any(name in known for known in kinds):
            raise DataError(
                f"option {name}", value, f"Use one of {', '.join(n for k in kinds for n in k)}.",
                "is not known",
            )  # fmt: skip
    common, long = ({n: v for n, v in options.items() if n in known} for known in kinds)
    return common, long


def _written(name: str, frame: pd.DataFrame, folder: Path) -> Path:
    if not isinstance(frame, pd.DataFrame):
        raise DataError(name, type(frame).__name__, "Give a pandas data frame.", "is none")
    path = folder / f"{name}.parquet"
    indexed = any(level is not None for level in frame.index.names)
    try:
        write_parquet(path, frame.reset_index() if indexed else frame)
    except (pa.ArrowException, ValueError, TypeError) as error:
        raise DataError(
            name, type(frame).__name__, "Give every column a name and one type.",
            f"is no table ({str(error).splitlines()[0]})",
        ) from None  # fmt: skip
    return path
