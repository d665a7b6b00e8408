"""The data contract: names, types and meanings of everything in a data-set folder.

docs/data-formats.md says the same in prose. Shape letters: N inventories, n rows of one tile,
T days of demand, A days ahead of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)

from envs.errors import DataError
from pipeline.data.days import Span, check_days
from pipeline.tools.files import write_text

SCHEMA_VERSION: Literal[2] = 2
MANIFEST = "manifest.json"
INVENTORIES = "inventories.parquet"
PANEL = "panel"
TRAIN, VALIDATION = "train", "validation"
SPLITS = (TRAIN, VALIDATION)

UNKNOWN = 255
"""A flag of a day ahead that is not known; a price is NaN then. Never on a day of demand."""

DEFAULT_TILE_ROWS = 2048
TILES_PER_PART = 64
DEFAULT_HISTORY_DAYS = 56
DEFAULT_TEST_SHARE = 0.28
DEFAULT_VALIDATION_SHARE = 0.1


@dataclass(frozen=True)
class Quantity:
    """A dynamic quantity: one value per inventory and day."""

    dtype: type[np.generic]
    meaning: str
    known_ahead: bool
    """True: the future values are known on the day of the decision (a plan, a calendar)."""


QUANTITIES: dict[str, Quantity] = {
    "demand": Quantity(
        np.float32,
        "units asked for on this day; stored as 0 while off sale or neither known nor imputed",
        False,
    ),
    "known": Quantity(
        np.uint8,
        "1: the demand of this day was observed; 0: it was not (sold out, missing, a damaged "
        "row), and the stored demand says nothing unless it was imputed",
        False,
    ),
    "on_sale": Quantity(
        np.uint8, "1: the item can be bought on this day (the assortment is planned ahead)", True
    ),
    "price": Quantity(np.float32, "price per unit on this day, promotions included", True),
    "promotion": Quantity(np.uint8, "1: a promotion runs on this day", True),
    "event": Quantity(np.uint8, "1: a holiday or another calendar event", True),
    "snap": Quantity(np.uint8, "1: benefits are paid out in the warehouse's region", True),
}

OPTIONAL_QUANTITIES: dict[str, Quantity] = {
    "imputed": Quantity(
        np.uint8,
        "1: the stock ran out on this day, and demand is what was sold and a draw for the hours "
        "without stock; 2: there was no stock all day, and all of the demand is drawn; 0: nothing "
        "is drawn. A day that is known is not imputed",
        False,
    ),
}
"""Quantities that only some data sets have: those whose demand was drawn behind stockouts."""

ALL_QUANTITIES = {**QUANTITIES, **OPTIONAL_QUANTITIES}

STATIC_COLUMNS: dict[str, pa.DataType] = {
    "inventory_id": pa.string(),
    "sku": pa.string(),
    "warehouse": pa.string(),
    "split": pa.string(),
    "lead_time": pa.int16(),
    "lead_time_jitter": pa.int16(),
    "fill_min": pa.float32(),
    "review_period": pa.int16(),
    "review_offset": pa.int16(),
    "shortage_cost": pa.float32(),
    "holding_cost": pa.float32(),
    "weight": pa.float32(),
    "sales_class": pa.string(),
    "category": pa.string(),
    "price": pa.float32(),
}

STATIC_MEANINGS: dict[str, str] = {
    "inventory_id": 'unique name, "sku@warehouse" (`inventory_ids`)',
    "sku": "stock keeping unit",
    "warehouse": "warehouse or store",
    "split": "train or validation; all rows of a tile have the same",
    "lead_time": "L, days from an order to its arrival, nominal",
    "lead_time_jitter": "J, days: an order takes L + U{-J..J}, never below 0; 0 = constant",
    "fill_min": "an order arrives with a fraction U[fill_min, 1] of it; 1 = always whole",
    "review_period": "P, days between two reviews",
    "review_offset": "o in [0, P): reviewed on dates with (ordinal - o) mod P = 0; 0001-01-01 is 1",
    "shortage_cost": "b, money per unit short",
    "holding_cost": "h, money per unit left over at the end of a day",
    "weight": "weight in averages over inventories; the manifest says what it is",
    "sales_class": "A+, A, B, C, D by cumulative share of demand on training days (a day not known "
    "counts as the mean of the others); Z: no demand",
    "category": "product category",
    "price": "regular price per unit",
}

ORDER_COLUMNS: dict[str, str] = {
    "order_multiple": "pack size, units: orders are whole multiples of it; 0 = continuous",
    "order_min": "minimum order quantity, units; 0 = none",
    "order_max": "largest order, units; infinite = none",
}
"""Columns that inventories.parquet may have, float64 -> meaning; where one is absent or not a
number, the manifest's pack size, no minimum and no largest order hold."""

SALES_CLASSES = ("A+", "A", "B", "C", "D", "Z")
# Inventories in order of falling demand; an inventory belongs to the first class whose bound
# is not reached by the demand of all inventories before it.
SALES_CLASS_BOUNDS = {"A+": 0.20, "A": 0.50, "B": 0.80, "C": 0.95, "D": 1.0}

DEFAULT_WEIGHT_MEANING = (
    "mean demand per day over the training days on sale with known demand, in units"
)


class QuantityInfo(BaseModel):
    """What the manifest says about a dynamic quantity."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    dtype: Literal["float32", "uint8"]
    meaning: str
    known_ahead: bool


class FileInfo(BaseModel):
    """What the manifest says about a file; `rows` is the number of inventories in it."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    rows: int = Field(ge=0)
    bytes: int = Field(ge=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class Manifest(BaseModel):
    """`manifest.json`: the description of a data set.

    Days are indices from 0 (`first_day`). Days [0, history_days) only feed features, training
    and validation use [history_days, test_start), the test uses [test_start, num_days) on all
    inventories. Quantities known ahead go on for `ahead_days` days, which have no demand.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    schema_version: Literal[2] = SCHEMA_VERSION
    name: str
    source: str
    seed: int = Field(ge=0)
    first_day: date
    num_days: int = Field(gt=0)
    ahead_days: int = Field(default=0, ge=0)
    """A: days after the last day of demand with the quantities that are known ahead."""
    num_inventories: int = Field(gt=0)
    tile_rows: int = Field(gt=0)
    history_days: int = Field(ge=0)
    test_start: int = Field(gt=0)
    quantities: dict[str, QuantityInfo]
    order_multiple: float = Field(default=0.0, ge=0.0)
    """Orders are rounded to multiples of this; 0 = continuous orders."""
    backlog: bool = False
    """True: unmet demand is owed; False: it is lost."""
    weight_meaning: str = DEFAULT_WEIGHT_MEANING
    files: dict[str, FileInfo]
    spans: tuple[Span, ...] = ()
    """Of a pool: the calendars of its inventories (see `pipeline.data.pool`), of which the days
    above are the longest, laid over each other at the first test day. Empty: all inventories share
    those days."""

    @model_serializer(mode="wrap")
    def _plain(self, written: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without the spans of what is no pool: its manifest is what it was before there were
        any."""
        content: dict[str, Any] = written(self)
        return content if self.spans else {k: v for k, v in content.items() if k != "spans"}

    @model_validator(mode="after")
    def _consistent(self) -> Manifest:
        check_days(self.num_days, self.history_days, self.test_start)
        if missing := set(QUANTITIES) - set(self.quantities):
            raise ValueError(f"quantities has no {sorted(missing)}")
        if unknown := set(self.quantities) - set(ALL_QUANTITIES):
            raise ValueError(f"quantities has the unknown {sorted(unknown)}")
        for name, stated in self.quantities.items():
            if stated.dtype != np.dtype(ALL_QUANTITIES[name].dtype).name:
                raise ValueError(f"quantities.{name}.dtype is {stated.dtype!r}")
        if self.spans and sum(span.inventories for span in self.spans) != self.num_inventories:
            raise ValueError("the inventories of the spans do not add up to num_inventories")
        return self

    @property
    def optional_quantities(self) -> tuple[str, ...]:
        """Which of `OPTIONAL_QUANTITIES` the data set has."""
        return tuple(name for name in OPTIONAL_QUANTITIES if name in self.quantities)

    @property
    def all_spans(self) -> tuple[Span, ...]:
        """The spans; of what is no pool, the one that all inventories share."""
        if self.spans:
            return self.spans
        own = {name: getattr(self, name) for name in Span.model_fields if hasattr(self, name)}
        return (Span(inventories=self.num_inventories, **own),)

    @property
    def train_days(self) -> range:
        """Days that training and validation use."""
        return range(self.history_days, self.test_start)

    @property
    def test_days(self) -> range:
        """Days that only the test uses."""
        return range(self.test_start, self.num_days)

    def day(self, t: int) -> date:
        """The calendar date of day index t."""
        return self.first_day + timedelta(days=t)

    @classmethod
    def read(cls, directory: Path) -> Manifest:
        """Read and validate `directory/manifest.json`.

        Raises:
            DataError: It is missing, is not JSON, or breaks the contract.
        """
        path = Path(directory) / MANIFEST
        try:
            text = path.read_text(encoding="utf-8")
        except OSError as error:
            raise DataError(
                "data set",
                str(directory),
                "Name a folder made by `data make` or `data import`.",
                f"has no readable {MANIFEST} ({error.strerror})",
            ) from error
        try:
            return cls.model_validate(json.loads(text))
        except json.JSONDecodeError as error:
            raise DataError(
                "manifest", str(path), "Make the data set again.", f"is not JSON ({error})"
            ) from error
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "manifest"
            raise DataError(
                f"{MANIFEST}: {where}",
                str(path),
                "Make the data set again with this version of `data make` or `data import`.",
                f"breaks the data contract ({first['msg']})",
            ) from error

    def write(self, directory: Path) -> None:
        """Write `directory/manifest.json`."""
        write_text(Path(directory) / MANIFEST, self.model_dump_json(indent=2) + "\n")


def quantity_infos(optional: Iterable[str] = ()) -> dict[str, QuantityInfo]:
    """`QUANTITIES`, and these of `OPTIONAL_QUANTITIES`, as the manifest states them."""
    return {
        name: QuantityInfo.model_validate(
            {
                "dtype": np.dtype(q.dtype).name,
                "meaning": q.meaning,
                "known_ahead": q.known_ahead,
            }
        )
        for name, q in ((name, ALL_QUANTITIES[name]) for name in (*QUANTITIES, *optional))
    }


def counting(dynamic: Mapping[str, npt.NDArray[np.generic]]) -> npt.NDArray[np.uint8]:
    """[n, T] 1 where the stored demand counts: it was observed, or drawn behind a stockout."""
    known = np.asarray(dynamic["known"], dtype=np.uint8)
    return known | (dynamic["imputed"] != 0) if "imputed" in dynamic else known


def days_of(quantity: str, num_days: int, ahead_days: int) -> int:
    """Values per inventory of a quantity: T + A if it is known ahead, else T."""
    return num_days + (ahead_days if ALL_QUANTITIES[quantity].known_ahead else 0)


def inventory_ids(skus: Iterable[str], warehouses: Iterable[str]) -> list[str]:
    """Ids "sku@warehouse", one per pair of names.

    A backslash goes before each "@" and backslash of a name, so that two pairs never share an
    id: "A@B" in "C" is `A\\@B@C`, and "A" in "B@C" is `A@B\\@C`.
    """
    pairs = zip(skus, warehouses, strict=True)
    return [f"{_escaped(sku)}@{_escaped(warehouse)}" for sku, warehouse in pairs]


def _escaped(name: str) -> str:
    if "@" not in name and "\\" not in name:
        return name
    return name.replace("\\", "\\\\").replace("@", "\\@")


def panel_schema(num_days: int, ahead_days: int, optional: Iterable[str] = ()) -> pa.Schema:
    """Arrow schema of a panel part: the id and a fixed-size list of `days_of` values for each of
    `QUANTITIES` and these of `OPTIONAL_QUANTITIES`."""
    fields = [pa.field("inventory_id", pa.string(), nullable=False)]
    for name in (*QUANTITIES, *optional):
        kind = pa.from_numpy_dtype(ALL_QUANTITIES[name].dtype)
        item = pa.field("element", kind, nullable=False)
        fields.append(
            pa.field(name, pa.list_(item, days_of(name, num_days, ahead_days)), nullable=False)
        )
    return pa.schema(fields)


def inventories_schema(optional: Iterable[str] = ()) -> pa.Schema:
    """Arrow schema of `inventories.parquet` with these of `ORDER_COLUMNS`."""
    kinds = {**STATIC_COLUMNS, **dict.fromkeys(optional, pa.float64())}
    return pa.schema([pa.field(name, kind, nullable=False) for name, kind in kinds.items()])
