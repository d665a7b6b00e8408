"""As-of-date features: from a tile of raw history to a :class:`~envs.state.Scenario`.

Everything for day t uses demand of days before t, plus what is known ahead (price,
promotions, events, SNAP days, whether the item is on sale). All quantities scale with
the inventory's own history: multiplying that history by k multiplies ``scale`` and
``basis`` by k and leaves ``features`` as they are.

Notation: L lead time, P review period, H = L + P the protection period (days).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from envs.state import Scenario
from pipeline.forecast import DayFactors

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
)
"""Names of the network's exogenous inputs, in order: F = 20."""

BASIS: tuple[str, ...] = (
    "recent_demand", "longer_demand", "near_forecast", "far_forecast", "constant",
)  # fmt: skip
"""feat(x) of design 3, in units over the protection period: M = 5. The constant is the scale."""

RECENT, FORECAST, LONGER = 7.0, 28.0, 56.0
"""Half-lives, days, of the exponentially weighted means."""


@dataclass(frozen=True)
class FeatureTile:
    """Features of n inventories on every day of the panel; day-major float32 tensors."""

    demand: Tensor
    """[T, n] units."""
    on_sale: Tensor
    """[T, n] bool."""
    scale: Tensor
    """[T, n] units, > 0."""
    basis: Tensor
    """[T, n, M] units."""
    features: Tensor
    """[T, n, F]."""


def build_features(
    static: Mapping[str, NDArray[np.generic]],
    dynamic: Mapping[str, NDArray[np.generic]],
    factors: DayFactors,
    first_weekday: int,
) -> FeatureTile:
    """Computes all features of a tile, every day at once.

    Args:
        static: Per inventory [n]: lead_time, review_period, shortage_cost, holding_cost,
            category.
        dynamic: Per inventory and day [n, T]: demand, on_sale, price, promotion, event, snap.
        factors: The forecaster's day factors, fitted on training days only.
        first_weekday: Weekday of day 0 (Monday = 0).
    """
    demand = _day_major(dynamic["demand"])
    on_sale = _day_major(dynamic["on_sale"])
    days, n = demand.shape
    lead, review = _column(static, "lead_time").long(), _column(static, "review_period").long()
    protection = lead + review
    beyond = 2 * int(protection.max())  # the far forecast of the last day ends there
    ahead = {
        name: _extend(_day_major(dynamic[name]), beyond, stays=name in ("price", "on_sale"))
        for name in ("on_sale", "price", "promotion", "event", "snap")
    }
    price_ratio = log_price_ratio(ahead["price"])
    weekday = (torch.arange(days + beyond) + first_weekday) % 7
    factor = factors.predict(
        category=np.asarray(static["category"]),
        weekday=weekday,
        price_ratio=price_ratio,
        promotion=ahead["promotion"],
        event=ahead["event"],
        snap=ahead["snap"],
    )
    factor = factor * ahead["on_sale"]

    prior = torch.as_tensor(factors.prior_rate(np.asarray(static["category"])))
    recent = _past_ratio(demand, on_sale, RECENT, prior)
    longer = _past_ratio(demand, on_sale, LONGER, prior)
    # Ratio of sums: demand per unit of day factor, i.e. the deseasonalised level.
    level = _past_ratio(demand, factor[:days], FORECAST, prior)
    # An inventory that has never sold has no size of its own: it borrows its category's.
    sold = _cumulate(demand)[:days] > 0
    zeros = _past_ratio((demand <= 0).float() * on_sale, on_sale, LONGER, torch.zeros(n))
    zeros = torch.where(sold, zeros, 1.0)

    cumulated = _cumulate(factor)
    at_lead = _ahead_sum(cumulated, lead, days)
    at_protection = _ahead_sum(cumulated, protection, days)
    near = level * at_protection
    far = level * (_ahead_sum(cumulated, 2 * protection, days) - at_protection)
    span = protection.to(demand.dtype)
    error = _forecast_error(demand, near, sold, protection, longer * span)
    scale = (longer * span + error).clamp(min=1e-6)

    # A day off sale says nothing about demand: the usual day stands in.
    yesterday = torch.cat((longer[:1], torch.where(on_sale[:-1] > 0, demand[:-1], longer[1:])))
    basis = torch.stack((recent * span, longer * span, near, far, scale), dim=-1)

    def share(name: str) -> Tensor:
        return _ahead_sum(_cumulate(ahead[name]), protection, days) / span

    shortage, holding = _column(static, "shortage_cost"), _column(static, "holding_cost")
    angle = weekday[:days].to(demand.dtype) * (2 * torch.pi / 7)
    columns = {
        "recent_demand": recent * span / scale,
        "longer_demand": longer * span / scale,
        "near_forecast": near / scale,
        "far_forecast": far / scale,
        "lead_time_forecast": level * at_lead / scale,
        "forecast_error": error / scale,
        "yesterday_demand": torch.asinh(yesterday * span / scale),
        "zero_share": zeros,
        "lead_time": lead / 14.0,
        "review_period": review / 7.0,
        "log_protection": span.log() / 3.0,
        "critical_ratio": shortage / (shortage + holding),
        "log_cost_ratio": (shortage / holding).log() / 4.0,
        "weekday_sin": angle.sin().unsqueeze(1),
        "weekday_cos": angle.cos().unsqueeze(1),
        "promotion_share": share("promotion"),
        "event_share": share("event"),
        "snap_share": share("snap"),
        "price_ratio": price_ratio[:days],
        "on_sale_share": share("on_sale"),
    }
    # Forecasts of a product that restarts can be many scales high: keep inputs bounded.
    features = torch.stack(
        [columns[name].expand(days, n).clamp(-10.0, 10.0) for name in FEATURES], dim=-1
    )
    return FeatureTile(demand, on_sale > 0, scale, basis, features)


def scenario_of(
    tile: FeatureTile,
    static: Mapping[str, NDArray[np.generic]],
    start: int,
    stop: int,
    *,
    max_lead_time: int,
    backlog: bool,
    order_multiple: float,
    seed: int,
) -> Scenario:
    """Cuts days [start, stop) out of a tile as a scenario.

    Random lead times and fill fractions (where the data ask for them) are drawn from
    ``seed``, so that every method meets the same ones.
    """
    lead = _column(static, "lead_time").long()
    review = _column(static, "review_period").long()
    offset = _column(static, "review_offset").long()
    day = torch.arange(start, stop).unsqueeze(1)
    generator = torch.Generator().manual_seed(seed)
    jitter, fill_min = _column(static, "lead_time_jitter").long(), _column(static, "fill_min")
    order_lead = fill = None
    shape = (stop - start, len(lead))
    if bool((jitter > 0).any()):
        spread = torch.rand(shape, generator=generator) * (2 * jitter + 1)
        order_lead = (lead + spread.floor().long() - jitter).clamp(min=0)
    if bool((fill_min < 1).any()):
        fill = fill_min + (1 - fill_min) * torch.rand(shape, generator=generator)
    cut = slice(start, stop)
    return Scenario(
        demand=tile.demand[cut],
        lead_time=lead,
        review_period=review,
        review=(day - offset) % review == 0,
        shortage_cost=_column(static, "shortage_cost"),
        holding_cost=_column(static, "holding_cost"),
        scale=tile.scale[cut],
        basis=tile.basis[cut],
        features=tile.features[cut],
        counted=tile.on_sale[cut],
        order_lead_time=order_lead,
        fill=fill,
        max_lead_time=max_lead_time,
        backlog=backlog,
        order_multiple=order_multiple,
    )


def _day_major(per_inventory: NDArray[np.generic]) -> Tensor:
    return torch.as_tensor(np.ascontiguousarray(per_inventory.T, dtype=np.float32))


def _column(static: Mapping[str, NDArray[np.generic]], name: str) -> Tensor:
    return torch.as_tensor(np.array(static[name], dtype=np.float32))


def _extend(values: Tensor, beyond: int, *, stays: bool) -> Tensor:
    """Covariates beyond the panel: prices and assortment stay, promotions are unknown."""
    last = values[-1:] if stays else torch.zeros_like(values[-1:])
    return torch.cat((values, last.expand(beyond, -1)))


def _cumulate(values: Tensor) -> Tensor:
    """[T+1, n]: sums of the days before each day. Double, so that far differences stay exact."""
    return torch.cat((values.new_zeros(1, values.shape[1]), values)).double().cumsum(0)


def _ahead_sum(cumulated: Tensor, horizon: Tensor, days: int) -> Tensor:
    """Sum over [t, t + horizon_i) for every day t < days; horizon in days [n]."""
    index = torch.arange(days).unsqueeze(1) + horizon
    index = index.clamp(max=cumulated.shape[0] - 1)
    return (cumulated.gather(0, index) - cumulated[:days]).float()


def _past_ratio(top: Tensor, bottom: Tensor, half_life: float, prior: Tensor) -> Tensor:
    """Exponentially weighted sum(top) / sum(bottom) over days before t, [T, n].

    ``prior`` [n] stands in until the first positive ``top``: an inventory that has never
    sold has no scale of its own yet.
    """
    keep = 0.5 ** (1.0 / half_life)
    result = torch.empty_like(top)
    upper, lower = torch.zeros_like(top[0]), torch.zeros_like(top[0])
    prior = prior.to(top.dtype)
    for day in range(top.shape[0]):
        known = (upper > 0) & (lower > 0)
        result[day] = torch.where(known, upper / lower.clamp(min=1e-12), prior)
        upper = upper * keep + top[day]
        lower = lower * keep + bottom[day]
    return result


def _forecast_error(
    demand: Tensor, near: Tensor, own: Tensor, protection: Tensor, prior: Tensor
) -> Tensor:
    """Standard deviation, units, of demand over H days around its forecast, known at t.

    Errors of the forecasts made H or more days ago, exponentially weighted; before
    there is one, the mean demand over H stands in (``prior`` [T, n]). Only forecasts that
    rest on the inventory's own demand (``own`` [T, n]) count: a borrowed rate's error
    would not grow with the inventory.
    """
    days = demand.shape[0]
    cumulated = _cumulate(demand)
    start = (torch.arange(days).unsqueeze(1) - protection).clamp(min=0)
    happened = (cumulated[:days] - cumulated.gather(0, start)).float()
    complete = torch.arange(days).unsqueeze(1) >= protection
    valid = (complete & own.gather(0, start)).to(demand.dtype)
    squared = (happened - near.gather(0, start)).square() * valid
    keep = 0.5 ** (1.0 / LONGER)
    result = torch.empty_like(near)
    upper, lower = torch.zeros_like(near[0]), torch.zeros_like(near[0])
    for day in range(days):
        # The error of the window that ended yesterday is known this morning.
        upper = upper * keep + squared[day]
        lower = lower * keep + valid[day]
        result[day] = torch.where(lower > 0, (upper / lower.clamp(min=1e-12)).sqrt(), prior[day])
    return result


def log_price_ratio(price: Tensor) -> Tensor:
    """log(price / mean price of the last 56 days, today included), [T, n]."""
    cumulated = _cumulate(price)
    days = price.shape[0]
    first = (torch.arange(days) - 55).clamp(min=0)
    mean = (cumulated[1:] - cumulated[first]) / (torch.arange(days) - first + 1).unsqueeze(1)
    return (price.double() / mean.clamp(min=1e-9)).clamp(min=1e-3).log().float()
