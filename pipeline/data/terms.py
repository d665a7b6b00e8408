"""Supply terms no public data set records: lead times, review periods and unit costs.

They are drawn from the distributions stated here, by the generator and by every import alike;
`SupplyTerms.describe` is the sentence that goes into the manifest. An inventory's terms depend
on the seed and its id, not on which other inventories there are (`Draws`).

Costs follow one of two laws. The terms of `margin`, the default, are those of a retailer's
books: a unit held costs 20 to 40 % of its price a year (capital, space, insurance, shrinkage and
obsolescence; the textbook range, e.g. Silver, Pyke and Thomas, Inventory and Production
Management in Supply Chains, 4th ed. 2017, ch. 1), a unit short loses the margin, 15 to 45 % of
its price (gross margins from grocery to apparel). So b / h is 137 to 821 a day, and the best
stockout rates lie at a few per cent. `ratio` draws b / h log-uniformly from 4 to 40 with holding
at 1 % of the price a day, 365 % a year: for comparison with tables made under it. `spoilage` is
for fresh food, whose stock is dear because it goes off: supermarkets lose some 12 % of their fresh
fruit and vegetables (Buzby et al., "Estimated Fresh Produce Shrink and Food Loss in U.S.
Supermarkets", Agriculture 5, 2015), which at two to three days of stock is 3 to 8 % of it a day;
b / h is log-uniform from 4 to 20.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from envs.errors import DataError
from pipeline.data.draws import Draws

Array = npt.NDArray[Any]
CostLaw = Literal["margin", "ratio", "spoilage"]
COST_LAWS: tuple[CostLaw, ...] = get_args(CostLaw)

LEAD_TIME_MEDIAN = 4.0
LEAD_TIME_SIGMA = 0.6
REVIEW_PERIODS = (1, 2, 3, 7)
REVIEW_WEIGHTS = (0.25, 0.2, 0.2, 0.35)
# Law `margin`: shares of the price.
HOLDING_SHARE_A_YEAR = (0.20, 0.40)
MARGIN = (0.15, 0.45)
DAYS_A_YEAR = 365.0
# Law `ratio`.
HOLDING_RATE = 0.01
HOLDING_SIGMA = 0.3
COST_RATIO = (4.0, 40.0)
# Law `spoilage`.
SPOILAGE_A_DAY = (0.03, 0.08)
SPOILAGE_RATIO = (4.0, 20.0)
# Median and log-sigma of a lognormal price, for sources without any.
DRAWN_PRICE = (10.0, 0.7)

TERMS: dict[str, type[np.generic]] = {
    "lead_time": np.int16,
    "lead_time_jitter": np.int16,
    "fill_min": np.float32,
    "review_period": np.int16,
    "review_offset": np.int16,
    "holding_cost": np.float32,
    "shortage_cost": np.float32,
}


@dataclass(frozen=True)
class SupplyTerms:
    """How supply terms are drawn.

    Args:
        max_lead_time: Days; lead times are clipped to 1..max_lead_time.
        max_review_period: Days; review periods above it are not drawn.
        lead_time_jitter: Days, the same for all inventories; 0 = constant lead times.
        fill_min: Least fraction of an order that arrives, the same for all inventories.
        costs: Law of holding and shortage costs; see the module.
        cost_ratio: Ends of b / h under the laws `ratio` (None: 4 to 40) and `spoilage` (4 to 20).
        lead_time_median: Days.

    Raises:
        DataError: An argument is out of range.
    """

    max_lead_time: int = 14
    max_review_period: int = 7
    lead_time_jitter: int = 0
    fill_min: float = 1.0
    costs: CostLaw = "margin"
    cost_ratio: tuple[float, float] | None = None
    lead_time_median: float = LEAD_TIME_MEDIAN

    def __post_init__(self) -> None:
        if not 1 <= self.max_lead_time <= 365:
            raise DataError("max_lead_time", self.max_lead_time, "Use 1 to 365 days.")
        if not 1 <= self.max_review_period <= 7:
            raise DataError("max_review_period", self.max_review_period, "Use 1 to 7 days.")
        if not 0 <= self.lead_time_jitter <= 365:
            raise DataError("lead_time_jitter", self.lead_time_jitter, "Use 0 to 365 days.")
        if not 0.0 < self.fill_min <= 1.0:
            raise DataError("fill_min", self.fill_min, "Use a fraction above 0, at most 1.")
        if self.costs not in COST_LAWS:
            raise DataError("costs", self.costs, f"Use {' or '.join(COST_LAWS)}.")
        if self.cost_ratio is not None:
            if self.costs == "margin":
                raise DataError(
                    "cost_ratio", list(self.cost_ratio), "Leave it out, or choose --costs ratio.",
                    f"does not go with costs by {self.costs}",
                )  # fmt: skip
            low, high = self.cost_ratio
            if not 0.0 < low <= high < np.inf:
                raise DataError(
                    "cost_ratio", [low, high], "Give two numbers above 0, the smaller one first."
                )

    @property
    def longest(self) -> int:
        """Days that the longest terms span: lead time + jitter + review period."""
        return self.max_lead_time + self.lead_time_jitter + max(self._periods()[0])

    @property
    def days_ahead(self) -> int:
        """Days that a decision looks ahead at most: its far forecast ends there.

        That is twice lead time + jitter + review period, counted from the morning of the
        decision, which is the day after the last day of demand.
        """
        return 2 * self.longest

    def describe(self) -> str:
        """One clause for the manifest: what the terms were drawn from."""
        periods, weights = self._periods()
        drawn = ", ".join(f"{p} (p = {w:.2f})" for p, w in zip(periods, weights, strict=True))
        jitter = "" if self.lead_time_jitter == 0 else f" ± up to {self.lead_time_jitter} per order"
        fill = "" if self.fill_min == 1.0 else f", fill fraction U[{self.fill_min:g}, 1] per order"
        return (
            f"lead times: lognormal with median {self.lead_time_median:g} days and log-sigma "
            f"{LEAD_TIME_SIGMA:g}, rounded, clipped to 1..{self.max_lead_time}{jitter}{fill}; "
            f"review periods: {drawn} with uniform offset; {self._describe_costs()}"
        )

    @property
    def _ratio(self) -> tuple[float, float]:
        if self.cost_ratio is not None:
            return self.cost_ratio
        return SPOILAGE_RATIO if self.costs == "spoilage" else COST_RATIO

    def _describe_costs(self) -> str:
        if self.costs == "margin":
            return (
                f"holding cost per unit: U[{HOLDING_SHARE_A_YEAR[0]:.0%}, "
                f"{HOLDING_SHARE_A_YEAR[1]:.0%}] of the price a year (textbook range); shortage "
                f"cost per unit: a margin of U[{MARGIN[0]:.0%}, {MARGIN[1]:.0%}] of the price"
            )
        if self.costs == "spoilage":
            holding = (
                f"U[{SPOILAGE_A_DAY[0]:.0%}, {SPOILAGE_A_DAY[1]:.0%}] of the price (what goes off)"
            )
        else:
            holding = (
                f"{HOLDING_RATE:.0%} of the price times a lognormal with median 1 and log-sigma "
                f"{HOLDING_SIGMA:g}"
            )
        return (
            f"holding cost per unit and day: {holding}; shortage cost: holding cost times a "
            f"log-uniform ratio in [{self._ratio[0]:g}, {self._ratio[1]:g}]"
        )

    def draw(
        self, draws: Draws, price: Array, given: Mapping[str, Array] | None = None
    ) -> dict[str, Array]:
        """Draw the supply terms of n inventories, independently of each other.

        Args:
            draws: Random numbers of the inventories; the same ones give the same terms.
            price: [n] regular price per unit.
            given: Terms that are known, column -> [n] with NaN where a value must be drawn.

        Returns:
            The columns `TERMS`, each [n].
        """
        n = len(price)
        given = given or {}

        def known_or(name: str, drawn: Array) -> Array:
            values = given.get(name)
            return drawn if values is None else np.where(np.isnan(values), drawn, values)

        lead = self.lead_time_median * np.exp(LEAD_TIME_SIGMA * draws.normal("lead_time"))
        period = known_or("review_period", draws.choice("review_period", *self._periods()))
        offset = np.floor(draws.uniform("review_offset") * period)
        holding = known_or("holding_cost", self._holding(draws, price))
        shortage = known_or("shortage_cost", self._shortage(draws, price, holding))
        values = {
            "lead_time": known_or("lead_time", np.clip(np.rint(lead), 1, self.max_lead_time)),
            "lead_time_jitter": known_or("lead_time_jitter", np.full(n, self.lead_time_jitter)),
            "fill_min": known_or("fill_min", np.full(n, self.fill_min)),
            "review_period": period,
            "review_offset": known_or("review_offset", offset),
            "holding_cost": holding,
            "shortage_cost": shortage,
        }
        return {name: values[name].astype(kind) for name, kind in TERMS.items()}

    def _holding(self, draws: Draws, price: Array) -> Array:
        if self.costs == "margin":
            share: Array = draws.uniform("holding_cost", *HOLDING_SHARE_A_YEAR) / DAYS_A_YEAR
        elif self.costs == "spoilage":
            share = draws.uniform("holding_cost", *SPOILAGE_A_DAY)
        else:
            share = HOLDING_RATE * np.exp(HOLDING_SIGMA * draws.normal("holding_cost"))
        return share * price

    def _shortage(self, draws: Draws, price: Array, holding: Array) -> Array:
        if self.costs == "margin":
            return draws.uniform("shortage_cost", *MARGIN) * price
        low, high = np.log(self._ratio)
        return np.exp(draws.uniform("shortage_cost", low, high)) * holding

    def _periods(self) -> tuple[list[int], list[float]]:
        kept = [
            (period, weight)
            for period, weight in zip(REVIEW_PERIODS, REVIEW_WEIGHTS, strict=True)
            if period <= self.max_review_period
        ]
        total = sum(weight for _, weight in kept)
        return [period for period, _ in kept], [weight / total for _, weight in kept]


def drawn_prices(draws: Draws) -> Array:
    """[n] prices of inventories whose source has none: lognormal, see `DRAWN_PRICE`."""
    median, sigma = DRAWN_PRICE
    prices: Array = median * np.exp(sigma * draws.normal("price"))
    return prices
