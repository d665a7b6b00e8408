"""What is to be minimised: what a day and an order cost (design 2).

The metrics of a horizon are in :mod:`envs.metrics`.

Under backlog ``unmet`` is what is owed at the end of the day and the stock that
is held is the positive part of the end inventory.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any, ClassVar

from torch import Tensor

from envs.credit import decision_rewards
from envs.dynamics import DayOutcome
from envs.errors import ConfigError
from envs.horizon import HorizonMetrics
from envs.metrics import Days, money
from envs.registry import Registry
from envs.state import Scenario


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
    def of_inventories(self, metrics: HorizonMetrics) -> Tensor:
        """[N] what each inventory's horizon costs; rules are tuned by its mean."""

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

    def credit(self, cost: Tensor, scenario: Scenario) -> tuple[Tensor, Tensor]:
        """What a decision of each day is credited with, from what [T, N] days cost: those that it
        governs. See :func:`~envs.credit.decision_rewards`."""
        return decision_rewards(cost, scenario.lead_time, scenario.review_period)

    def loss(self, outcome: DayOutcome, scenario: Scenario, progress: float = 1.0) -> Tensor:
        """[N] differentiable: what a counted day costs in the mean, in day sizes.

        Args:
            outcome: Played, [T, N] each.
            scenario: What was played.
            progress: Share of the training that is behind, for what is annealed.
        """
        cost = self.day(outcome, scenario)
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
        """h and b, money per unit and day."""
        return scenario.holding_cost, scenario.shortage_cost

    def day_size(self, scenario: Scenario) -> Tensor:
        """[N] money: h * scale."""
        return scenario.holding_cost * scenario.scale[0]

    def decision_size(self, scenario: Scenario) -> Tensor:
        """[T, N] money: P * h * scale."""
        return scenario.review_period * scenario.holding_cost * scenario.scale

    def of_inventories(self, metrics: HorizonMetrics) -> Tensor:
        """[N] money per day."""
        return metrics.cost


OBJECTIVES: Registry[Objective] = Registry(
    "objective",
    Objective,  # type: ignore[type-abstract]
    {"cost": "envs.objective:CostObjective"},
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
