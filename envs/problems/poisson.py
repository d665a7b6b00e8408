"""Textbook Poisson demand.

It needs no files, so tests, the registered gymnasium environment and the classical
problems of the literature start here. Retail-like data sets are made by
``python -m pipeline data make``; the synthetic study's settings are in
:mod:`envs.problems.settings`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from envs.errors import ScenarioError
from envs.projection import ComingDemand, DailyDemand
from envs.state import Observation, Scenario

Numbers = float | Tensor
"""One number for all inventories, or [n]."""
TYPICAL_RATE, TYPICAL_LEAD = 5.0, (2.5, 1.5)
"""Units per day, and days (middle, spread): where the features of rate and lead time are 0."""


@dataclass(frozen=True)
class TextbookDemand(ComingDemand):
    """Reads rate and lead time off the features; the spread of a day's demand is a law's."""

    name = "textbook"

    backlog: bool = False
    constant: float = 0.0
    linear: float = 1.0
    quadratic: float = 0.0
    """A day's variance, units^2: constant + linear * rate + quadratic * rate^2. The defaults are
    Poisson demand's."""

    def read(self, observation: Observation) -> tuple[Tensor, DailyDemand]:
        """The same rate on all days."""
        log_rate, lead_time, _ = observation.features.unbind(-1)
        rate = TYPICAL_RATE * log_rate.exp()
        variance = self.constant + self.linear * rate + self.quadratic * rate.square()
        lead_time = (TYPICAL_LEAD[0] + TYPICAL_LEAD[1] * lead_time).round()
        return lead_time, DailyDemand(rate, variance.sqrt())


def poisson_scenario(
    n: int,
    days: int,
    *,
    mean: Numbers = 5.0,
    lead_time: int | Tensor,
    shortage_cost: Numbers,
    holding_cost: Numbers = 1.0,
    seed: int,
    backlog: bool = False,
    review_period: int | Tensor = 1,
    max_lead_time: int | None = None,
    order_multiple: float = 0.0,
    order_max: float = float("inf"),
) -> Scenario:
    """Independent Poisson demand at a constant rate (Zipkin 2008 and most textbooks).

    The observation says all there is to know. Features: the rate, the lead time and the cost
    ratio (:func:`_textbook_features`). The one basis feature (the constant) is the scale, the
    mean demand over the protection period L + P.

    Args:
        n: Inventories.
        days: T.
        mean: Units per day, > 0.
        lead_time: L, days.
        shortage_cost: b, money per unit short.
        holding_cost: h, money per unit and day.
        seed: Of the demand.
        backlog: Unmet demand is owed instead of lost.
        review_period: P, days; orders on days 0, P, 2P, ...
        max_lead_time: K; default: the longest lead time.
        order_multiple, order_max: As in :class:`~envs.state.Scenario`.

    Raises:
        ScenarioError: A number is out of its range.
    """
    rate = _checked_rate(mean, n, days)
    lead = _per_inventory(lead_time, n).long()
    period = _per_inventory(review_period, n).long()
    generator = torch.Generator().manual_seed(seed)
    scale = rate * (lead + period)
    day = torch.arange(days).unsqueeze(1)
    shortage, holding = _per_inventory(shortage_cost, n), _per_inventory(holding_cost, n)
    return Scenario(
        demand=torch.poisson(rate.expand(days, n), generator=generator),
        lead_time=lead,
        review_period=period,
        review=day % period.clamp(min=1) == 0,  # validate() refuses periods below 1
        shortage_cost=shortage,
        holding_cost=holding,
        scale=scale.expand(days, n),
        basis=scale.expand(days, n).unsqueeze(-1),
        features=_textbook_features(rate, lead, shortage / holding).expand(days, n, -1),
        coming=TextbookDemand(backlog),
        max_lead_time=int(lead.max()) if max_lead_time is None else max_lead_time,
        backlog=backlog,
        order_multiple=order_multiple,
        order_max=order_max,
    ).validate()


def _checked_rate(mean: Numbers, n: int, days: int) -> Tensor:
    """[n] units per day."""
    for name, count in (("n", n), ("days", days)):
        if count < 1:
            raise ScenarioError(name, count, "Use 1 or more.")
    rate = _per_inventory(mean, n)
    if not bool((rate > 0).all()):
        raise ScenarioError("mean", float(rate.min()), "Use rates above 0.", "is out of range")
    return rate


def _textbook_features(rate: Tensor, lead_time: Tensor, cost_ratio: Tensor) -> Tensor:
    """[n, 3], each about -1..1 over the textbook problems: networks learn best on such inputs."""
    ratio = cost_ratio.clamp(min=1e-6).log()
    return torch.stack(
        (
            (rate / TYPICAL_RATE).log(),
            (lead_time - TYPICAL_LEAD[0]) / TYPICAL_LEAD[1],
            ratio - 2.5,
        ),
        -1,
    )


def _per_inventory(value: Numbers, n: int) -> Tensor:
    return torch.as_tensor(value, dtype=torch.get_default_dtype()).expand(n)
