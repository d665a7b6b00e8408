"""The figures that policies are judged by (design 2), each as one record.

    cost            mean over counted days of  b * unmet + h * leftover
    stockout rate   share of counted days that end with no stock, in %
    turnover time   mean end-of-day inventory / mean daily sales, in days
    fill rate       share of demand that is served from stock on its day, in %

Every metric is a ratio of two sums over days, of an inventory as of many: its record says of
what, how inventories count in it, and what it is called in columns and for people. Evaluation,
bootstrap, tables, report, tracking and terminal read :data:`METRICS` and know no metric by name
but the cost, which methods are chosen by.

Quantities are tensors, arrays or columns of frames alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from operator import attrgetter
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float64]
Quantity: TypeAlias = Any
"""A tensor, array or column, [N] or [N, blocks]."""

SUMS = ("days", "demand", "sales", "stock", "unmet", "stockout_days")
"""What is added up over counted days: days and units, per inventory. Under backlog ``unmet`` is
what is owed at the end of a day, and ``stock`` the positive part of the end inventory."""


@dataclass(frozen=True)
class Days:
    """Sums over days of inventories (or their means: sums over one mean day), and unit costs."""

    days: Quantity = 1.0
    demand: Quantity = None
    sales: Quantity = None
    stock: Quantity = None
    unmet: Quantity = None
    stockout_days: Quantity = None
    shortage_cost: Quantity = None
    holding_cost: Quantity = None


Sum: TypeAlias = Callable[[Days], Quantity]
DAYS, DEMAND, SALES, STOCK, STOCKOUTS = map(
    attrgetter, ("days", "demand", "sales", "stock", "stockout_days")
)


def money(days: Days) -> Quantity:
    """b * unmet + h * stock: what the days cost.

    >>> money(Days(unmet=2.0, stock=5.0, shortage_cost=3.0, holding_cost=0.5))
    8.5
    """
    return days.shortage_cost * days.unmet + days.holding_cost * days.stock


class Over(Enum):
    """How inventories count in a metric of many: the one place where that is decided."""

    EACH_ONCE = "every inventory counts once"
    """Money adds up: a weight by demand would count size twice."""
    BY_WEIGHT = "inventories are weighted"
    """By the data set's weight, or mean demand where there is none."""
    TOTALS = "ratios of totals in units"
    """A mean of the inventories' own ratios would be made by those that hardly sell. Of demand,
    sales, stock and unmet demand: rows of inventories keep no other sums."""

    def of_inventory(self, days: Array, weight: Array) -> Array:
        """What an inventory's mean day counts.

        Args:
            days: Its counted days, > 0.
            weight: Its weight.
        """
        return {Over.EACH_ONCE: np.ones_like(days), Over.BY_WEIGHT: weight, Over.TOTALS: days}[self]

    def of_day(self, days: Array, weight: Array) -> Array | float:
        """What one day of an inventory counts: all of them :meth:`of_inventory`.

        Args:
            days: The inventory's counted days; infinite where there are none.
            weight: Its weight.
        """
        if self is Over.TOTALS:
            return 1.0
        share = 1.0 / days
        return share if self is Over.EACH_ONCE else weight * share


@dataclass(frozen=True)
class Words:
    """A metric for people."""

    title: str
    unit: str
    """Of what, in a column's heading."""
    suffix: str
    """Short unit that follows a number."""
    clause: str
    """Within a sentence; takes the number with its percent sign."""
    meaning: str
    """One sentence."""
    details: str
    """For a glossary."""
    difference: str
    """Unit of a difference between two policies."""
    form: str = ".2f"
    compared: str = "its {name} is {amount} {way}{range} than that of {other}"
    """Of two policies; the way is one of :attr:`ways`."""
    ways: tuple[str, str] = ("lower", "higher")
    best: str = "best"
    """Of several policies."""

    @property
    def name(self) -> str:
        """The title within a sentence."""
        return self.title.lower()

    @property
    def heading(self) -> str:
        """Name and unit, as along an axis."""
        return f"{self.name}, {self.unit}"

    @property
    def sign(self) -> str:
        """What stays with a number inside of a clause."""
        return " %" if self.suffix == "%" else ""


@dataclass(frozen=True)
class Metric:
    """A figure: ``scale * above / below``."""

    name: str
    """Its column, unit included."""
    above: Sum
    below: Sum
    over: Over
    words: Words
    stem: str
    """What its differences' columns begin with, unit included."""
    scale: float = 1.0
    least_is_best: bool = True
    most: float = float("inf")
    """No value lies above."""
    relative: bool = False
    """Differences are in percent of the other's."""

    @property
    def unit_of_differences(self) -> str:
        """What follows a difference in a sentence."""
        return "%" if self.relative else self.words.difference

    def of(self, days: Quantity) -> Quantity:
        """Each inventory's own figure; NaN where there is nothing to divide by.

        Args:
            days: :class:`Days` of tensors, [N].
        """
        below = self.below(days)
        return self.scale * self.above(days) / below.where(below > 0, float("nan"))

    def over_inventories(
        self, own: Mapping[str, Array], mean_day: Days, counted_days: Array, weight: Array
    ) -> float:
        """The figure of many inventories.

        Args:
            own: Name of a metric -> [N] each inventory's figure; needed unless the metric is a
                ratio of totals.
            mean_day: Of arrays, [N].
            counted_days: [N], > 0.
            weight: [N].
        """
        share = self.over.of_inventory(counted_days, weight)
        if self.over is Over.TOTALS:
            above, below = (share * part(mean_day) for part in (self.above, self.below))
            return self.scale * _ratio(float(above.sum()), float(below.sum()))
        return _ratio(float((share * own[self.name]).sum()), float(share.sum()))


def _ratio(total: float, by: float) -> float:
    return total / by if by > 0 else float("nan")


COST = Metric(
    "cost", money, DAYS, Over.EACH_ONCE, stem="cost_pct", relative=True,
    words=Words(
        title="Cost", unit="money per inventory and day", suffix="per inventory and day",
        clause="a cost of {}", meaning="Mean over inventories.", difference="% of cost",
        details="Mean over the counted days of (shortage cost × units asked for and not there) + "
        "(holding cost × units left in the evening), in money per inventory and day. Days before "
        "the first order can arrive and days off sale are not counted, for any method.",
        form=".4g", compared="it costs {amount} {way}{range} than {other}", ways=("less", "more"),
        best="cheapest",
    ),
)  # fmt: skip
STOCKOUT_RATE = Metric(
    "stockout_rate_pct", STOCKOUTS, DAYS, Over.BY_WEIGHT, stem="stockout_rate_pp", scale=100.0,
    most=100.0,
    words=Words(
        title="Stockout rate", unit="% of days", suffix="%", clause="{} stockouts",
        meaning="Share of days that end without stock.", difference="percentage points",
        details="Share of the counted days that end without stock, in percent. A day that sells "
        "exactly its last unit counts, so the rate is higher than the share of lost sales.",
    ),
)  # fmt: skip
TURNOVER_TIME = Metric(
    "turnover_days", STOCK, SALES, Over.TOTALS, stem="turnover_days",
    words=Words(
        title="Turnover time", unit="days", suffix="days", clause="{} days of stock",
        meaning="All stock over all daily sales.", difference="days",
        details="All stock in the evenings divided by all sales: for how many days of sales the "
        "stock lasts.",
    ),
)  # fmt: skip
FILL_RATE = Metric(
    "fill_rate_pct", SALES, DEMAND, Over.TOTALS, stem="fill_rate_pp", scale=100.0, most=100.0,
    least_is_best=False,
    words=Words(
        title="Fill rate", unit="% of demand", suffix="%", clause="a fill rate of {}",
        meaning="Share of demand that is served from stock.", difference="percentage points",
        details="Share of demand, in units, that is served from stock on its day.",
    ),
)  # fmt: skip
METRICS: tuple[Metric, ...] = (COST, STOCKOUT_RATE, TURNOVER_TIME, FILL_RATE)
"""All, in the order in which they are shown; the cost is the first."""


def metric_names() -> tuple[str, ...]:
    """Their columns."""
    return tuple(metric.name for metric in METRICS)


def service_metrics() -> tuple[Metric, ...]:
    """All but the cost, which says little without them."""
    return tuple(metric for metric in METRICS if metric is not COST)


def parts() -> list[tuple[Sum, Over]]:
    """What must be added up for all metrics: each sum once for each way of counting."""
    both = [(part, metric.over) for metric in METRICS for part in (metric.above, metric.below)]
    return list(dict.fromkeys(both))


def additive(days: Days, counted_days: Array, weight: Array) -> list[Array]:
    """The :func:`parts` of inventories, such that figures follow from their sums.

    Args:
        days: Sums over blocks of days, [N, blocks].
        counted_days: [N, 1] all of an inventory's.
        weight: [N, 1].
    """
    all_days = np.where(counted_days > 0, counted_days, np.inf)
    return [over.of_day(all_days, weight) * part(days) for part, over in parts()]


def figures(sums: Array) -> Array:
    """Metrics [..., len(METRICS)] of sums of :func:`additive`, [..., len(parts())]."""
    index = {part: place for place, part in enumerate(parts())}
    columns = []
    for metric in METRICS:
        above, below = (
            sums[..., index[part, metric.over]] for part in (metric.above, metric.below)
        )
        columns.append(metric.scale * above / np.where(below > 0, below, np.nan))
    return np.stack(columns, axis=-1)


def counting_in_words(weight_meaning: str) -> str:
    """How the metrics of many inventories are made of theirs.

    Args:
        weight_meaning: What the data set's weight is.
    """
    said = {
        Over.EACH_ONCE: ("counts every inventory once", "count every inventory once"),
        Over.BY_WEIGHT: (
            f"is an average over inventories weighted by {weight_meaning}",
            f"are averages over inventories weighted by {weight_meaning}",
        ),
        Over.TOTALS: ("is a ratio of totals in units", "are ratios of totals in units"),
    }
    clauses = []
    for over in (Over.BY_WEIGHT, Over.TOTALS, Over.EACH_ONCE):
        names = [metric.words.name for metric in METRICS if metric.over is over]
        if names:
            clauses.append(f"{listed(names)} {said[over][len(names) > 1]}")
    text = "; ".join(clauses)
    return text[:1].upper() + text[1:]


def listed(words: Iterable[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last
