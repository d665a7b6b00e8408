"""The files of a long table: which they are, how they are encoded, what columns each has.

Files that are alike and follow each other are read by one call of DuckDB's reader; the rest is
a union by name. A CSV file is read as text: what cannot be parsed is for the rules to count.
"""

from __future__ import annotations

import codecs
import csv
import glob
import gzip
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import IO, cast

import pyarrow as pa
import pyarrow.parquet as pq

from envs.errors import DataError

PARQUET = (".parquet", ".pq")
CSV = (".csv", ".tsv", ".csv.gz", ".tsv.gz")
DELIMITERS = (",", ";", "\t", "|")
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CHUNK = 1 << 22
_HEADER = 1 << 20


@dataclass(frozen=True)
class Shape:
    """What files must share to be read by one call."""

    kind: str
    """csv or parquet."""
    names: tuple[str, ...]
    """Columns as the file names them, folders `key=value` included."""
    types: tuple[str, ...]
    """text, date, timestamp, instant (with a zone), number or nested; one per column."""
    zones: tuple[str, ...]
    """Zone of each column that holds instants, else ""."""
    keys: int = 0
    """How many of the last names are keys of folders."""
    delimiter: str = ","
    skip: int = 1
    """Lines up to the header and with it."""

    def reference(self, column: int) -> str:
        """SQL: a column of `scan`."""
        if self.kind == "csv" and column < len(self.names) - self.keys:
            return f"c{column}"
        return '"' + self.names[column].replace('"', '""') + '"'

    def scan(self, paths: list[Path]) -> str:
        """SQL: the table function that reads files of this shape."""
        files = "[" + ", ".join(_quote(glob.escape(str(path))) for path in paths) + "]"
        hive = ", hive_partitioning = true, hive_types_autocast = false" if self.keys else ""
        if self.kind == "parquet":
            return f"read_parquet({files}{hive or ', hive_partitioning = false'})"
        own = range(len(self.names) - self.keys)
        columns = ", ".join(f"'c{i}': 'VARCHAR'" for i in own)
        return (
            f"read_csv({files}, auto_detect = false, header = false, skip = {self.skip}, "
            f"delim = {_quote(self.delimiter)}, quote = '\"', escape = '\"', "
            f"columns = {{{columns}}}{hive or ', hive_partitioning = false'})"
        )


class Files:
    """The files that a path names, in the order of their names.

    Args:
        path: A file, a folder (searched at any depth), or a glob pattern. A file of exactly
            this name is that file, whatever characters its name has.
        work: Folder for copies in UTF-8 of files in another encoding.
        encoding: Of CSV files that are not UTF-8.

    Raises:
        DataError: There is no such file, CSV and Parquet are mixed, a file cannot be read, or
            is not in its encoding.
    """

    def __init__(self, path: Path, work: Path, encoding: str | None = None) -> None:
        self.path, self._work, self._encoding = path, work, encoding
        self.shapes: list[tuple[Shape, list[Path]]] = []
        self._originals: dict[Path, Path] = {}
        opened = [self._open(p) for p in _listed(path)]
        for shape, files in groupby(opened, key=lambda pair: pair[0]):
            self.shapes.append((shape, [file for _, file in files]))

    @property
    def names(self) -> list[str]:
        """All columns of all files, each once, in the order in which they appear."""
        return list(dict.fromkeys(name for shape, _ in self.shapes for name in shape.names))

    def name(self, path: Path) -> str:
        """The name of a file as the user knows it."""
        return self._originals.get(path, path).name

    def union(self, query: Callable[[Shape, str], str]) -> str:
        """SQL: what `query(shape, scan)` selects of all files, file after file."""
        return " UNION ALL ".join(query(shape, shape.scan(paths)) for shape, paths in self.shapes)

    def _open(self, path: Path) -> tuple[Shape, Path]:
        keys = tuple(_keys(path, self.path))
        if _kind(path) == "parquet":
            return _parquet_shape(path, keys), path
        if path.suffix.lower() in (".xls", ".xlsx", ".ods"):
            raise DataError(
                "source", str(path), "Save the sheet as CSV (UTF-8).", "is a spreadsheet"
            )
        text = self._as_utf8(path)
        return _csv_shape(path, text, keys), text

    def _as_utf8(self, path: Path) -> Path:
        """The file itself if it is UTF-8, else a copy that is."""
        with _reading(path) as file:
            start = file.read(4)
        encoding = next((name for bom, name in _BOMS if start.startswith(bom)), None)
        if encoding == "utf-8-sig" or (encoding is None and not self._always()):
            line = _first_bad_line(path)
            if line is None:
                return path
            if encoding is not None or self._encoding is None:
                raise DataError(
                    "source",
                    str(path),
                    "Save it as UTF-8, or give --encoding (Western spreadsheets: --encoding "
                    'cp1252; "Unicode text": --encoding utf-16-le).',
                    f"is not UTF-8 (line {line})",
                )
        copy = self._work / f"{len(list(self._work.iterdir())):05d}.csv"
        _recode(path, encoding or str(self._encoding), copy)
        self._originals[copy] = path
        return copy

    def _always(self) -> bool:
        """The encoding that was given cannot be told from UTF-8 by looking at the file."""
        if self._encoding is None:
            return False
        return "a,;1\n".encode(self._encoding) != b"a,;1\n"


def _listed(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if path.is_dir():
        found = [p for p in path.rglob("*") if p.is_file() and not p.name.startswith(".")]
        found = [p for p in found if p.name.lower().endswith((*PARQUET, *CSV))]
    elif any(c in str(path) for c in "*?["):
        found = [Path(p) for p in glob.glob(str(path), recursive=True) if Path(p).is_file()]
    else:
        raise DataError("source", str(path), "Name a Parquet or CSV file.", "does not exist")
    if not found:
        raise DataError(
            "source", str(path), "Name a Parquet or CSV file.", "holds no Parquet or CSV file"
        )
    found.sort()
    for kind in ("parquet", "csv"):
        other = [p for p in found if _kind(p) != kind]
        if other and len(other) < len(found):
            one = next(p for p in found if _kind(p) == kind)
            raise DataError(
                "source",
                str(path),
                f"Name the files of one kind, e.g. '{one.parent}/*{one.suffix}'.",
                f"mixes Parquet and CSV files ({one.name}, {other[0].name})",
            )
    return found


def _kind(path: Path) -> str:
    return "parquet" if path.suffix.lower() in PARQUET else "csv"


def _keys(path: Path, root: Path) -> Iterator[str]:
    """Names of the folders `key=value` between the source and a file."""
    if root.is_dir():
        for part in path.relative_to(root).parts[:-1]:
            key, equals, _ = part.partition("=")
            if equals and key:
                yield key


def _parquet_shape(path: Path, keys: tuple[str, ...]) -> Shape:
    try:
        schema = pq.read_schema(path)
    except (OSError, pa.ArrowException) as error:
        raise _unreadable(path, str(error).partition("\n")[0]) from error
    own = [field for field in schema if field.name not in keys]
    return Shape(
        "parquet",
        (*(field.name for field in own), *keys),
        (*(_type(field.type) for field in own), *("text" for _ in keys)),
        (*(getattr(field.type, "tz", None) or "" for field in own), *("" for _ in keys)),
        len(keys),
    )


def _type(kind: pa.DataType) -> str:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_nested(kind):
        return "nested"
    if pa.types.is_date(kind):
        return "date"
    if pa.types.is_timestamp(kind):
        return "instant" if kind.tz else "timestamp"
    number = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    return "number" if number else "text"


def _csv_shape(path: Path, text: Path, keys: tuple[str, ...]) -> Shape:
    """The header of a CSV file; `sep=;`, as spreadsheets write it, may come before it."""
    with _reading(text) as file:
        head = file.read(_HEADER).decode("utf-8-sig", errors="ignore")
    lines = head.splitlines(keepends=True)
    first = next((i for i, line in enumerate(lines) if line.strip()), None)
    if first is None:
        raise DataError("source", str(path), "Name a table with rows.", "is empty")
    delimiter = None
    if lines[first].lower().startswith("sep=") and len(lines[first].strip()) == 5:
        delimiter, first = lines[first].strip()[4], first + 1
    delimiter = delimiter or _delimiter(lines[first] if first < len(lines) else "")
    reader = csv.reader(lines[first:], delimiter=delimiter)
    names = [name.strip() for name in next(reader, [])]
    if not any(names):
        raise DataError("source", str(path), "Name a table with a header.", "has no header")
    named = tuple(name or f"column {i + 1}" for i, name in enumerate(names))
    count = len(named) + len(keys)
    return Shape(
        "csv",
        (*named, *keys),
        ("text",) * count,
        ("",) * count,
        len(keys),
        delimiter,
        first + reader.line_num,
    )


def _delimiter(header: str) -> str:
    """What separates the names of a header: the most frequent candidate outside of quotes."""
    bare = "".join(header.split('"')[::2])
    return max(DELIMITERS, key=bare.count)


def _reading(path: Path) -> IO[bytes]:
    try:
        opener = gzip.open if path.suffix.lower() == ".gz" else open
        return cast(IO[bytes], opener(path, "rb"))
    except OSError as error:
        raise _unreadable(path, error.strerror or str(error)) from error


def _chunks(path: Path) -> Iterator[bytes]:
    try:
        with _reading(path) as file:
            while chunk := file.read(_CHUNK):
                yield chunk
    except (OSError, EOFError) as error:  # also a truncated .gz
        raise _unreadable(path, str(error)) from error


def _first_bad_line(path: Path) -> int | None:
    """Number of the first line that is not UTF-8 text, or None."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    lines = 1
    for chunk in _chunks(path):
        if (zero := chunk.find(b"\0")) >= 0:  # UTF-16 without its mark
            return lines + chunk.count(b"\n", 0, zero)
        try:
            decoder.decode(chunk)
        except UnicodeDecodeError as error:
            return lines + chunk.count(b"\n", 0, max(error.start, 0))
        lines += chunk.count(b"\n")
    try:
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return lines
    return None


def _recode(path: Path, encoding: str, copy: Path) -> None:
    decoder = codecs.getincrementaldecoder(encoding)()
    lines = 1
    with copy.open("w", encoding="utf-8", newline="") as file:
        try:
            for chunk in _chunks(path):
                text = decoder.decode(chunk)
                lines += text.count("\n")
                file.write(text)
            file.write(decoder.decode(b"", final=True))
        except UnicodeError as error:
            raise DataError(
                "--encoding",
                encoding,
                "Give the encoding that the file was saved in, or save it as UTF-8.",
                f"does not fit {path} (after line {lines})",
            ) from error


def _quote(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _unreadable(path: Path, problem: str) -> DataError:
    return DataError(
        "source",
        str(path),
        "Name a Parquet or CSV file, or copy it again.",
        f"cannot be read ({problem})",
    )
