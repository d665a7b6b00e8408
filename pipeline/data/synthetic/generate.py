"""Makes a data set of retail-like demand, tile by tile, in one or several processes."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor, as_completed
from datetime import date
from multiprocessing import get_context
from pathlib import Path

from envs.errors import DataError
from pipeline.data.parts import PanelSpec, PartSummary, PartWriter, default_test_start
from pipeline.data.schema import (
    DEFAULT_HISTORY_DAYS,
    DEFAULT_TILE_ROWS,
    DEFAULT_VALIDATION_SHARE,
    TILES_PER_PART,
    Manifest,
)
from pipeline.data.synthetic.parameters import RetailParameters
from pipeline.data.synthetic.retail import Market
from pipeline.data.terms import SupplyTerms
from pipeline.data.tiles import TilePlan, plan_tiles
from pipeline.data.writer import PanelWriter
from pipeline.tools.progress import Progress

DEFAULT_FIRST_DAY = date(2024, 1, 1)


def make(
    inventories: int,
    days: int,
    seed: int,
    out: str | Path,
    *,
    name: str | None = None,
    first_day: date = DEFAULT_FIRST_DAY,
    ahead_days: int | None = None,
    history_days: int = DEFAULT_HISTORY_DAYS,
    test_start: int | None = None,
    validation_share: float = DEFAULT_VALIDATION_SHARE,
    tile_rows: int = DEFAULT_TILE_ROWS,
    parameters: RetailParameters | None = None,
    terms: SupplyTerms | None = None,
    order_multiple: float | None = None,
    backlog: bool = False,
    sku_prefix: str = "S",
    jobs: int = 1,
    overwrite: bool = False,
) -> Manifest:
    """Generate a data set; the same arguments give the same values, whatever `jobs` is.

    Args:
        inventories: N.
        days: T.
        seed: Not negative.
        out: The folder to make.
        name: In the manifest; default: the folder's name.
        first_day: Calendar date of day 0.
        ahead_days: Days after the last day of demand, with the quantities known ahead; None: as
            many as a decision looks ahead (`SupplyTerms.days_ahead`). Changes no other value.
        history_days: Days that only feed features.
        test_start: First test day; default: the last 28 % of the days are the test.
        validation_share: Share of the inventories kept for validation.
        tile_rows: Inventories per tile. Part of what fixes the values.
        parameters, terms: Distributions of demand and of supply terms.
        order_multiple: As in the manifest; None: 1, for demand is in whole units.
        backlog: As in the manifest.
        sku_prefix: What the skus' names begin with: data sets that are to be pooled differ in it.
        jobs: Processes; parts of 64 tiles are shared out among them.
        overwrite: Replace an existing data set.

    Raises:
        DataError: An argument is out of range, or `out` cannot be written.
    """
    # long: a data set has this many properties, and each is named here once.
    parameters, terms = parameters or RetailParameters(), terms or SupplyTerms()
    _check(inventories, seed)
    start = default_test_start(days) if test_start is None else test_start
    spec = PanelSpec(
        name=name or Path(out).resolve().name,
        source=(
            f"Generated retail-like demand ({parameters.describe()}); {terms.describe()}."
        ),
        seed=seed,
        first_day=first_day,
        num_days=days,
        ahead_days=terms.days_ahead if ahead_days is None else ahead_days,
        history_days=history_days,
        test_start=start,
        tile_rows=tile_rows,
        order_multiple=order_multiple,
        backlog=backlog,
    )  # fmt: skip
    _check_days(spec, terms)
    plans = plan_tiles(inventories, tile_rows, validation_share)
    # Not the chosen first test day: it must change no value.
    last_launch = max(1, default_test_start(days) - 28)
    market = Market(
        seed,
        inventories,
        days,
        first_day,
        spec.ahead_days,
        last_launch,
        parameters,
        terms,
        sku_prefix,
    )
    with PanelWriter(out, spec, overwrite) as writer:
        _write(writer, market, plans, jobs)
        return writer.finish()


def _check(inventories: int, seed: int) -> None:
    if inventories < 1:
        raise DataError("inventories", inventories, "Use 1 or more.")
    if seed < 0:
        raise DataError("seed", seed, "Use 0 or more.")


def _check_days(spec: PanelSpec, terms: SupplyTerms) -> None:
    """An order must be able to arrive and be counted in training and in the test."""
    train, test = spec.test_start - spec.history_days, spec.num_days - spec.test_start
    window = min(train, test)
    if terms.longest > window:
        raise DataError(
            "days",
            spec.num_days,
            f"Use more days, or lead times and review periods that span at most {window} days.",
            f"is too short: lead time + jitter + review period span up to {terms.longest} days, "
            f"there are {train} training days and {test} test days",
        )


def _write(writer: PanelWriter, market: Market, plans: list[TilePlan], jobs: int) -> None:
    """All tiles, in this process or in several."""
    parts = [plans[i : i + TILES_PER_PART] for i in range(0, len(plans), TILES_PER_PART)]
    progress = Progress("data make", sum(plan.rows for plan in plans), "inventories")
    processes = min(jobs, len(parts))
    if processes <= 1:
        for plan in plans:
            writer.write(*market.tile(plan.number, plan.first, plan.rows), plan.split)
            progress.add(plan.rows)
        return
    # Processes are spawned: forking a process that holds Arrow's threads can hang.
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        futures = [
            pool.submit(make_part, writer.directory, writer.spec, market, number, part)
            for number, part in enumerate(parts)
        ]
        try:
            for future in as_completed(futures):
                summary = future.result()
                writer.add_part(summary)
                progress.add(sum(summary.tile_rows))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def make_part(
    directory: Path, spec: PanelSpec, market: Market, number: int, plans: list[TilePlan]
) -> PartSummary:
    """Write one part of a generated data set; runs in a worker process."""
    writer = PartWriter(directory, spec, number)
    for plan in plans:
        writer.write(*market.tile(plan.number, plan.first, plan.rows), plan.split)
    return writer.close()
