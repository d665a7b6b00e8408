"""Verifies a finished data set completely and summarises it; `data check`.

Reads every value once, tile by tile. Shape letters: n rows of a tile, T days.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from envs.errors import DataError
from pipeline.data.days import Span
from pipeline.data.panel import Panel, RawTile, TileRef
from pipeline.data.parts import file_info
from pipeline.data.playable import check_inventories
from pipeline.data.schema import QUANTITIES, SALES_CLASSES, UNKNOWN, Manifest, counting
from pipeline.tools.progress import Progress

Array = npt.NDArray[Any]

FLAGS = ("on_sale", "promotion", "event", "snap")
# An inventory is called intermittent when it sells on less than half of its days on sale.
INTERMITTENT_DAYS = 0.5


def check(directory: str | Path) -> str:
    """Verify checksums, ids and every value of a data set.

    Args:
        directory: The data-set folder.

    Returns:
        A summary to be printed.

    Raises:
        DataError: The first thing that breaks the data contract.
    """
    panel = Panel(directory)
    _check_files(panel)
    totals = _Totals()
    progress = Progress("data check", panel.manifest.num_inventories, "inventories")
    for tile in panel.tiles():
        raw = panel.read(tile)
        _check_tile(panel, tile, raw)
        totals.add(raw, panel.spans[tile.span])
        progress.add(tile.rows)
    return totals.describe(panel.manifest)


def _check_files(panel: Panel) -> None:
    for name, info in panel.manifest.files.items():
        path = panel.directory / name
        if (found := file_info(path, info.rows).sha256) != info.sha256:
            raise DataError(
                f"sha256 of {path}",
                found,
                "Make or copy the data set again.",
                f"is not the manifest's {info.sha256}: the file was changed",
            )
    ids = panel.read_inventories(["inventory_id"]).column(0)
    if len(ids.unique()) != len(ids):
        twice = Counter(ids.to_pylist()).most_common(1)[0][0]
        raise DataError("inventory_id", twice, "Make the data set again.", "is there twice")


def _check_tile(panel: Panel, tile: TileRef, raw: RawTile) -> None:
    ids = raw.inventory_id
    if not np.array_equal(panel.read_ids(tile), ids):
        raise DataError(
            "inventory_id",
            f"tile {tile.index}",
            "Make the data set again.",
            f"differs between inventories.parquet and {tile.part}",
        )
    span = panel.spans[tile.span]
    check_inventories(raw.static, len(span.days("train")), len(span.days("test")))
    d = raw.dynamic
    if unknown := set(raw.static["sales_class"]) - set(SALES_CLASSES):
        raise DataError("sales_class", str(unknown.pop()), "Make the data set again.", "is unknown")
    T = span.num_days
    rules = [
        ("demand", ~np.isfinite(d["demand"]), "is not finite"),
        ("demand", d["demand"] < 0, "is negative"),
        ("known", d["known"] > 1, "is neither 0 nor 1"),
    ]
    for name in (name for name, quantity in QUANTITIES.items() if quantity.known_ahead):
        # Only a day ahead may be unknown.
        if QUANTITIES[name].dtype is np.float32:
            rules.append((name, ~np.isfinite(d[name][:, :T]), "is not finite"))
            rules.append((name, (d[name] <= 0) | np.isinf(d[name]), "is not positive"))
        else:
            rules.append((name, d[name][:, :T] > 1, "is neither 0 nor 1"))
            flag = (d[name] > 1) & (d[name] != UNKNOWN)
            rules.append((name, flag, f"is neither 0, 1 nor {UNKNOWN} (unknown)"))
    sold = d["demand"] != 0
    rules.append(("demand", sold & (d["on_sale"][:, :T] == 0), "is not 0 while off sale"))
    rules.append(("demand", sold & (counting(d) == 0), "is not 0 and not known"))
    if "imputed" in d:
        rules.append(("imputed", d["imputed"] > 2, "is neither 0, 1 nor 2"))
        twice = (d["imputed"] > 0) & (d["known"] == 1)
        rules.append(("imputed", twice, "is not 0 on a day whose demand is known"))
    for name, flags, problem in rules:
        if flags.any():
            row, t = (int(i) for i in np.argwhere(flags)[0])
            raise DataError(
                f"{name} of inventory {ids[row]} on {span.day(t)} (day {t})",
                d[name][row, t].item(),
                "Correct the source and make the data set again.",
                problem,
            )


class _Totals:
    """What the summary needs; a few numbers per inventory."""

    def __init__(self) -> None:
        self.counts = {name: Counter[Any]() for name in ("split", "category", "lead_time")}
        self.counts |= {n: Counter() for n in ("lead_time_jitter", "review_period", "sales_class")}
        self.sums: defaultdict[str, float] = defaultdict(float)
        self.mean: list[Array] = []
        self.ratio: list[Array] = []
        self.intermittent = 0
        self.launched_late = 0
        self.class_demand = dict.fromkeys(SALES_CLASSES, 0.0)
        self.warehouses: set[str] = set()
        self.fill_min = 1.0
        self.max_demand = 0.0

    def add(self, raw: RawTile, span: Span) -> None:
        s, d = raw.static, raw.dynamic
        for name, counter in self.counts.items():
            counter.update(s[name].tolist())
        T = span.num_days
        on_sale = d["on_sale"][:, :T] == 1
        counts = on_sale & (counting(d) == 1)
        observed = on_sale & (d["known"] == 1)
        days = counts.sum(axis=1)
        total = d["demand"].sum(axis=1, dtype=np.float64)
        selling = (d["demand"] > 0).sum(axis=1)
        self.sums["cells"] += on_sale.size
        self.sums["on_sale"] += int(on_sale.sum())
        self.sums["counting"] += int(days.sum())
        self.sums["observed"] += int(observed.sum())
        for kind in (1, 2) if "imputed" in d else ():
            drawn = on_sale & (d["imputed"] == kind)
            self.sums[f"drawn {kind}"] += int(drawn.sum())
            self.sums["drawn demand"] += float(d["demand"][drawn].sum(dtype=np.float64))
        self.sums["demand"] += float(total.sum())
        self.sums["zero"] += int((observed & (d["demand"] == 0)).sum())
        for name in FLAGS[1:]:
            self.sums[name] += int(d[name][:, :T].sum(dtype=np.int64))
        for name in ("price", *FLAGS):
            ahead = d[name][:, T:]
            unknown = np.isnan(ahead) if name == "price" else ahead == UNKNOWN
            self.sums["cells ahead"] += ahead.size if name == "price" else 0
            self.sums[f"{name} ahead"] += ahead.size - int(unknown.sum())
        self.intermittent += int((selling < INTERMITTENT_DAYS * days).sum())
        self.launched_late += int((d["on_sale"][:, 0] == 0).sum())
        self.mean.append((total / np.maximum(days, 1)).astype(np.float32))
        holding = np.maximum(s["holding_cost"], np.finfo(np.float32).tiny)
        self.ratio.append(s["shortage_cost"] / holding)
        window = slice(span.history_days, span.test_start)
        trained = d["demand"][:, window].sum(axis=1, dtype=np.float64)
        for name in np.unique(s["sales_class"]):
            self.class_demand[name] += float(trained[s["sales_class"] == name].sum())
        self.warehouses.update(s["warehouse"].tolist())
        self.fill_min = min(self.fill_min, float(s["fill_min"].min()))
        self.max_demand = max(self.max_demand, float(d["demand"].max()))

    def _ahead(self, cells: int) -> str:
        if not cells:
            return "none"
        return ", ".join(
            f"{name} known in {self.sums[f'{name} ahead'] / cells:.0%}"
            for name in ("price", *FLAGS)
        )

    def _drawn(self) -> list[str]:
        """A line on days whose demand was drawn behind a stockout."""
        drawn = [self.sums[f"drawn {kind}"] for kind in (1, 2)]
        if not sum(drawn):
            return []
        cut, shut = (days / max(self.sums["on_sale"], 1) for days in drawn)
        return [
            f"  imputed         {cut + shut:.2%} of the days on sale: {cut:.2%} cut short, "
            f"{shut:.2%} without stock all day; they hold "
            f"{self.sums['drawn demand'] / max(self.sums['demand'], 1e-9):.1%} of the demand"
        ]

    def _days(self, m: Manifest, span: Span) -> list[str]:
        """Lines on what the days of a span are for."""
        train, test, split = span.days("train"), span.days("test"), self.counts["split"]
        kept = f"{split['validation']:,}" if split["validation"] else "on the same"
        last = train.start - 1
        lines = [
            f"  history         days 0..{last} ({span.day(0)} .. {span.day(last)}), features only"
            if train.start
            else "  history         none",
            f"  train           days {train.start}..{train.stop - 1} "
            f"({span.day(train.start)} .. {span.day(train.stop - 1)})",
            f"  test            days {test.start}..{test.stop - 1} "
            f"({span.day(test.start)} .. {span.day(test.stop - 1)}): all inventories",
        ]
        if not m.spans:
            lines[1] += f": {split['train']:,} inventories, validation {kept}"
            return lines
        return [f"  of {span.name}, {span.inventories:,} inventories:", *lines]

    def describe(self, m: Manifest) -> str:
        n, cells = m.num_inventories, self.sums["cells"]
        observed = max(self.sums["observed"], 1)
        known = self.sums["observed"] / max(self.sums["on_sale"], 1)
        c = self.counts
        orders = "continuous" if m.order_multiple == 0 else f"multiples of {m.order_multiple:g}"
        size = sum(info.bytes for info in m.files.values())
        lines = [
            f"{m.name}: {n:,} inventories × {m.num_days} days in {len(self.warehouses):,} "
            f"warehouses, {len(m.files)} files, {size / 1e6:,.1f} MB, checksums verified",
            f"  source          {m.source}",
            f"  seed            {m.seed}",
            *(line for span in m.all_spans for line in self._days(m, span)),
            f"  orders          {orders}, unmet demand {'owed' if m.backlog else 'lost'}",
            f"  demand per day  {_quantiles(np.concatenate(self.mean))}; largest "
            f"{self.max_demand:,.6g}",
            f"  not known       {1 - known:.2%} of the days on sale",
            *self._drawn(),
            f"  zero days       {self.sums['zero'] / observed:.1%} of the known days on sale; "
            f"{self.intermittent / n:.1%} of the inventories sell on less than half of them",
            f"  off sale        {1 - self.sums['on_sale'] / cells:.2%} of all days; "
            f"{self.launched_late / n:.1%} of the inventories not on sale on day 0",
            f"  promotions      {self.sums['promotion'] / cells:.1%} of all days, events "
            f"{self.sums['event'] / cells:.1%}, snap {self.sums['snap'] / cells:.1%}",
            f"  days ahead      {self._ahead(int(self.sums['cells ahead']))}",
            f"  lead time       {_histogram(c['lead_time'], n)}",
            f"  jitter          {_histogram(c['lead_time_jitter'], n)}; least fill fraction "
            f"{self.fill_min:g}",
            f"  review period   {_histogram(c['review_period'], n)}",
            f"  b / h           {_quantiles(np.concatenate(self.ratio))}",
            f"  categories      {_histogram(c['category'], n, most=12)}",
            f"  weight          {m.weight_meaning}",
            "  sales class     inventories   share   share of demand (training days)",
        ]
        demand = max(sum(self.class_demand.values()), 1e-9)
        lines += [
            f"    {name:<14}{c['sales_class'][name]:>11,} {c['sales_class'][name] / n:>7.1%} "
            f"{self.class_demand[name] / demand:>9.1%}"
            for name in SALES_CLASSES
        ]
        return "\n".join(lines)


def _quantiles(values: Array) -> str:
    levels = (0.01, 0.1, 0.5, 0.9, 0.99)
    found = np.quantile(values, levels)
    parts = [f"p{100 * p:g} {v:,.4g}" for p, v in zip(levels, found, strict=True)]
    return f"mean {values.mean():,.4g}, " + ", ".join(parts)


def _histogram(counts: Mapping[Any, int], n: int, most: int = 31) -> str:
    shown = sorted(sorted(counts, key=lambda key: -counts[key])[:most])
    text = ", ".join(f"{key}: {counts[key] / n:.1%}" for key in shown)
    rest = len(counts) - len(shown)
    return text + (f", {rest} more" if rest else "")
