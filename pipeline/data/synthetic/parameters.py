"""Numbers of the retail-like market that `retail` draws from."""

from __future__ import annotations

from dataclasses import dataclass

from envs.errors import DataError

REGIONS = 3
EVENTS_PER_YEAR = 10
# Standard deviations of log demand levels; with the rest they add up to the given log-sigma.
SKU_SHARE, WAREHOUSE_SHARE = 0.70, 0.08
SHOCK_PHI, SHOCK_CATEGORY, SHOCK_WAREHOUSE, SHOCK_BOTH = 0.8, 0.10, 0.07, 0.07
WEEK_DEVIATION, YEAR_DEVIATION, TREND = 0.06, 0.08, 0.15
PROMOTION_SLOT, PROMOTION_RATE = 28, 0.35
PROMOTION_DEPTHS = (0.10, 0.15, 0.20, 0.25, 0.30, 0.40)
DISPERSION_MEDIAN, DISPERSION_SIGMA = 4.0, 0.6
INTERMITTENT_BELOW, INTERMITTENT_SHARE = 3.0, 0.4
MAX_MEAN = 1e5


@dataclass(frozen=True)
class Category:
    """A product category; all effects are on the logarithm of the mean."""

    name: str
    share: float
    """Share of the SKUs."""
    price: float
    """Median price per unit."""
    week: tuple[float, float, float, float, float, float, float]
    """Monday to Sunday."""
    year: float
    """Amplitude of the yearly season."""
    peak: int
    """Day of the year at which the season peaks."""
    event: float
    snap: float


# Effects of the weekdays, Monday to Sunday.
_FOOD = (-0.10, -0.10, -0.05, 0.0, 0.15, 0.20, 0.0)
_STEADY = (-0.05, -0.05, 0.0, 0.0, 0.05, 0.10, 0.0)
_WEEKEND = (-0.15, -0.15, -0.10, 0.0, 0.15, 0.35, 0.20)

CATEGORIES = (
    Category("fresh", 0.12, 3.5, _FOOD, year=0.10, peak=180, event=0.15, snap=0.15),
    Category("dry-food", 0.18, 3.0, _FOOD, year=0.08, peak=350, event=0.12, snap=0.12),
    Category("beverages", 0.10, 2.5, _WEEKEND, year=0.25, peak=200, event=0.25, snap=0.05),
    Category("household", 0.14, 6.0, _STEADY, year=0.05, peak=100, event=0.0, snap=0.03),
    Category("personal-care", 0.12, 7.0, _STEADY, year=0.05, peak=190, event=0.05, snap=0.02),
    Category("apparel", 0.12, 20.0, _WEEKEND, year=0.20, peak=320, event=0.15, snap=0.0),
    Category("toys", 0.07, 15.0, _WEEKEND, year=0.60, peak=345, event=0.30, snap=0.0),
    Category("electronics", 0.07, 60.0, _STEADY, year=0.30, peak=335, event=0.20, snap=0.0),
    Category("garden", 0.04, 12.0, _WEEKEND, year=0.80, peak=140, event=0.10, snap=0.0),
    Category("hobby", 0.04, 18.0, _WEEKEND, year=0.15, peak=20, event=0.0, snap=0.0),
)


@dataclass(frozen=True)
class RetailParameters:
    """What can be chosen about the market.

    Args:
        median_demand: Median over inventories of the mean demand, units per day.
        log_sigma: Standard deviation of its logarithm.
        new_share: Share of inventories launched after the first day.
        warehouses: Number of warehouses; 0 = one per 50 inventories, from 2 to 20.
        end_share: Share of inventories that are discontinued, on a day that is planned ahead.
        unknown_share: Share of the days whose demand was not recorded.
    """

    median_demand: float = 2.0
    log_sigma: float = 1.2
    new_share: float = 0.05
    warehouses: int = 0
    end_share: float = 0.02
    unknown_share: float = 0.005

    def __post_init__(self) -> None:
        if not (0 < self.median_demand <= 1e4):
            raise DataError("median_demand", self.median_demand, "Use more than 0, up to 10000.")
        if not (0 <= self.log_sigma <= 3):
            raise DataError("log_sigma", self.log_sigma, "Use 0 to 3.")
        for name in ("new_share", "end_share", "unknown_share"):
            if not (0 <= getattr(self, name) <= 1):
                raise DataError(name, getattr(self, name), "Use a share, 0 to 1.")
        if self.warehouses < 0:
            raise DataError("warehouses", self.warehouses, "Use 1 or more, or 0 for the default.")

    def describe(self) -> str:
        """One clause for the manifest."""
        return (
            f"base demand (before all effects) lognormal with median {self.median_demand:g} units "
            f"a day and log-sigma {self.log_sigma:g}; negative binomial counts with weekly and "
            "yearly season, events, promotions, trend and AR(1) shocks; "
            f"{INTERMITTENT_SHARE:.0%} of the inventories below {INTERMITTENT_BELOW:g} units a "
            f"day intermittent; {self.new_share:.0%} launched late, {self.end_share:.0%} "
            "discontinued; "
            f"{self.unknown_share:.1%} of the days not recorded"
        )
