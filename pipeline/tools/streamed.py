"""Parquet files that are written piece by piece and appear whole or not at all."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from types import TracebackType

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.tools.files import partial_of, put_in_place, unwritable, writing

ROW_GROUP = 16_384
"""Rows that are kept before they are written: readers stream by row groups."""


class StreamedParquet:
    """Writes a Parquet file; a context manager. ``path`` appears at :meth:`finish`.

    Args:
        path: The file; an existing one is replaced at the end.
        schema: Of every table written.

    Raises:
        ConfigError: The place cannot be written.
    """

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self.path, self._partial = path, partial_of(path)
        self._waiting: list[pa.Table] = []
        text = [f.name for f in schema if pa.types.is_string(f.type) or pa.types.is_date(f.type)]
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            # Numbers hardly repeat: looking for a dictionary would take most of the time.
            self._writer = pq.ParquetWriter(
                self._partial, schema, compression="zstd", use_dictionary=text
            )

    def write(self, table: pa.Table) -> None:
        """Appends rows."""
        self._waiting.append(table)
        if sum(len(t) for t in self._waiting) >= ROW_GROUP:
            self._flush()

    def finish(self) -> None:
        """Completes the file and gives it its name."""
        self._flush()
        self._writer.close()
        put_in_place(self._partial, self.path)

    def _flush(self) -> None:
        if self._waiting:
            self._writer.write_table(pa.concat_tables(self._waiting))
            self._waiting = []

    def __enter__(self) -> StreamedParquet:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._writer.is_open:  # something went wrong; a full disk refuses the footer too
            with suppress(OSError):
                self._writer.close()
        self._partial.unlink(missing_ok=True)
        if isinstance(error, OSError):  # a full disk, a vanished mount
            raise unwritable(self.path, error) from None
