"""Which column of the files is which of ours: by our names, or as `--columns` says.

Names that other systems use are never taken silently: the error proposes them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from envs.errors import DataError
from pipeline.data.importing.long.files import Files, Shape
from pipeline.data.importing.long.options import OPTIONAL, REQUIRED, LongOptions

_ALIASES: dict[str, tuple[str, ...]] = {
    "sku": (
        "item", "item_id", "item_nbr", "itemid", "item_no", "item_number", "product",
        "product_id", "productid", "product_code", "article", "article_id", "material",
        "stockcode", "stock_code", "sku_id", "upc", "ean", "unique_id", "series_id", "id",
    ),
    "warehouse": (
        "store", "store_id", "store_nbr", "storeid", "store_no", "location", "location_id",
        "site", "site_id", "plant", "shop", "shop_id", "depot", "dc", "warehouse_id", "branch",
        "branch_id", "outlet",
    ),
    "date": (
        "ds", "day", "dt", "time", "timestamp", "datetime", "week", "week_start", "month",
        "period", "order_date", "sale_date", "sales_date", "invoicedate", "invoice_date",
    ),
    "demand": (
        "y", "sales", "unit_sales", "units", "units_sold", "quantity", "qty", "sale_amount",
        "demand_qty", "sold", "volume", "target", "weekly_sales", "num_sold", "amount",
        "item_cnt_day",
    ),
}  # fmt: skip


_YEAR = re.compile(r"(19|20)\d{2}|^d_\d+$")


def plain(name: str) -> str:
    """A name without what people vary: case, blanks around it, blanks within for _."""
    return "_".join(name.strip().strip("\ufeff").casefold().split())


def choose(
    files: Files, options: LongOptions, required: Iterable[str] = REQUIRED
) -> dict[str, str]:
    """Ours -> theirs for each of our columns that the files have.

    Args:
        files: The source or the plan.
        options: `columns`, `ignore_columns` and `warehouse`.
        required: Our names that must be there, in every file.

    Raises:
        DataError: A column is missing (all are named), ambiguous, in some files only though
            required, or of a type that holds no single values.
    """
    names = _considered(files, options)
    chosen = dict(options.columns)
    for ours in (*REQUIRED, *OPTIONAL):
        if ours not in chosen and any(plain(name) == ours for name in names):
            chosen[ours] = ours
    for ours, theirs in options.columns.items():
        if all(position(files, shape, theirs) is None for shape, _ in files.shapes):
            if ours not in required:  # e.g. no demand in a plan
                del chosen[ours]
                continue
            raise DataError(
                "--columns",
                f"{ours}={theirs}",
                f"Name one of its columns: {_list(files.names)}.",
                f"names no column of {files.path.name}",
            )
        if twice := [o for o in chosen if o != ours and plain(chosen[o]) == plain(theirs)]:
            raise DataError(
                "--columns",
                f"{ours}={theirs}",
                "Give each a column of its own.",
                f"names the column of {twice[0]} too",
            )
    if "warehouse" in chosen and options.warehouse is not None:
        raise DataError(
            "--warehouse",
            options.warehouse,
            "Leave it out, or give --ignore-columns with the name of that column.",
            f"is given, and {files.path.name} has a column for it",
        )
    needed = [n for n in required if not (n == "warehouse" and options.warehouse is not None)]
    if missing := [name for name in needed if name not in chosen]:
        raise _missing(files, missing, names, chosen)
    _check_files(files, chosen, needed)
    return chosen


def unused(files: Files, options: LongOptions, chosen: Mapping[str, str]) -> list[str]:
    """Columns that are neither used nor said to be ignored."""
    used = {plain(theirs) for theirs in chosen.values()}
    return [name for name in _considered(files, options) if plain(name) not in used]


def position(files: Files, shape: Shape, theirs: str) -> int | None:
    """Index of a column in the files of this shape; None: they do not have it.

    Raises:
        DataError: It is there twice, or several names differ from it only in case or blanks.
    """
    found = [i for i, name in enumerate(shape.names) if name == theirs]
    if not found:
        found = [i for i, name in enumerate(shape.names) if plain(name) == plain(theirs)]
    if len(found) > 1:
        path = next(paths[0] for other, paths in files.shapes if other == shape)
        raise DataError(
            f"column of {files.name(path)}",
            theirs,
            "Keep one, or say which with --columns.",
            f"could be any of {', '.join(shape.names[i] for i in found)}",
        )
    return found[0] if found else None


def _considered(files: Files, options: LongOptions) -> list[str]:
    ignored = {plain(name) for name in options.ignore_columns}
    names = (name for name in files.names if not name.startswith("__index_level_"))  # pandas
    return [name for name in names if plain(name) not in ignored]


def _missing(
    files: Files, missing: list[str], names: list[str], chosen: Mapping[str, str]
) -> DataError:
    """All missing columns at once, and the option with the likely names already in it."""
    used = {plain(theirs) for theirs in chosen.values()}
    free = [name for name in names if plain(name) not in used]
    likely = {}
    for ours in missing:
        found = [name for name in free if plain(name) in _ALIASES.get(ours, ())]
        likely[ours] = found[0] if len(found) == 1 else "NAME"
    remedy = "Say which columns they are: --columns " + " ".join(
        f"{ours}={_quoted(theirs)}" for ours, theirs in likely.items()
    )
    if "warehouse" in missing:
        remedy += "; if all rows are of one warehouse: --warehouse NAME"
    if "date" in missing and sum(_YEAR.search(name) is not None for name in names) > len(names) / 2:
        remedy = "It seems to have a column for each day: write a row for each (pandas.melt)"
    are = "is" if len(missing) == 1 else "are"
    return DataError(
        f"column of {files.path.name}",
        ", ".join(missing),
        f"{remedy}. The file has {_list(names)}.",
        f"{are} missing",
    )


def _quoted(name: str) -> str:
    return name if name.replace("_", "").isalnum() else f"'{name}'"


def _list(names: list[str]) -> str:
    return f"{', '.join(names[:20])}{' ...' if len(names) > 20 else ''}"


def _check_files(files: Files, chosen: Mapping[str, str], needed: list[str]) -> None:
    for shape, paths in files.shapes:
        name = files.name(paths[0])
        for ours, theirs in chosen.items():
            index = position(files, shape, theirs)
            if index is None and ours in needed:
                raise DataError(
                    f"column of {name}",
                    theirs,
                    f"Add it, or leave the file out; the file has {_list(list(shape.names))}.",
                    "is missing in this file, and other files have it",
                )
            if index is not None and shape.types[index] == "nested":
                raise DataError(
                    f"column of {name}", theirs, "Give one value per row.", "holds lists or records"
                )
