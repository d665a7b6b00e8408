"""As-of-date features: from a tile of raw history to a :class:`~envs.state.Scenario`.

Everything for day t uses demand of days before t (:mod:`pipeline.features.past`), plus what is
known ahead (:mod:`pipeline.features.plan`, :mod:`pipeline.features.outlook`): price, promotions,
events, SNAP days, whether the item is on sale. All quantities scale with the inventory's own
history: multiplying that history by k multiplies ``scale`` and ``basis`` by k and leaves
``features`` as they are, once there is enough of it (``OWN_DAYS``); until then it is multiplied
together with its category's rate.

Notation: L lead time, P review period, H = L + P the protection period (days).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from envs.orders import OrderFacts, shared
from envs.state import ORDER_SIZES, Scenario
from pipeline.data.days import reviewed
from pipeline.data.draws import Draws
from pipeline.data.schema import counting
from pipeline.features.forecast import DayFactors
from pipeline.features.order_facts import order_facts
from pipeline.features.outlook import Forecaster, Outlook
from pipeline.features.past import Past
from pipeline.features.plan import Plan, gone_days
from pipeline.features.windows import day_major

FEATURES: tuple[str, ...] = (
    "recent_demand",  # EW mean demand (half-life 7 days) over H / scale
    "longer_demand",  # EW mean demand (half-life 56 days) over H / scale
    "near_forecast",  # forecast over [t, t+H) / scale
    "far_forecast",  # forecast over [t+H, t+2H) / scale
    "lead_time_forecast",  # forecast over [t, t+L) / scale
    "forecast_error",  # std of the forecast's error over H / scale
    "yesterday_demand",  # asinh(demand of t-1 over H / scale)
    "zero_share",  # EW share of days without demand
    "lead_time",  # L / 14
    "review_period",  # P / 7
    "log_protection",  # log(H) / 3
    "critical_ratio",  # b / (b + h)
    "log_cost_ratio",  # log(b / h) / 4
    "weekday_sin",
    "weekday_cos",
    "promotion_share",  # share of [t, t+H) on promotion
    "event_share",  # share of [t, t+H) with an event
    "snap_share",  # share of [t, t+H) that are SNAP days
    "price_ratio",  # log(price of t / mean price of the last 56 days)
    "on_sale_share",  # share of [t, t+H) that the item is on sale
    "plan_known",  # share of [t, t+H) whose plan is known
)
"""Names of the network's exogenous inputs, in order: F = 21."""

BASIS: tuple[str, ...] = (
    "recent_demand", "longer_demand", "near_forecast", "far_forecast", "constant",
)  # fmt: skip
"""feat(x) of design 3, in units over the protection period: M = 5. The constant is the scale."""

SMALLEST_SCALE = 1e-4
"""Least scale, in category's rates over H: an item that never sells has none of its own."""


@dataclass(frozen=True)
class FeatureTile:
    """Features of n inventories on D consecutive days; day-major float32 tensors."""

    first: int
    """Day of the panel that the first row is for."""
    demand: Tensor
    """[D, n] units."""
    observed: Tensor
    """[D, n] bool: on sale, and the day's demand is known or imputed."""
    scale: Tensor
    """[D, n] units, > 0."""
    basis: Tensor
    """[D, n, M] units."""
    features: Tensor
    """[D, n, F]."""
    expected: OrderFacts
    """[D, n] each: what rules of orders look at."""
    history: Tensor
    """[first, n] units on the days before; NaN where not observed."""


def build_features(
    static: Mapping[str, NDArray[np.generic]],
    dynamic: Mapping[str, NDArray[np.generic]],
    factors: DayFactors,
    first_weekday: int,
    *,
    first: int = 0,
    stop: int | None = None,
    no_plan: NDArray[np.bool_] | None = None,
) -> FeatureTile:
    """Computes the features of a tile on the days [first, stop), all days at once.

    A day's figures are the same, bit by bit, whichever other days are asked for, and whether the
    quantities known ahead are those of later days of the panel or of days ahead of it.

    Args:
        static: Per inventory [n]: lead_time, review_period, shortage_cost, holding_cost,
            category.
        dynamic: Per inventory and day: demand, known and, optionally, imputed [n, T]; on_sale,
            price, promotion, event and snap [n, T or more].
        factors: The forecaster's day factors, fitted on training days only.
        first_weekday: Weekday of day 0 (Monday = 0).
        first, stop: Days wanted; None for T. ``stop`` = T + 1 asks for the morning after
            the panel's last day as well (its demand, unknown, is 0 in the result).
        no_plan: [n, stop - first] mornings that see nothing of what is known ahead; None: none.
    """
    # long: the order of these lines is the argument that nothing looks ahead.
    known = dynamic["demand"].shape[1]
    days = known if stop is None else stop
    assert 0 <= first < days <= known + 1
    lead, protection = _protection(static)
    category = np.asarray(static["category"]).astype(str)
    # Whether an item has ended by the end of the last day's far forecast shows by then.
    plan = Plan.of(dynamic, factors.always(category), days + int(gone_days(protection).max()))
    counts = counting(dynamic)
    demand, seen = day_major(dynamic["demand"], days), day_major(counts, days)
    prior = torch.as_tensor(factors.prior_rate(category))
    past = Past(demand, plan.on_sale[:days] * seen, prior, first)
    forecaster = Forecaster(plan, past, factors, category, first_weekday, lead, protection)
    outlook = _outlook(forecaster, no_plan)

    now, span = slice(first, days), protection.to(demand.dtype)
    mean, recent = past.longer() * span, past.recent() * span
    # All but a day after the last one is known, as a rule.
    partly = None if bool(np.all(counts[:, :days])) else seen
    error = past.forecast_error(forecaster.past_forecasts(partly), protection, partly, mean)
    smallest = (SMALLEST_SCALE * prior * span).clamp(min=1e-6)
    scale = torch.maximum(mean + error, smallest)
    far = outlook.both - outlook.near
    yesterday = past.yesterday(mean / span) * span
    features = _stacked(
        {
            "recent_demand": recent / scale,
            "longer_demand": mean / scale,
            "near_forecast": outlook.near / scale,
            "far_forecast": far / scale,
            "lead_time_forecast": outlook.lead_time / scale,
            "forecast_error": error / scale,
            "yesterday_demand": torch.asinh(yesterday / scale),
            "zero_share": past.zero_share(),
            "price_ratio": outlook.price_ratio,
            **outlook.shares,
            **_fixed(static, torch.arange(first, days) + first_weekday),
        },
        scale,
    )
    basis = torch.stack((recent, mean, outlook.near, far, scale), dim=-1)
    expected = order_facts(outlook, past.rate(span))
    observed = past.observed > 0
    history = demand[:first].masked_fill(~observed[:first], torch.nan)
    return FeatureTile(first, demand[now], observed[now], scale, basis, features, expected, history)


def _stacked(columns: Mapping[str, Tensor], like: Tensor) -> Tensor:
    """[D, n, F] in the order of :data:`FEATURES`."""
    features = torch.empty(*like.shape, len(FEATURES))
    for position, name in enumerate(FEATURES):
        features[..., position] = columns[name]
    # Forecasts of a product that restarts can be many scales high: keep inputs bounded.
    return features.clamp_(-10.0, 10.0)


def _protection(static: Mapping[str, NDArray[np.generic]]) -> tuple[Tensor, Tensor]:
    """[n] L, and the protection period H = L + P, days."""
    lead, review = (_column(static, name).long() for name in ("lead_time", "review_period"))
    return lead, lead + review


def _outlook(forecaster: Forecaster, no_plan: NDArray[np.bool_] | None) -> Outlook:
    """With the plan, or without it where ``no_plan`` and where there is anything to plan."""
    outlook = forecaster.with_plan()
    if no_plan is None or not bool(no_plan.any()):
        return outlook
    varies = torch.stack(list(forecaster.varies.values())).any(0)
    return outlook.mixed(forecaster.without_plan(), torch.as_tensor(no_plan.T) & varies)


def _fixed(static: Mapping[str, NDArray[np.generic]], weekday: Tensor) -> dict[str, Tensor]:
    """Features of the terms [n] and of the calendar [D, 1]."""
    lead, review = _column(static, "lead_time"), _column(static, "review_period")
    shortage, holding = _column(static, "shortage_cost"), _column(static, "holding_cost")
    angle = (weekday % 7).to(lead.dtype) * (2 * torch.pi / 7)
    return {
        "lead_time": lead / 14.0,
        "review_period": review / 7.0,
        "log_protection": (lead + review).log() / 3.0,
        "critical_ratio": shortage / (shortage + holding),
        "log_cost_ratio": (shortage / holding).log() / 4.0,
        "weekday_sin": angle.sin().unsqueeze(1),
        "weekday_cos": angle.cos().unsqueeze(1),
    }


def scenario_of(
    tile: FeatureTile,
    static: Mapping[str, NDArray[np.generic]],
    start: int,
    stop: int,
    *,
    first_day: date,
    max_lead_time: int,
    backlog: bool,
    draws: Draws,
) -> Scenario:
    """Cuts days [start, stop) of the panel out of a tile as a scenario.

    ``first_day`` is the date of day 0. Random lead times and fill fractions (where the data ask
    for them) are those of ``draws`` on a date, so that every method meets the same ones.
    """
    lead = _column(static, "lead_time").long()
    review = _column(static, "review_period").long()
    due = reviewed(first_day, range(start, stop), static["review_period"], static["review_offset"])
    dates = first_day.toordinal() + np.arange(start, stop)
    jitter, fill_min = _column(static, "lead_time_jitter").long(), _column(static, "fill_min")
    order_lead = fill = None
    if bool((jitter > 0).any()):
        spread = torch.from_numpy(draws.daily("lead time", dates)) * (2 * jitter + 1)
        order_lead = (lead + spread.floor().long() - jitter).clamp(min=0)
    if bool((fill_min < 1).any()):
        share = torch.from_numpy(draws.daily("fill", dates)).to(fill_min.dtype)
        fill = fill_min + (1 - fill_min) * share
    cut = slice(start - tile.first, stop - tile.first)
    return Scenario(
        demand=tile.demand[cut],
        lead_time=lead,
        review_period=review,
        review=torch.from_numpy(due),
        shortage_cost=_column(static, "shortage_cost"),
        holding_cost=_column(static, "holding_cost"),
        scale=tile.scale[cut],
        basis=tile.basis[cut],
        features=tile.features[cut],
        counted=tile.observed[cut],
        order_lead_time=order_lead,
        fill=fill,
        demand_rate=tile.expected.rate[cut],
        demand_until_arrival=tile.expected.until_arrival[cut],
        sellable=tile.expected.sellable[cut],
        incoming=tile.expected.incoming[cut],
        history=tile.history if start == tile.first else None,
        max_lead_time=max_lead_time,
        backlog=backlog,
        **cast(dict[str, Any], order_sizes(static)),
    )


def order_sizes(static: Mapping[str, NDArray[np.generic]]) -> dict[str, float | Tensor]:
    """The stated sizes of orders: one number where all n have the same, else [n]."""
    sizes = {
        name: torch.as_tensor(np.asarray(static[name])) for name in ORDER_SIZES if name in static
    }
    each = {name: shared(values) for name, values in sizes.items()}
    return {n: v.to(torch.float32) if isinstance(v, Tensor) else v for n, v in each.items()}


def _column(static: Mapping[str, NDArray[np.generic]], name: str) -> Tensor:
    return torch.as_tensor(np.array(static[name], dtype=np.float32))
