"""Imports FreshRetailNet-50K: daily sales of fresh food with the hours of each day without stock.

The folder must hold `train_daily.parquet`: store_id, product_id, first_category_id, dt,
sale_amount, stockout_hours_mask (bit h set: no stock in hour h of 0..23), discount, holiday_flag
and activity_flag; one row per series and day.

Hours of business are 6 to 21. A day without a stockout in them is observed. The demand of any
other day is drawn from the law in `pipeline.data.stockouts`, given what was sold while there was
stock, and `known` is 0, `imputed` 1 or, without stock all day, 2. The law's constants are those of
the training days, and its level those of earlier days: no demand contains anything of later days.

Weather is in the source and left out: on the morning of a decision nobody knows it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from envs.errors import DataError
from pipeline.data.importing.common import ImportOptions, carry, read_columns, write_tile
from pipeline.data.parts import PanelSpec, default_test_start
from pipeline.data.quality import Quarantine, absurd
from pipeline.data.schema import Manifest, inventory_ids
from pipeline.data.stockouts.check import CheckReport, imputation_check
from pipeline.data.stockouts.days import CLOSED, HOURS, StockoutDays
from pipeline.data.stockouts.fit import fit_law
from pipeline.data.stockouts.law import DemandLaw
from pipeline.data.terms import SupplyTerms
from pipeline.data.tiles import plan_tiles
from pipeline.data.writer import PanelWriter, check_out
from pipeline.tools.progress import Progress

Array = npt.NDArray[Any]

FILE = "train_daily.parquet"
KEYS = ("store_id", "product_id", "dt")
COLUMNS = (
    *KEYS, "first_category_id", "sale_amount", "stockout_hours_mask", "discount", "holiday_flag",
    "activity_flag",
)  # fmt: skip
FIRST_HOUR = 6
GRAIN = 0.1
"""Of the normalised amounts: 98 % of them are multiples of it, so it is bought at a time."""
DISCOUNT_STEP = 0.05
"""Discounts are means over a day's customers, known in the evening; what was planned is rounded."""
OFFERS = np.asarray([0.575, 0.675, 0.775, 0.825, 0.875, 0.925, 0.975])
"""Relative prices that separate the offers that factors of demand are fitted for."""
FRESH_TERMS = SupplyTerms(
    max_lead_time=3, max_review_period=2, costs="spoilage", lead_time_median=2.0
)
FRESH_HISTORY = 14


@dataclass(frozen=True)
class FreshSource:
    """The table as series: N of them, T days; sorted by store and product."""

    store: Array
    """[N]"""
    product: Array
    """[N]"""
    category: Array
    """[N] number of the first category."""
    first_day: date
    row: Array
    """[N, T] number of the row in the file, from 0; -1 where there is none."""
    sales: Array
    """[N, T] float64; NaN where missing."""
    mask: Array
    """[N, T] uint32: hours of business without stock, and the hour after them."""
    price: Array
    """[N, T] relative to the list price, above 0."""
    promotion: Array
    """[N, T] uint8."""
    event: Array
    """[N, T] uint8."""

    @property
    def ids(self) -> list[str]:
        """[N] inventory ids."""
        return inventory_ids(self.product, self.store)

    def days(self, good: Array) -> StockoutDays:
        """As the law of demand sees them; a day that is not ``good`` tells nothing."""
        weekday = (self.first_day.weekday() + np.arange(self.sales.shape[1])) % 7
        price = np.digitize(self.price, OFFERS)
        return StockoutDays(
            sales=np.where(good, self.sales, 0.0),
            mask=np.where(good, self.mask, np.uint32(CLOSED)),
            group=np.unique(self.category, return_inverse=True)[1],
            kind=2 * weekday + self.event,
            offer=2 * (len(OFFERS) - price) + self.promotion,
        )

    def law(self, days: StockoutDays, until: int) -> DemandLaw:
        """Fitted on the days before ``until``."""
        groups = int(days.group.max()) + 1
        return fit_law(days.until(until), groups, 2 * (len(OFFERS) + 1), GRAIN)


def import_freshretailnet(
    source: str | Path, out: str | Path, options: ImportOptions | None = None, draw: int = 1
) -> Manifest:
    """Import a FreshRetailNet-50K folder.

    Args:
        source: The folder.
        out: The data-set folder to make.
        options: See `ImportOptions`; default: terms of fresh food, 14 days of history.
        draw: Number of the draw of the demand behind stockouts; all else is the same.

    Raises:
        DataError: The file or a column is missing or unreadable, too many values break a quality
            rule, or `out` cannot be written.
    """
    options = options or ImportOptions(terms=FRESH_TERMS, history_days=FRESH_HISTORY)
    if draw < 1:
        raise DataError("draw", draw, "Use 1, 2, 3, ...")
    out = Path(out)
    check_out(out, options.overwrite)
    fresh = read_fresh(Path(source))
    n, num_days = fresh.sales.shape
    progress = Progress("data import freshretailnet", n, "inventories")
    with Quarantine(out) as quarantine:
        good = judge(fresh, quarantine)
        quarantine.stop_if_beyond(options.max_bad_share, fresh.sales.size)
        days, spec = fresh.days(good), _spec(fresh, out, options)
        demand = _Behind(days, fresh.law(days, spec.test_start), good, options, draw, spec)
        ids = fresh.ids
        order = np.argsort(options.draws(ids).bits("order"), kind="stable")
        with PanelWriter(out, spec, options.overwrite) as writer:
            for plan in plan_tiles(n, options.tile_rows, options.validation_share):
                rows = order[plan.first : plan.first + plan.rows]
                own = [ids[row] for row in rows]
                dynamic = {**demand.drawn(rows, own), **_known_ahead(fresh, rows)}
                write_tile(writer, _static(fresh, rows, own, options), dynamic, plan.split)
                progress.add(plan.rows)
            note = f"{demand.describe()} {quarantine.describe(n * num_days)}"
            return writer.finish(note=note)


def check_freshretailnet(
    source: str | Path, seed: int = 1, every: int = 1, test_start: int | None = None
) -> CheckReport:
    """Check the imputation on a FreshRetailNet-50K folder; see `pipeline.data.stockouts.check`.

    Args:
        source: The folder.
        seed: Of the days that are cut short.
        every: Take one series of so many.
        test_start: The law is fitted on the days before it; default: as in the import.

    Raises:
        DataError: As `import_freshretailnet`, or nothing could be checked.
    """
    fresh = read_fresh(Path(source))
    num_days = fresh.sales.shape[1]
    start = default_test_start(num_days) if test_start is None else test_start
    good = np.isfinite(fresh.sales) & (fresh.sales >= 0)
    days = fresh.days(good).of(np.arange(0, len(good), every))
    return imputation_check(days, lambda given: fresh.law(given, start), seed)


class _Behind:
    """Draws the demand of tiles, and keeps count."""

    def __init__(
        self, days: StockoutDays, law: DemandLaw, good: Array, options: ImportOptions, draw: int,
        spec: PanelSpec,
    ) -> None:  # fmt: skip
        self._days, self._law, self._good, self._options = days, law, good, options
        self._draw = draw
        self._dates = spec.first_day.toordinal() + np.arange(spec.num_days)
        self._sums = np.zeros(4)

    def drawn(self, rows: Array, ids: list[str]) -> dict[str, Array]:
        """demand, known and imputed of some series, each [n, T]."""
        days, good = self._days.of(rows), self._good[rows]
        name = f"demand behind stockouts, draw {self._draw}"
        level = self._options.draws(ids).daily(name, self._dates).T
        demand = np.where(good, self._law.predict(days).quantile(level), 0.0)
        imputed = np.where(days.shut == 0, 0, np.where(days.shut == CLOSED, 2, 1)) * good
        kinds = [float((imputed == kind).sum()) for kind in (1, 2)]
        self._sums += [*kinds, float(days.sales[good].sum()), float(demand.sum())]
        return {"demand": demand, "known": good & (imputed == 0), "imputed": imputed}

    def describe(self) -> str:
        """For the manifest."""
        cells = max(int(self._good.sum()), 1)
        cut, shut, sold, asked = self._sums / cells
        return (
            f"Demand behind stockouts: {cut + shut:.2%} of the days are imputed ({cut:.2%} cut "
            f"short, {shut:.2%} without stock all day), draw {self._draw}; mean demand a day "
            f"{asked:.3f}, mean sales {sold:.3f}."
        )


def _spec(fresh: FreshSource, out: Path, options: ImportOptions) -> PanelSpec:
    n, num_days = fresh.sales.shape
    start = default_test_start(num_days) if options.test_start is None else options.test_start
    multiple = options.order_multiple
    return PanelSpec(
        name=options.name or out.resolve().name,
        source=(
            f"FreshRetailNet-50K sales of {n:,} product-store pairs, in amounts normalised by the "
            f"publisher (no pieces), with hours out of stock; price: the discount, rounded to "
            f"{DISCOUNT_STEP:g}, of a list price of 1; promotion: activity_flag; event: "
            "holiday_flag; weather left out, for it is not known ahead; not in the source but "
            f"drawn (seed {options.seed}): {options.terms.describe()}."
        ),
        seed=options.seed,
        first_day=fresh.first_day,
        num_days=num_days,
        history_days=options.history_days,
        test_start=start,
        tile_rows=options.tile_rows,
        order_multiple=0.0 if multiple is None else multiple,
        backlog=options.backlog,
        optional_quantities=("imputed",),
    )


def _static(
    fresh: FreshSource, rows: Array, ids: list[str], options: ImportOptions
) -> dict[str, Any]:
    list_price = np.ones(len(rows))
    return {
        "inventory_id": ids,
        "sku": fresh.product[rows].tolist(),
        "warehouse": fresh.store[rows].tolist(),
        "category": [str(category) for category in fresh.category[rows]],
        "price": list_price.astype(np.float32),
        **options.terms.draw(options.draws(ids), list_price),
    }


def _known_ahead(fresh: FreshSource, rows: Array) -> dict[str, Array]:
    shape = fresh.sales[rows].shape
    return {
        "on_sale": np.ones(shape, np.uint8),
        "price": fresh.price[rows],
        "promotion": fresh.promotion[rows],
        "event": fresh.event[rows],
        "snap": np.zeros(shape, np.uint8),
    }


def read_fresh(folder: Path) -> FreshSource:
    """The table as series by days.

    Raises:
        DataError: The file or a column is missing or unreadable, or a series has two rows for a
            day, or more than one category.
    """
    table = _read(folder / FILE)
    columns = {name: table[name].to_numpy() for name in COLUMNS if name != "dt"}
    day = table["dt"].cast(pa.date32()).cast(pa.int32()).to_numpy()
    pair = columns["store_id"].astype(np.int64) << 32 | columns["product_id"].astype(np.int64)
    pairs, first, series = np.unique(pair, return_index=True, return_inverse=True)
    start, shape = int(day.min()), (len(pairs), int(day.max() - day.min()) + 1)
    cell = series.astype(np.int64) * shape[1] + (day - start)
    row = np.full(shape[0] * shape[1], -1)
    row[cell] = np.arange(len(cell))
    store, product = (columns[name][first].astype(str) for name in KEYS[:2])
    if (twice := row[cell] != np.arange(len(cell))).any():
        at = int(np.argmax(twice))
        where = f"{product[series[at]]}@{store[series[at]]} on {_date(int(day[at]))}"
        raise DataError("row of product_id@store_id", where, "Keep one of them.", "is there twice")
    category = columns["first_category_id"]
    if (other := category != category[first][series]).any():
        at = int(np.argmax(other))
        name = f"{product[series[at]]}@{store[series[at]]}"
        raise DataError(
            "first_category_id of product_id@store_id", name, "Give a series one category.",
            "changes",
        )  # fmt: skip
    row = row.reshape(shape)

    def grid(name: str, missing: float) -> Array:
        values = columns[name].astype(np.float64)
        return np.where(row >= 0, values[row], missing)

    hours = grid("stockout_hours_mask", 0).astype(np.uint32)
    discount = np.rint(grid("discount", np.nan) / DISCOUNT_STEP) * DISCOUNT_STEP
    # A discount of 0 stands for days without a sale, which nobody knows ahead.
    price = carry(np.where((discount > 0) & (discount <= 2), discount, np.nan))
    return FreshSource(
        store=store,
        product=product,
        category=category[first],
        first_day=_date(start),
        row=row,
        sales=grid("sale_amount", np.nan),
        mask=(hours >> np.uint32(FIRST_HOUR)) & np.uint32((1 << (HOURS + 1)) - 1),
        price=np.where(np.isnan(price), 1.0, price),
        promotion=(grid("activity_flag", 0) > 0).astype(np.uint8),
        event=(grid("holiday_flag", 0) > 0).astype(np.uint8),
    )


def judge(fresh: FreshSource, quarantine: Quarantine) -> Array:
    """[N, T] bool: False where the sales break a quality rule, and are no lower bound of demand."""
    sales, there = fresh.sales, fresh.row >= 0
    rules = {
        "missing_demand": there & ~np.isfinite(sales),
        "negative_demand": sales < 0,
        "absurd_demand": absurd(sales),
        "gap": ~there,
    }
    bad = np.zeros(sales.shape, bool)
    for rule, flags in rules.items():
        rows, days = np.nonzero(flags & ~bad)
        bad |= flags
        found = fresh.row[rows, days]
        dates = [_date(fresh.first_day.toordinal() - _EPOCH + int(t)).isoformat() for t in days]
        values = [{"demand": float(value)} for value in sales[rows, days]]
        if rule == "gap":
            values = [{"first": day, "last": day, "days": 1} for day in dates]  # type: ignore[dict-item]
        quarantine.add(
            rule,
            rows=[None if row < 0 else int(row) + 1 for row in found],
            sku=fresh.product[rows].tolist(),
            warehouse=fresh.store[rows].tolist(),
            date=dates,
            values=values,
        )
    return ~bad


_EPOCH = date(1970, 1, 1).toordinal()


def _date(days: int) -> date:
    """Of days since 1970."""
    return date.fromordinal(_EPOCH + days)


def _read(path: Path) -> pa.Table:
    if not path.is_file():
        raise DataError(
            "file", str(path), f"Name a folder that holds {FILE} of FreshRetailNet-50K.",
            "is missing",
        )  # fmt: skip
    try:
        read_columns(path, pq.read_schema(path).names, list(COLUMNS))
        table = pq.read_table(path, columns=list(COLUMNS))
    except (OSError, pa.ArrowException) as error:
        raise DataError(
            "file", str(path), "Copy it again.", f"cannot be read as Parquet ({error})"
        ) from error
    if not len(table):
        raise DataError("rows", 0, f"Copy {path} again.", "are none")
    return table
