"""Classical inventory problems whose right answers are known, and scenarios of them.

Every problem is one inventory with demand that is independent and alike from day to day;
lead time, costs and what happens to unmet demand are fixed. Order of events as everywhere
(:mod:`envs.dynamics`): observe, order (usable L days later), demand, cost on end-of-day stock.

The published numbers are long-run average costs per day. They come from

* Zipkin (2008), Old and new methods for lost-sales inventory systems, Operations Research
  56(5), tables 3 and 4 (lost sales; the Poisson optima and the capped base stock as re-derived
  with more digits);
* the newsvendor on demand over L + 1 days (backlog and the newsvendor itself).

The study's setting 1, whose demand changes from day to day, is
:func:`envs.problems.settings.study_setting1`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import torch
from torch import Tensor

from envs.errors import ScenarioError
from envs.problems.poisson import TextbookDemand, poisson_scenario
from envs.state import Scenario


@dataclass(frozen=True)
class Poisson:
    """Poisson demand."""

    mean: float
    """Units per day, > 0."""

    def sample(self, days: int, n: int, generator: torch.Generator) -> Tensor:
        """[days, n] units, whole."""
        return torch.poisson(torch.full((days, n), self.mean), generator=generator)


@dataclass(frozen=True)
class Geometric:
    """Geometric demand on 0, 1, 2, ...: P(d = k) = p (1 - p)^k with p = 1 / (1 + mean)."""

    mean: float
    """Units per day, > 0."""

    @property
    def success(self) -> float:
        """p: probability of a day without demand."""
        return 1.0 / (1.0 + self.mean)

    def sample(self, days: int, n: int, generator: torch.Generator) -> Tensor:
        """[days, n] units, whole."""
        # The whole part of an exponential variable is geometric: P(floor(x) >= k) = e^(-rate k).
        rate = -math.log1p(-self.success)
        return torch.empty(days, n).exponential_(rate, generator=generator).floor_()


@dataclass(frozen=True)
class Normal:
    """Normal demand; a negative draw is a day without demand.

    The closed forms of the literature ignore that truncation. For N(5, 1.6) it hits one day in
    1,100 and lowers the expected costs of the library's backlog problems by 0.02 to 0.05 %.
    """

    mean: float
    """Units per day, before truncation."""
    std: float
    """Units, before truncation, > 0."""

    def sample(self, days: int, n: int, generator: torch.Generator) -> Tensor:
        """[days, n] units, continuous."""
        noise = torch.randn(days, n, generator=generator)
        return (self.mean + self.std * noise).clamp_(min=0.0)


DemandLaw = Poisson | Geometric | Normal
"""Demand of a day; days are independent."""


@dataclass(frozen=True)
class Published:
    """A number of the literature and how far its last digit goes."""

    value: float
    decimals: int

    @property
    def half_unit(self) -> float:
        """Half of the last published digit: what rounding alone may explain."""
        return 0.5 * 10.0**-self.decimals


@dataclass(frozen=True)
class ClassicalProblem:
    """One inventory whose best policy, or the cost of a known policy, is published."""

    name: str
    """Unique in :data:`PROBLEMS`, e.g. ``lost_sales_poisson_p9_L4``."""
    demand: DemandLaw
    """Independent from day to day."""
    lead_time: int
    """L, days."""
    shortage_cost: float
    """b (p in the lost-sales literature), money per unit short."""
    holding_cost: float = 1.0
    """h, money per unit and day."""
    backlog: bool = False
    """Unmet demand is owed instead of lost."""
    review_period: int = 1
    """P, days."""
    horizon: int | None = None
    """Days after which all stock has perished; None: it keeps, and the long run counts."""
    published: Mapping[str, Published] = field(default_factory=dict, hash=False)
    """Costs per day of ``optimal``, ``base_stock`` and ``capped_base_stock`` (the best of their
    kind), and ``base_stock_level`` in units; what is not published is not there."""

    def __post_init__(self) -> None:
        smallest = {"lead_time": 0.0, "review_period": 1.0}
        for name, least in smallest.items():
            if getattr(self, name) < least:
                raise ScenarioError(
                    name, getattr(self, name), f"Use {least:.0f} or more.", "is out of range"
                )
        positive = {
            "demand.mean": self.demand.mean, "shortage_cost": self.shortage_cost,
            "holding_cost": self.holding_cost,
        }  # fmt: skip
        if isinstance(self.demand, Normal):
            positive["demand.std"] = self.demand.std
        for name, value in positive.items():
            if not 0 < value < math.inf:
                raise ScenarioError(name, value, "Use a finite number above 0.", "is out of range")

    @property
    def whole_units(self) -> bool:
        """Demand, and so every sensible order, is a whole number."""
        return not isinstance(self.demand, Normal)

    @property
    def critical_ratio(self) -> float:
        """b / (b + h): the newsvendor's quantile.

        >>> ClassicalProblem("mine", Poisson(5.0), 0, shortage_cost=19.0).critical_ratio
        0.95
        """
        return self.shortage_cost / (self.shortage_cost + self.holding_cost)


def scenario(
    problem: ClassicalProblem,
    n: int,
    days: int,
    seed: int,
    *,
    round_orders: bool = False,
    max_lead_time: int | None = None,
) -> Scenario:
    """``n`` independent inventories of a problem over ``days`` days.

    The observation is that of :func:`~envs.problems.poisson.poisson_scenario`.

    Args:
        problem: Any, of :data:`PROBLEMS` or your own.
        n: Inventories.
        days: T; the problem's horizon where it has one.
        seed: Of the demand. Problems with the same demand law see the same demand.
        round_orders: Place whole units only (if demand is whole).
        max_lead_time: K; default: the problem's lead time. One policy for several problems
            needs one K.

    Raises:
        ScenarioError: ``days`` is not the problem's horizon, or a number is out of its range.
    """
    if problem.horizon is not None and days != problem.horizon:
        raise ScenarioError(
            "days", days, f"Play {problem.name} for its horizon: days = {problem.horizon}.",
            "is not the problem's horizon",
        )  # fmt: skip
    layout = poisson_scenario(
        n,
        days,
        mean=problem.demand.mean,
        lead_time=problem.lead_time,
        shortage_cost=problem.shortage_cost,
        holding_cost=problem.holding_cost,
        seed=seed,
        backlog=problem.backlog,
        review_period=problem.review_period,
        order_multiple=1.0 if round_orders and problem.whole_units else 0.0,
        max_lead_time=max_lead_time,
    )
    if isinstance(problem.demand, Poisson):
        return layout
    demand = problem.demand.sample(days, n, torch.Generator().manual_seed(seed))
    return replace(layout, demand=demand, coming=coming_demand(problem)).validate()


def coming_demand(problem: ClassicalProblem) -> TextbookDemand:
    """How the problem's observations tell the demand until an order arrives."""
    law = problem.demand
    if isinstance(law, Normal):
        return TextbookDemand(problem.backlog, constant=law.std**2, linear=0.0)
    return TextbookDemand(problem.backlog, quadratic=float(isinstance(law, Geometric)))


PENALTIES = (4, 9, 19, 39)
"""p or b of the published tables, h = 1."""

_POISSON_OPTIMAL = {
    4: (4.0407, 4.3953, 4.5987, 4.7285),
    9: (5.4383, 6.0936, 6.5313, 6.8360),
    19: (6.676, 7.664, 8.363, 8.887),
    39: (7.836, 9.106, 10.039, 10.793),
}
"""Columns here and below: L = 1, 2, 3, 4."""
_POISSON_BASE_STOCK = {
    4: (4.16, 4.64, 4.98, 5.20),
    9: (5.55, 6.32, 6.86, 7.27),
    19: (6.73, 7.84, 8.60, 9.23),
    39: (7.86, 9.19, 10.22, 11.06),
}
_POISSON_LEVEL = {
    4: (12, 16, 20, 25),
    9: (13, 19, 23, 28),
    19: (15, 21, 26, 31),
    39: (16, 22, 28, 33),
}
_POISSON_CAPPED = {
    4: (4.066, 4.406, 4.631, 4.798),
    9: (5.482, 6.119, 6.616, 6.912),
    19: (6.688, 7.721, 8.401, 8.955),
    39: (7.843, 9.133, 10.085, 10.890),
}
_GEOMETRIC_OPTIMAL = {
    4: (9.82, 10.24, 10.47, 10.61),
    9: (14.51, 15.50, 16.14, 16.58),
    19: (19.22, 20.89, 22.06, 22.95),
    39: (23.87, 26.21, 27.96, 29.36),
}
_GEOMETRIC_BASE_STOCK = {
    4: (10.04, 10.70, 11.13, 11.44),
    9: (14.73, 15.99, 16.87, 17.54),
    19: (19.40, 21.31, 22.73, 23.85),
    39: (24.00, 26.55, 28.51, 30.12),
}
_BACKLOG_POISSON = {
    4: ((7, 3.2774), (13, 4.6124), (18, 5.5880), (24, 6.4380), (29, 7.1698)),
    9: ((8, 4.2211), (14, 5.8694), (20, 7.1230), (26, 8.1864), (32, 9.1510)),
}
"""(level, cost) for L = 0, ..., 4."""
_BACKLOG_NORMAL = {
    (9, 1): 3.971, (9, 4): 6.279, (9, 7): 7.942, (9, 10): 9.313, (9, 15): 11.232,
    (9, 20): 12.868, (4, 4): 5.008, (19, 4): 7.380, (39, 4): 8.364,
}  # fmt: skip
"""(b, L) -> cost."""


def _lost_sales() -> list[ClassicalProblem]:
    problems = []
    for p in PENALTIES:
        for index in range(4):
            poisson = {
                "optimal": Published(_POISSON_OPTIMAL[p][index], 4 if p < 19 else 3),
                "base_stock": Published(_POISSON_BASE_STOCK[p][index], 2),
                "base_stock_level": Published(_POISSON_LEVEL[p][index], 0),
                "capped_base_stock": Published(_POISSON_CAPPED[p][index], 3),
            }
            geometric = {
                "optimal": Published(_GEOMETRIC_OPTIMAL[p][index], 2),
                "base_stock": Published(_GEOMETRIC_BASE_STOCK[p][index], 2),
            }
            for law, published in ((Poisson(5.0), poisson), (Geometric(5.0), geometric)):
                lead = index + 1
                problems.append(
                    ClassicalProblem(
                        f"lost_sales_{type(law).__name__.lower()}_p{p}_L{lead}", law, lead,
                        shortage_cost=float(p), published=published,
                    )
                )  # fmt: skip
    return problems


def _backlog() -> list[ClassicalProblem]:
    poisson = [
        ClassicalProblem(
            f"backlog_poisson_b{b}_L{lead}", Poisson(5.0), lead, shortage_cost=float(b),
            backlog=True,
            published={
                "base_stock": Published(cost, 4),
                "base_stock_level": Published(float(level), 0),
            },
        )
        for b, cells in _BACKLOG_POISSON.items()
        for lead, (level, cost) in enumerate(cells)
    ]  # fmt: skip
    normal = [
        ClassicalProblem(
            f"backlog_normal_b{b}_L{lead}", Normal(5.0, 1.6), lead, shortage_cost=float(b),
            backlog=True, published={"base_stock": Published(cost, 3)},
        )
        for (b, lead), cost in _BACKLOG_NORMAL.items()
    ]  # fmt: skip
    return poisson + normal


def _newsvendor() -> ClassicalProblem:
    # Setting 4 of the study at sigma = 10: level 100 + 1.28155 sigma, cost 0.175498 sigma.
    return ClassicalProblem(
        "newsvendor_normal", Normal(100.0, 10.0), 0, shortage_cost=0.9, holding_cost=0.1,
        horizon=1, published={
            "base_stock": Published(1.75498, 5),
            "base_stock_level": Published(112.8155, 4),
        },
    )  # fmt: skip


PROBLEMS: Mapping[str, ClassicalProblem] = MappingProxyType(
    {problem.name: problem for problem in (*_lost_sales(), *_backlog(), _newsvendor())}
)
"""All published problems by name: 32 with lost sales, 19 with backlog, the newsvendor."""


def problem_named(name: str) -> ClassicalProblem:
    """One of :data:`PROBLEMS`.

    Raises:
        ScenarioError: There is none of that name.
    """
    if name not in PROBLEMS:
        raise ScenarioError(
            "problem", name, f"Use one of {', '.join(PROBLEMS)}.", "is not a classical problem"
        )
    return PROBLEMS[name]
