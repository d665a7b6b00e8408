"""What is to be minimised, and what a day, an order and a horizon come to (design 2).

    cost            mean over counted days of  b * unmet + h * leftover
    stockout rate   share of counted days that end with no stock, in %
    turnover time   mean end-of-day inventory / mean daily sales, in days
    fill rate       share of demand that is served from stock on its day, in %

Under backlog ``unmet`` is what is owed at the end of the day and the stock that
is held is the positive part of the end inventory.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from typing import Any, ClassVar

import torch
from torch import Tensor

from envs.credit import decision_rewards
from envs.dynamics import DayOutcome
from envs.errors import ConfigError
from envs.registry import Registry
from envs.state import Scenario


def day_cost(outcome: DayOutcome, shortage_cost: Tensor, holding_cost: Tensor) -> Tensor:
    """b * unmet + h * leftover of a day (or of [T, N] days), money per inventory."""
    return shortage_cost * outcome.unmet + holding_cost * outcome.end.clamp(min=0.0)


BLOCK_SUMS = ("days", "demand", "sales", "stock", "unmet", "stockout_days")
"""What is added up over the counted days of a block: days and units, per inventory."""


@dataclass(frozen=True)
class HorizonMetrics:
    """Metrics of each inventory over its counted days, [N] each."""

    cost: Tensor
    """Money per day."""
    stockout_rate: Tensor
    """Percent of the counted days."""
    turnover_time: Tensor
    """Days; NaN where nothing was sold."""
    mean_inventory: Tensor
    """Units held at the end of a day (0 where demand is owed)."""
    mean_sales: Tensor
    """Units per day."""
    mean_demand: Tensor
    """Units per day."""
    counted_days: Tensor
    """Days that entered the metrics; all else is NaN where this is 0."""
    fill_rate: Tensor
    """Percent of demand served from stock on its day; NaN where nothing was asked for."""
    blocks: Tensor | None = None
    """[B, len(BLOCK_SUMS), N] sums over each block of days, where they were asked for."""

    @staticmethod
    def concatenate(tiles: Sequence[HorizonMetrics]) -> HorizonMetrics:
        """Metrics of the inventories of all tiles, one tile after the other."""
        if len(tiles) == 1:
            return tiles[0]
        joined: dict[str, Any] = {}
        for name in (field.name for field in fields(HorizonMetrics)):
            parts = [getattr(tile, name) for tile in tiles]
            joined[name] = None if parts[0] is None else torch.cat(parts, dim=-1)
        return HorizonMetrics(**joined)


def horizon_metrics(
    outcome: DayOutcome,
    demand: Tensor,
    shortage_cost: Tensor,
    holding_cost: Tensor,
    counted: Tensor | None = None,
) -> HorizonMetrics:
    """Metrics of a played horizon.

    Args:
        outcome: Sales, unmet demand and end inventory, [T, N] each.
        demand: [T, N].
        shortage_cost: [N] b.
        holding_cost: [N] h.
        counted: [T, N] bool; None counts every day.
    """
    sums = HorizonSums(like=shortage_cost)
    sums.add(outcome, counted, demand)
    return sums.metrics(shortage_cost, holding_cost)


class HorizonSums:
    """Adds up a horizon, a block of days at a time, for :class:`HorizonMetrics`.

    Args:
        like: [N], gives number, dtype and device.
    """

    def __init__(self, *, like: Tensor) -> None:
        self._days = torch.zeros_like(like)
        self._stocked = like.new_empty(0)
        # Unmet demand, inventory held, days with stock, sales, demand.
        self._sums = [torch.zeros_like(like) for _ in range(5)]

    def add(
        self, outcome: DayOutcome, counted: Tensor | None = None, demand: Tensor | None = None
    ) -> None:
        """Adds a block of days.

        Args:
            outcome: [days, N] each.
            counted: [days, N] bool; None counts every day.
            demand: [days, N] units; None where demand is lost: it is sales + unmet.
        """
        sales, unmet, end = outcome
        # Unmet demand that is lost leaves no negative stock behind.
        held = end if demand is None else end.clamp(min=0.0)
        # The sign, not a comparison: booleans are slow to add up.
        if self._stocked.shape != end.shape:
            self._stocked = torch.empty_like(end)
        parts = [unmet, held, torch.sign(held.detach(), out=self._stocked), sales]
        if demand is not None:
            parts.append(demand)
        if counted is None:
            self._days = self._days + end.shape[0]
        else:
            weight = counted.to(end.dtype)
            parts = [part * weight for part in parts]
            self._days = self._days + weight.sum(0)
        added = [part.sum(0) for part in parts]
        if demand is None:
            added.append(added[0] + added[3])
        self._sums = [total + part for total, part in zip(self._sums, added, strict=True)]

    @staticmethod
    def total(blocks: Sequence[HorizonSums]) -> HorizonSums:
        """All days of several blocks."""
        result = HorizonSums(like=blocks[0]._days)
        result._days = torch.stack([block._days for block in blocks]).sum(0)
        columns = zip(*(block._sums for block in blocks), strict=True)
        result._sums = [torch.stack(column).sum(0) for column in columns]
        return result

    def stacked(self) -> Tensor:
        """[len(BLOCK_SUMS), N] the sums themselves."""
        unmet, held, stocked, sales, demand = self._sums
        return torch.stack((self._days, demand, sales, held, unmet, self._days - stocked))

    def metrics(self, shortage_cost: Tensor, holding_cost: Tensor) -> HorizonMetrics:
        """Metrics of the days added so far; b and h are [N]."""
        days = torch.where(self._days > 0, self._days, float("nan"))
        unmet, held, stocked, sold, demand = (total / days for total in self._sums)
        return HorizonMetrics(
            cost=shortage_cost * unmet + holding_cost * held,
            stockout_rate=100.0 * (1.0 - stocked),
            turnover_time=held / torch.where(sold > 0, sold, float("nan")),
            mean_inventory=held,
            mean_sales=sold,
            mean_demand=demand,
            counted_days=self._days,
            fill_rate=100.0 * sold / torch.where(demand > 0, demand, float("nan")),
        )


def smooth_stockout_rate(end: Tensor, temperature: Tensor | float) -> Tensor:
    """Differentiable surrogate of the stockout rate (share in [0, 1]).

    A sigmoid of the end inventory replaces the indicator ``end <= 0``.

    Args:
        end: [T, N] end-of-day inventory, units.
        temperature: Units over which "no stock" becomes "stock" (a fraction of the
            inventory's scale, [N] or a number).
    """
    return torch.sigmoid(-end / temperature).mean(0)


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
