"""What is to be minimised: what a day and an order cost (design 2).

The metrics of a horizon are in :mod:`envs.metrics`.

Under backlog ``unmet`` is what is owed at the end of the day and the stock that
is held is the positive part of the end inventory.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any, ClassVar, Literal, get_args

import torch
from torch import Tensor

from envs.credit import Credit, EndOfHorizon, GovernedDays
from envs.dynamics import DayOutcome
from envs.errors import ConfigError
from envs.horizon import HorizonMetrics
from envs.metrics import Days, money
from envs.registry import Registry
from envs.state import Scenario

GOVERNED = GovernedDays()
Crediting = Literal["governed", "terminal"]


def day_cost(outcome: DayOutcome, shortage_cost: Tensor, holding_cost: Tensor) -> Tensor:
    """:func:`~envs.metrics.money` of a day (or of [T, N] days), per inventory.

    Three units short at b = 9, and two left at h = 0.5:

    >>> import torch
    >>> unmet, end = torch.tensor([3.0, 0.0]), torch.tensor([0.0, 2.0])
    >>> outcome = DayOutcome(torch.zeros(2), unmet, end)
    >>> day_cost(outcome, torch.tensor(9.0), torch.tensor(0.5)).tolist()
    [27.0, 1.0]
    """
    cost: Tensor = money(
        Days(
            unmet=outcome.unmet,
            stock=outcome.end.clamp(min=0.0),
            shortage_cost=shortage_cost,
            holding_cost=holding_cost,
        )
    )
    return cost


@dataclass(frozen=True)
class Objective(ABC):
    """What policies are trained, validated and tuned for.

    What a day costs is a sum of parts, each a rate times an amount, both >= 0: learners learn
    the parts apart. A subclass is a frozen dataclass; its fields are its options in YAML
    (``objective: {name: service, stockout_weight: 2.0}``).
    """

    name: ClassVar[str]
    parts: ClassVar[tuple[str, ...]]
    """What they are called."""
    metric: ClassVar[str]
    """The figure of a summary that validation selects by."""
    lower_is_better: ClassVar[bool] = True
    """Of that figure."""

    @property
    def log_trade_off(self) -> float | None:
        """Logarithm of what shortages weigh against stock, as policies see it; None: that of each
        inventory's own costs, b / h."""
        return None

    @abstractmethod
    def amounts(self, outcome: DayOutcome) -> tuple[Tensor, ...]:
        """Of each part, [..., N] >= 0 from an outcome of that shape."""

    @abstractmethod
    def rates(self, scenario: Scenario) -> tuple[Tensor, ...]:
        """[N] >= 0 of each part: what a unit of its amount costs."""

    @abstractmethod
    def day_size(self, scenario: Scenario) -> Tensor:
        """[N] > 0: the size of what a day can cost; losses and shares of them have no unit."""

    @abstractmethod
    def decision_size(self, scenario: Scenario) -> Tensor:
        """[T, N] > 0: the size of what a decision made on a day can cost."""

    @abstractmethod
    def parts_of(self, metrics: HorizonMetrics, scenario: Scenario) -> tuple[Tensor, ...]:
        """[N] of each part: what each inventory's mean day costs, at the factor 1. The factor on
        shortages multiplies the last part."""

    def of_inventories(self, metrics: HorizonMetrics, scenario: Scenario) -> Tensor:
        """[N] what each inventory's mean day costs; rules are tuned by its mean."""
        *others, _ = self.parts_of(metrics, scenario)
        return sum(others, start=self.shortages_of(metrics, scenario))

    def shortages_of(self, metrics: HorizonMetrics, scenario: Scenario) -> Tensor:
        """[N] the part of it that is shortages, times their factor."""
        shortages = self.parts_of(metrics, scenario)[-1]
        factor = scenario.shortage_factor
        return shortages if factor is None else shortages * factor

    def day_parts(self, outcome: DayOutcome, scenario: Scenario) -> tuple[Tensor, ...]:
        """What [T, N] days cost, part by part."""
        return tuple(
            rate * amount
            for rate, amount in zip(self.rates(scenario), self.amounts(outcome), strict=True)
        )

    def day(self, outcome: DayOutcome, scenario: Scenario) -> Tensor:
        """What [T, N] days cost."""
        first, *others = self.day_parts(outcome, scenario)
        return sum(others, start=first)

    @property
    def crediting(self) -> Credit:
        """When decisions are charged with what days cost: those that they govern, at once."""
        return GOVERNED

    def loss(self, outcome: DayOutcome, scenario: Scenario, progress: float = 1.0) -> Tensor:
        """[N] differentiable: what a counted day costs in the mean, in day sizes.

        Args:
            outcome: Played, [T, N] each.
            scenario: What was played.
            progress: Share of the training that is behind, for what is annealed.
        """
        return self._of_counted_days(self.day(outcome, scenario), scenario)

    def _of_counted_days(self, cost: Tensor, scenario: Scenario) -> Tensor:
        """[N] the mean of [T, N], in day sizes."""
        if scenario.counted is None:
            return cost.mean(0) / self.day_size(scenario)
        counted = scenario.counted.to(cost.dtype)
        mean = (cost * counted).sum(0) / counted.sum(0).clamp(min=1.0)
        return mean / self.day_size(scenario)

    def figure(self, summary: Mapping[str, float]) -> float:
        """The value of :attr:`metric`, from the metrics of a summary."""
        return summary[self.metric]

    def judged(self, summary: Mapping[str, float]) -> dict[str, float]:
        """The summary, and :attr:`metric` in it."""
        return {**summary, self.metric: self.figure(summary)}

    def signed(self, figure: float) -> float:
        """A value of :attr:`metric` as a number of which less is better."""
        return figure if self.lower_is_better else -figure

    def written(self) -> str | dict[str, Any]:
        """As configurations have it; the inverse of :func:`objective_of`."""
        name = OBJECTIVES.written(type(self))
        options = {
            field.name: getattr(self, field.name)
            for field in fields(self)
            if field.default is MISSING or getattr(self, field.name) != field.default
        }
        return {"name": name, **options} if options else name


@dataclass(frozen=True)
class CostObjective(Objective):
    """Money: b * unmet + h * leftover a day."""

    name = "cost"
    parts = "holding", "shortage"
    metric = "cost"

    def amounts(self, outcome: DayOutcome) -> tuple[Tensor, ...]:
        """Units that are left, and units that were missing."""
        return outcome.end.clamp(min=0.0), outcome.unmet

    def rates(self, scenario: Scenario) -> tuple[Tensor, ...]:
        """h and b (times its factor), money per unit and day."""
        return scenario.holding_cost, scenario.shortage_weight

    def day_size(self, scenario: Scenario) -> Tensor:
        """[N] money: h * scale."""
        return scenario.holding_cost * scenario.scale[0]

    def decision_size(self, scenario: Scenario) -> Tensor:
        """[T, N] money: P * h * scale."""
        return scenario.review_period * scenario.holding_cost * scenario.scale

    def parts_of(self, metrics: HorizonMetrics, scenario: Scenario) -> tuple[Tensor, Tensor]:
        """[N] each, money per day."""
        return (
            scenario.holding_cost * metrics.mean_inventory,
            scenario.shortage_cost * metrics.mean_unmet,
        )


@dataclass(frozen=True)
class ServiceObjective(Objective):
    """What operations want: weight * stockout rate + weight * turnover time.

    A day that ends without stock costs its weight, a unit in the evening as many days of turnover
    as it lasts at the inventory's mean demand; inventories count by that demand, as they do in
    the stockout rate and turnover time of many. For what is differentiated the step from stock to
    none is a logistic function, whose width shrinks in the course of training from ``width`` to
    ``final_width``; that is the whole horizon's loss, whatever the credit.
    """

    stockout_weight: float = 1.0
    """Of a percentage point of days without stock."""
    turnover_weight: float = 1.0
    """Of a day of turnover time."""
    width: float = 0.3
    final_width: float = 0.1
    """In demand scales."""
    credit: Crediting = "governed"
    """A decision is charged with the days that it governs, or the last decisions before
    checkpoints and the end are, with all days until then: :class:`~envs.credit.EndOfHorizon`."""
    checkpoints: int = 3
    """Of a terminal credit, beside the end."""

    name = "service"
    parts = "turnover", "stockout"
    metric = "service"

    PRIOR_DAYS: ClassVar[float] = 28.0
    """Days that the first morning's expectation counts in the mean demand of a horizon."""

    def __post_init__(self) -> None:
        for name in ("stockout_weight", "turnover_weight", "width", "final_width"):
            value = getattr(self, name)
            if not (isinstance(value, (int, float)) and 0 < value < math.inf):
                raise ValueError(f"{name} is {value}; it must be a number above 0")
        if self.credit not in get_args(Crediting):
            raise ValueError(f"credit is {self.credit!r}; it must be governed or terminal")
        if type(self.checkpoints) is not int or self.checkpoints < 0:
            raise ValueError(f"checkpoints is {self.checkpoints}; it must be a whole number >= 0")

    @property
    def crediting(self) -> Credit:
        """As ``credit`` says."""
        return GOVERNED if self.credit == "governed" else EndOfHorizon(self.checkpoints)

    @property
    def log_trade_off(self) -> float:
        """One percentage point a day against the days of stock that it is worth."""
        return math.log(100.0 * self.stockout_weight / self.turnover_weight)

    def amounts(self, outcome: DayOutcome) -> tuple[Tensor, Tensor]:
        """Units that are left, and whether there are none."""
        return outcome.end.clamp(min=0.0), (outcome.end <= 0).to(outcome.end.dtype)

    def rates(self, scenario: Scenario) -> tuple[Tensor, Tensor]:
        """Days of turnover in units of the inventory's demand, per unit and per stockout."""
        demand = self.day_size(scenario)
        stockout = 100.0 * self.stockout_weight * demand
        factor = scenario.shortage_factor
        return (
            torch.full_like(demand, self.turnover_weight),
            stockout if factor is None else stockout * factor,
        )

    def day_size(self, scenario: Scenario) -> Tensor:
        """[N] units a day: mean demand of the horizon, and a little of what was expected."""
        days = scenario.num_days
        expected = self._expected(scenario)[0]
        return (scenario.demand.sum(0) + self.PRIOR_DAYS * expected) / (days + self.PRIOR_DAYS)

    def decision_size(self, scenario: Scenario) -> Tensor:
        """[T, N] units: what is expected in a review period."""
        return scenario.review_period * self._expected(scenario)

    @staticmethod
    def _expected(scenario: Scenario) -> Tensor:
        """[T, N] units a day, known in the morning: the scale lasts for the protection period."""
        return scenario.scale / (scenario.lead_time + scenario.review_period)

    def loss(self, outcome: DayOutcome, scenario: Scenario, progress: float = 1.0) -> Tensor:
        """[N] differentiable, in day sizes: stockouts by a logistic function of what is left, or
        was missing, in the evening."""
        width = self.width * (self.final_width / self.width) ** progress
        left = outcome.end.clamp(min=0.0)
        # Under lost sales the end does not tell a near miss from a far one.
        balance = torch.where(outcome.end < 0, outcome.end, outcome.end - outcome.unmet)
        # Half a unit is no stock where orders are whole, wherever the played ones were not.
        whole = isinstance(scenario.order_multiple, Tensor) or scenario.order_multiple > 0
        smooth = torch.sigmoid((0.5 * whole - balance) / (width * scenario.scale))
        turnover, stockout = self.rates(scenario)
        return self._of_counted_days(turnover * left + stockout * smooth, scenario)

    def parts_of(self, metrics: HorizonMetrics, scenario: Scenario) -> tuple[Tensor, Tensor]:
        """[N] each; as :meth:`rates`, with the demand of the counted days."""
        weight = self.stockout_weight * metrics.mean_demand
        return self.turnover_weight * metrics.mean_inventory, weight * metrics.stockout_rate

    def figure(self, summary: Mapping[str, float]) -> float:
        """Of the true metrics."""
        return (
            self.stockout_weight * summary["stockout_rate_pct"]
            + self.turnover_weight * summary["turnover_days"]
        )


OBJECTIVES: Registry[Objective] = Registry(
    "objective",
    Objective,  # type: ignore[type-abstract]
    {
        "cost": "envs.objective:CostObjective",
        "service": "envs.objective:ServiceObjective",
    },
)
DEFAULT_OBJECTIVE = CostObjective()
"""Where none is named."""


def objective_of(choice: Objective | type[Objective] | str | Mapping[str, Any]) -> Objective:
    """The objective that is meant.

    Args:
        choice: A registered name, ``module:Class``, a class or an object; or a mapping of
            ``name`` and options.

    Raises:
        ConfigError: There is none, or it has no such option.
    """
    if isinstance(choice, Objective):
        return choice
    options = dict(choice) if isinstance(choice, Mapping) else {"name": choice}
    found = OBJECTIVES.find(options.pop("name", "(absent)"))
    try:
        return found(**options)
    except (TypeError, ValueError) as error:
        known = ", ".join(field.name for field in fields(found)) or "none"
        raise ConfigError(
            "objective", options, f"{found.name} knows these options: {known}.",
            f"was refused ({error})",
        ) from error  # fmt: skip
