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

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from envs.errors import DataError
from pipeline.data.importing.common import ImportOptions, write_tile
from pipeline.data.importing.fresh_source import DISCOUNT_STEP, FreshSource, judge, read_fresh
from pipeline.data.parts import PanelSpec, default_test_start
from pipeline.data.quality import Quarantine
from pipeline.data.schema import Manifest
from pipeline.data.stockouts.check import CheckReport, imputation_check
from pipeline.data.stockouts.days import CLOSED, StockoutDays
from pipeline.data.stockouts.law import DemandLaw
from pipeline.data.terms import SupplyTerms
from pipeline.data.tiles import plan_tiles
from pipeline.data.writer import PanelWriter, check_out
from pipeline.tools.progress import Progress

Array = npt.NDArray[Any]

FRESH_TERMS = SupplyTerms(
    max_lead_time=3, max_review_period=2, costs="spoilage", lead_time_median=2.0
)
FRESH_HISTORY = 14


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
