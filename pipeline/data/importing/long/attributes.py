"""The inventory attributes of an import: a second table, one row per inventory."""

from __future__ import annotations

import difflib
from pathlib import Path

import duckdb
import numpy as np

from envs.errors import DataError
from pipeline.data.importing import duck
from pipeline.data.importing.long.columns import choose, plain, position, unused
from pipeline.data.importing.long.files import Files, Shape
from pipeline.data.importing.long.options import LongOptions
from pipeline.data.importing.long.values import blank, check_marks, identity, number, text
from pipeline.data.schema import ORDER_COLUMNS, STATIC_COLUMNS
from pipeline.data.terms import TERMS

ATTRIBUTES = ("category", "price", "weight", *TERMS, *ORDER_COLUMNS)
_IDS = ("sku", "warehouse")
_MEANS = {
    **dict.fromkeys(
        ("pack_size", "packsize", "pack", "case_size", "case_pack", "lot_size"), "order_multiple"
    ),
    **dict.fromkeys(
        ("moq", "min_order", "minimum_order", "min_order_quantity", "minimum_order_quantity",
         "order_minimum"), "order_min",
    ),
    **dict.fromkeys(
        ("max_order", "maximum_order", "max_order_quantity", "largest_order", "order_maximum"),
        "order_max",
    ),
}  # fmt: skip
"""What attributes are called elsewhere -> what they are called here."""


class Attributes:
    """A file of inventory attributes, loaded into the table `attributes`.

    Args:
        db: Where to load it.
        files: The file.
        options: `columns` (of sku and warehouse), `ignore_columns`, `warehouse`, `decimal`,
            `thousands`, `fill_missing`.

    Raises:
        DataError: An id is missing or there twice, a column is unknown, or a value is not of
            its column's kind.
    """

    def __init__(self, db: duckdb.DuckDBPyConnection, files: Files, options: LongOptions) -> None:
        self._db, self._files, self._options = db, files, options
        self._name = files.path.name
        (shape, _), *more = files.shapes
        if more:
            raise DataError(
                "attributes", str(files.path), "Give one table.", "holds files of different columns"
            )
        self.given: list[str] = []
        """Which of `ATTRIBUTES` the file has."""
        self._load(shape)
        self._check_ids()
        for name in self.given:
            if name != "category":
                self._to_number(name)

    def fill(self) -> dict[str, int]:
        """Fill blanks as `fill_missing` says, for the inventories of the table `inventory`.

        Returns:
            Attribute -> how many of the inventories have none, among those with any blank.

        Raises:
            DataError: There are blanks, and `fill_missing` is "refuse".
        """
        blanks = {}
        for name in self.given:
            count = duck.value(
                self._db,
                f"SELECT count(*) FROM inventory JOIN attributes a USING (sku, warehouse) "
                f"WHERE a.{name} IS NULL",
            )
            if count and name not in ("category", *ORDER_COLUMNS):  # blank: no rule of its own
                blanks[name] = count
        if blanks and self._options.fill_missing == "refuse":
            raise DataError(
                f"attributes in {self._name}",
                ", ".join(f"{name}: {count:,}" for name, count in blanks.items()),
                "Complete them, or give --fill-missing drawn or --fill-missing median.",
                "are blank",
            )
        if self._options.fill_missing == "median":
            for name in blanks:
                median = f"(SELECT median({name}) FROM attributes)"
                if TERMS.get(name) is np.int16:
                    median = f"round({median})"
                self._run(f"UPDATE attributes SET {name} = {median} WHERE {name} IS NULL")
        return blanks

    @property
    def example(self) -> str | None:
        """One of its inventories, for messages."""
        found = self._db.sql("SELECT sku || '@' || warehouse FROM attributes LIMIT 1").fetchall()
        return str(found[0][0]) if found else None

    def _load(self, shape: Shape) -> None:
        ids = self._ids()
        ignored = {plain(name) for name in self._options.ignore_columns}
        at = {name: position(self._files, shape, theirs) for name, theirs in ids.items()}
        named: dict[str, str] = {}
        for name in shape.names:
            ours = _MEANS.get(plain(name), plain(name))
            if ours in ATTRIBUTES and plain(name) not in ignored:
                if ours in named:
                    raise DataError(
                        f"columns of {self._name}", f"{named[ours]}, {name}",
                        f"Leave one out with --ignore-columns {name}.", f"both mean {ours}",
                    )  # fmt: skip
                named[ours] = name
        self.given = [name for name in ATTRIBUTES if name in named]
        at |= {name: position(self._files, shape, named[name]) for name in self.given}
        known = {plain(theirs) for theirs in (*ids.values(), *named.values())} | {*STATIC_COLUMNS}
        others = [n for n in unused(self._files, self._options, ids) if plain(n) not in known]
        if others:
            raise self._unknown(others)
        columns = []
        for name, index in at.items():
            assert index is not None
            value = text(shape.reference(index))
            if name in _IDS:
                value = identity(shape.reference(index), shape.types[index] == "number")
            elif name != "category":
                value = f"CASE WHEN NOT {blank(value)} THEN {value} END"
            columns.append(f"{value} AS {name}")
        if "warehouse" not in at:
            columns.append(
                f"'{str(self._options.warehouse).replace(chr(39), chr(39) * 2)}' AS warehouse"
            )
        query = self._files.union(lambda _, scan: f"SELECT {', '.join(columns)} FROM {scan}")
        self._run(f"CREATE TABLE attributes AS {query}")
        self._typed = {n for n, i in at.items() if i is not None and shape.types[i] != "text"}

    def _ids(self) -> dict[str, str]:
        """sku and warehouse -> their names here: as in the sales, or ours."""
        here = {plain(name) for name in self._files.names}
        given = {
            ours: theirs
            for ours, theirs in self._options.columns.items()
            if ours in _IDS and plain(theirs) in here
        }
        only = LongOptions(
            columns=given,
            ignore_columns=self._options.ignore_columns,
            warehouse=None if "warehouse" in here else self._options.warehouse,
        )
        chosen = choose(self._files, only, _IDS)
        return {name: chosen[name] for name in _IDS if name in chosen}

    def _unknown(self, names: list[str]) -> DataError:
        """Unknown columns, all at once, each with the nearest name that means something."""
        hints = []
        for name in names:
            bare = plain(name.partition("(")[0]).replace("-", "_")
            near = difflib.get_close_matches(bare, ATTRIBUTES, 1, 0.6)
            if near:
                hints.append(f"{name}: did you mean {near[0]}?")
        remedy = f"Rename them, or leave them out with --ignore-columns {','.join(names)}."
        if hints:
            remedy = f"{'; '.join(hints)}. {remedy}"
        return DataError(
            f"columns of {self._name}",
            ", ".join(names),
            f"{remedy} Known are {', '.join((*_IDS, *ATTRIBUTES))}.",
            "are unknown" if len(names) > 1 else "is unknown",
        )

    def _check_ids(self) -> None:
        empty = "SELECT count(*) FROM attributes WHERE sku IS NULL OR warehouse IS NULL"
        if duck.value(self._db, empty):
            raise DataError("sku or warehouse", self._name, "Complete it.", "has rows without one")
        twice = self._db.sql(
            "SELECT sku || '@' || warehouse FROM attributes GROUP BY sku, warehouse "
            "HAVING count(*) > 1 LIMIT 1"
        ).fetchall()
        if twice:
            raise DataError(
                f"inventory in {self._name}", twice[0][0], "Keep one row.", "has several rows"
            )

    def _to_number(self, name: str) -> None:
        """Make an attribute a number, whole where it must be."""
        value = number(name, self._options, name in self._typed)
        good, problem = f"isfinite({value})", "is not a number"
        if TERMS.get(name) is np.int16:
            good += f" AND {value} = trunc({value}) AND abs({value}) < 32768"
            problem = "is not a whole number of days"
        elif name == "price":
            good, problem = f"{good} AND {value} > 0", "is not a positive number"
        if name not in self._typed:
            check_marks(self._db, "attributes", name, self._options)
        bad = self._db.sql(
            f"SELECT sku || '@' || warehouse, {name} FROM attributes "
            f"WHERE {name} IS NOT NULL AND NOT coalesce({good}, false) LIMIT 1"
        ).fetchall()
        if bad:
            raise DataError(
                f"{name} of inventory {bad[0][0]} in {self._name}",
                bad[0][1],
                "Correct it.",
                problem,
            )
        self._run(f"ALTER TABLE attributes ALTER {name} TYPE DOUBLE USING {value}")

    def _run(self, query: str) -> None:
        duck.run(self._db, query, Path(self._files.path))
