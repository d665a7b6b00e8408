"""The study's data sets: imported, or generated for the smoke run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path

from envs.errors import ConfigError
from pipeline.data.importing.common import ImportOptions
from pipeline.data.importing.fresh_source import FILE
from pipeline.data.importing.freshretailnet import (
    FRESH_HISTORY,
    FRESH_TERMS,
    import_freshretailnet,
)
from pipeline.data.importing.m5 import import_m5
from pipeline.data.pool import pool
from pipeline.data.schema import MANIFEST
from pipeline.data.synthetic.generate import make
from pipeline.data.terms import SupplyTerms
from pipeline.studies.offline.folder import OfflineFolder
from pipeline.studies.offline.pieces import POOL, SETS

SMOKE_INVENTORIES = 400
_FILES = {"m5": "sell_prices.parquet", "fresh": FILE}
"""By which the folders of sources are known."""
Recipe = Callable[[Path, Path], object]


def _m5(source: Path, out: Path) -> None:
    import_m5(source, out, ImportOptions(name="m5"))


def _fresh(source: Path, out: Path) -> None:
    options = ImportOptions(name="fresh", terms=FRESH_TERMS, history_days=FRESH_HISTORY)
    import_freshretailnet(source, out, options)


IMPORTS: Mapping[str, Recipe] = {"m5": _m5, "fresh": _fresh}


def make_data(folder: OfflineFolder, name: str, source: Path | None, *, smoke: bool) -> Path:
    """A data set of the study, made unless it is there.

    Args:
        folder: The study's.
        name: ``m5``, ``fresh`` or ``pool``.
        source: Folder of the publisher's tables, or one that holds it; for the pool, one that
            holds both.
        smoke: Generate a small one instead.

    Raises:
        ConfigError: It is not there, and ``source`` is not given or does not hold its tables.
        DataError: The tables are damaged.
    """
    out = folder.data(name)
    if _is_there(folder, name):
        return out
    if name == POOL:
        pool([make_data(folder, own, source, smoke=smoke) for own in SETS], out, name=POOL)
    elif smoke:
        _generate(name, out)
    else:
        IMPORTS[name](_source(name, source), out)
    return out


def check_source(folder: OfflineFolder, name: str, source: Path | None) -> None:
    """Raises ConfigError if a data set of the study is not there and cannot be made."""
    if not _is_there(folder, name):
        for own in SETS if name == POOL else (name,):
            if not _is_there(folder, own):
                _source(own, source)


def _is_there(folder: OfflineFolder, name: str) -> bool:
    return (folder.data(name) / MANIFEST).exists()


def _source(name: str, source: Path | None) -> Path:
    if source is not None:
        for place in (source, *sorted(p for p in source.glob("*") if p.is_dir())):
            if (place / _FILES[name]).exists():
                return place
    raise ConfigError(
        "source", str(source or "(absent)"),
        "Name the folder of the publisher's tables, or one that holds it, with --source "
        "(make offline SOURCE=...).",
        f"holds no folder with {_FILES[name]}, which data set {name} is made of",
    )  # fmt: skip


def _generate(name: str, out: Path) -> None:
    """A set that is to the study's as small as the smoke run is."""
    if name == "m5":
        terms, first = SupplyTerms(max_lead_time=5, max_review_period=4), date(2015, 3, 3)
        make(
            SMOKE_INVENTORIES, 140, 1, out, name=name, first_day=first, tile_rows=128,
            history_days=28, test_start=90, terms=terms, sku_prefix="M",
        )  # fmt: skip
    else:
        make(
            SMOKE_INVENTORIES, 90, 2, out, name=name, first_day=date(2024, 3, 28), tile_rows=128,
            history_days=14, test_start=65, terms=FRESH_TERMS, order_multiple=0.0, sku_prefix="F",
        )  # fmt: skip
