"""A Parquet file that is written piece by piece: whole or absent."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from envs.errors import ConfigError
from pipeline.tools.streamed import ROW_GROUP, StreamedParquet

SCHEMA = pa.schema([("a", pa.int64())])


def table(rows: int) -> pa.Table:
    return pa.table({"a": range(rows)}, SCHEMA)


def test_pieces_become_row_groups_that_readers_can_stream(tmp_path: Path) -> None:
    with StreamedParquet(tmp_path / "deep" / "f.parquet", SCHEMA) as file:
        for _ in range(5):
            file.write(table(ROW_GROUP // 2 + 1))
        file.finish()
    written = pq.ParquetFile(tmp_path / "deep" / "f.parquet")
    assert written.metadata.num_rows == 5 * (ROW_GROUP // 2 + 1)
    assert written.num_row_groups == 3


def test_what_was_there_stays_until_the_file_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "f.parquet"
    path.write_text("before")

    def fail() -> None:
        with StreamedParquet(path, SCHEMA) as file:
            file.write(table(3))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert path.read_text() == "before"
    assert [p.name for p in tmp_path.iterdir()] == ["f.parquet"]


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    with (
        pytest.raises(ConfigError, match="cannot be written"),
        StreamedParquet(tmp_path / "f.parquet", SCHEMA),
    ):
        raise OSError(28, "No space left on device")
    assert not list(tmp_path.iterdir())
