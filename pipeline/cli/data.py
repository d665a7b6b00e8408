"""The command group `data`: make, import, check.

Errors are `DeepStockError`s and propagate: the top-level command prints them.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

import click

from pipeline.cli.import_long import ColumnsCommand, long_options, take_long_options
from pipeline.data.schema import (
    DEFAULT_HISTORY_DAYS,
    DEFAULT_TILE_ROWS,
    DEFAULT_VALIDATION_SHARE,
    Manifest,
)
from pipeline.data.terms import COST_LAWS, SupplyTerms

Command = Callable[..., Any]
_DAY = click.DateTime(formats=["%Y-%m-%d"])


class _OrderMultiple(click.ParamType[float | None]):
    """A number, or "auto" (None)."""

    name = "auto|NUMBER"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float | None:
        if value == "auto" or value is None:
            return None
        return click.FLOAT.convert(value, param, ctx)


_COMMON = [
    click.option("--seed", default=1, show_default=True, help="Everything drawn depends on it."),
    click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder to make."),
    click.option("--overwrite", is_flag=True, help="Replace OUT if it is a data set."),
    click.option("--name", help="Name in the manifest; default: OUT's name."),
    click.option(
        "--history-days", default=DEFAULT_HISTORY_DAYS, show_default=True,
        help="First days, which only feed features.",
    ),
    click.option(
        "--test-start", type=int, help="Index of the first test day; default: the last 28 %."
    ),
    click.option(
        "--validation-share", default=DEFAULT_VALIDATION_SHARE, show_default=True,
        help="Share of the inventories kept for validation.",
    ),
    click.option(
        "--tile-rows", default=DEFAULT_TILE_ROWS, show_default=True, help="Inventories per tile."
    ),
    click.option(
        "--order-multiple", type=_OrderMultiple(), default="auto", show_default=True,
        help="Orders are multiples of it; 0 = continuous; auto = 1 where demand is in whole units.",
    ),
    click.option("--backlog", is_flag=True, help="Unmet demand is owed, not lost."),
    click.option(
        "--costs", type=click.Choice(COST_LAWS), default="margin", show_default=True,
        help="Law of drawn unit costs: margin = as in a retailer's books (holding 20 to 40 % of "
        "the price a year, shortage 15 to 45 % of it); ratio = shortage 4 to 40 times holding; "
        "spoilage = fresh food (holding 3 to 8 % of the price a day, shortage 4 to 20 times that).",
    ),
    click.option(
        "--cost-ratio", type=float, nargs=2,
        help="With --costs ratio or spoilage: other ends of shortage over holding cost.",
    ),
    click.option(
        "--max-lead-time", default=14, show_default=True, help="Longest drawn lead time, days."
    ),
    click.option(
        "--max-review-period", default=7, show_default=True, help="Longest drawn review period."
    ),
    click.option(
        "--lead-time-jitter", default=0, show_default=True,
        help="An order takes the lead time ± up to this many days.",
    ),
    click.option(
        "--fill-min", default=1.0, show_default=True,
        help="Least fraction of an order that arrives.",
    ),
]  # fmt: skip
_AHEAD_DAYS = click.option(
    "--ahead-days", type=int,
    help="Days after the last day of demand with what is known ahead (promotions, assortment, "
    "...); default: as far as a decision looks, twice the longest lead time + review period.",
)  # fmt: skip
_BAD_SHARE = click.option(
    "--max-bad-share", default=0.01, show_default=True,
    help="Stop when a larger share of the rows breaks a quality rule.",
)  # fmt: skip


def _common(command: Command) -> Command:
    for option in reversed(_COMMON):
        command = option(command)
    return command


@click.group()
def data() -> None:
    """Make, import and check data sets."""


@data.command("make")
@click.option("--inventories", required=True, type=int, help="Number of inventories.")
@click.option("--days", required=True, type=int, help="Number of days.")
@click.option("--first-day", type=_DAY, default="2024-01-01", show_default=True)
@click.option("--warehouses", default=0, help="0 = one per 50 inventories, from 2 to 20.")
@click.option("--median-demand", default=2.0, show_default=True, help="Units per day.")
@click.option("--log-sigma", default=1.2, show_default=True, help="Spread of mean demand.")
@click.option("--new-share", default=0.05, show_default=True, help="Share of late launches.")
@click.option("--end-share", default=0.02, show_default=True, help="Share discontinued.")
@click.option(
    "--unknown-share", default=0.005, show_default=True, help="Share of days not recorded."
)
@click.option(
    "--sku-prefix",
    default="S",
    show_default=True,
    help="What SKUs' names begin with; sets that are to be pooled must differ in it.",
)
@click.option("--jobs", default=0, help="Processes; 0 = one per core. Never changes the values.")
@_AHEAD_DAYS
@_common
def make_command(
    inventories: int,
    days: int,
    first_day: datetime,
    warehouses: int,
    median_demand: float,
    log_sigma: float,
    new_share: float,
    end_share: float,
    unknown_share: float,
    sku_prefix: str,
    jobs: int,
    **common: Any,
) -> None:
    """Generate retail-like demand into a data set."""
    from pipeline.data.synthetic.generate import make
    from pipeline.data.synthetic.parameters import RetailParameters

    terms, common = _terms(common)
    manifest = make(
        inventories,
        days,
        first_day=first_day.date(),
        parameters=RetailParameters(
            median_demand, log_sigma, new_share, warehouses, end_share, unknown_share
        ),
        terms=terms,
        sku_prefix=sku_prefix,
        jobs=jobs or len(os.sched_getaffinity(0)),
        **common,
    )
    _done(common["out"], manifest)


IMPORTERS = {
    "m5": "pipeline.data.importing.m5:import_m5",
}
"""Sources without options of their own: command -> ``module:function``, called with SOURCE, OUT and
:class:`~pipeline.data.importing.common.ImportOptions`; its first line is the command's help."""


class _WithImporters(click.Group):
    """Imports a converter when its command is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of the alphabet."""
        return sorted([*super().list_commands(ctx), *IMPORTERS])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a name."""
        if cmd_name not in IMPORTERS:
            return super().get_command(ctx, cmd_name)
        module, name = IMPORTERS[cmd_name].split(":")
        return _import_command(cmd_name, getattr(import_module(module), name))


def _import_command(name: str, convert: Callable[..., Manifest]) -> click.Command:
    @click.command(name, help=(convert.__doc__ or "").partition("\n")[0])
    @click.argument("source", type=click.Path(path_type=Path))
    @_BAD_SHARE
    @_AHEAD_DAYS
    @_common
    def command(source: Path, max_bad_share: float, **common: Any) -> None:
        from pipeline.data.importing.common import ImportOptions

        terms, common = _terms(common)
        out = common.pop("out")
        options = ImportOptions(terms=terms, max_bad_share=max_bad_share, **common)
        _done(out, convert(source, out, options))

    return command


@data.group("import", cls=_WithImporters)
def import_group() -> None:
    """Turn other data into a data set."""


class _FreshCommand(click.Command):
    """The common options with the defaults of fresh food on few days."""

    DEFAULTS: ClassVar[dict[str, Any]] = {
        "history_days": 14, "max_lead_time": 3, "max_review_period": 2, "costs": "spoilage",
    }  # fmt: skip

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for param in self.params:
            param.default = self.DEFAULTS.get(param.name or "", param.default)


@import_group.command("freshretailnet", cls=_FreshCommand)
@click.argument("source", type=click.Path(path_type=Path))
@click.option(
    "--draw",
    default=1,
    show_default=True,
    help="Which draw of the demand behind stockouts: 1, 2, 3, ...; all else stays the same.",
)
@_BAD_SHARE
@_common
def import_freshretailnet_command(
    source: Path, draw: int, max_bad_share: float, **common: Any
) -> None:
    """Import the folder SOURCE with train_daily.parquet of FreshRetailNet-50K.

    The demand of days with a stockout is drawn, given what was sold while there was stock. Drawn
    lead times have a median of 2 days. Amounts are normalised: --order-multiple auto means 0.
    """
    from pipeline.data.importing.common import ImportOptions
    from pipeline.data.importing.freshretailnet import FRESH_TERMS, import_freshretailnet

    terms, common = _terms(common, lead_time_median=FRESH_TERMS.lead_time_median)
    out = common.pop("out")
    options = ImportOptions(terms=terms, max_bad_share=max_bad_share, **common)
    _done(out, import_freshretailnet(source, out, options, draw))


@import_group.command("long", cls=ColumnsCommand)
@click.argument("source", type=click.Path(path_type=Path))
@long_options
@_BAD_SHARE
@_common
def import_long_command(source: Path, max_bad_share: float, **common: Any) -> None:
    """Import SOURCE, a Parquet or CSV table with a row per sku, warehouse and date.

    SOURCE may be a file, a folder or a pattern. Columns: sku, warehouse, date, demand and,
    optionally, price, promotion, event, snap, on_sale, known, on_hand (stock at the end of the
    day). Rows without demand after the last day with demand are a plan.
    """
    from pipeline.data.importing.common import ImportOptions
    from pipeline.data.importing.long.run import import_long

    long, common = take_long_options(common)
    terms, common = _terms(common)
    out = common.pop("out")
    options = ImportOptions(terms=terms, max_bad_share=max_bad_share, **common)
    _done(out, import_long(source, out, options, long))


@data.command("pool")
@click.argument("directories", type=click.Path(path_type=Path), nargs=-1, required=True)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder to make.")
@click.option("--name", help="Name in the manifest; default: OUT's name.")
@click.option("--overwrite", is_flag=True, help="Replace OUT if it is a data set.")
def pool_command(
    directories: tuple[Path, ...], out: Path, name: str | None, overwrite: bool
) -> None:
    """Make one data set of the data sets DIRECTORIES; each inventory keeps its own days."""
    from pipeline.data.pool import pool

    _done(out, pool(directories, out, name=name, overwrite=overwrite))


@data.command("check")
@click.argument("directory", type=click.Path(path_type=Path))
def check_command(directory: Path) -> None:
    """Verify a data set completely and print a summary."""
    from pipeline.data.check import check

    click.echo(check(directory))


@data.command("imputation-check")
@click.argument("source", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="JSON with all figures.")
@click.option("--seed", default=1, show_default=True, help="Of the days that are cut short.")
def imputation_check_command(source: Path, out: Path | None, seed: int) -> None:
    """Cut observed days of the FreshRetailNet folder SOURCE short, impute them and compare."""
    from pipeline.data.importing.freshretailnet import check_freshretailnet
    from pipeline.tools.files import write_text, writing

    found = check_freshretailnet(source, seed)
    if out is not None:
        with writing(out):
            write_text(out, found.to_json())
    click.echo(found.describe())


def _terms(common: dict[str, Any], **fixed: Any) -> tuple[SupplyTerms, dict[str, Any]]:
    """Take the options of the supply terms out of the common options."""
    names = ("max_lead_time", "max_review_period", "lead_time_jitter", "fill_min", "costs",
             "cost_ratio")  # fmt: skip
    terms = SupplyTerms(**{name: common[name] for name in names}, **fixed)
    return terms, {name: value for name, value in common.items() if name not in names}


def _done(out: Path, manifest: Manifest) -> None:
    size = sum(info.bytes for info in manifest.files.values()) / 1e6
    click.echo(
        f"{out}: {manifest.num_inventories:,} inventories × {manifest.num_days} days, "
        f"{size:,.1f} MB. {manifest.source}"
    )
