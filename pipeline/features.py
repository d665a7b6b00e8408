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
from datetime import date

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from envs.state import Scenario
from pipeline.data.schema import reviewed
from pipeline.forecast import DayFactors
from pipeline.windows import Horizon, cumulated, day_major, past_ratio, past_sum

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
    """Features of n inventories on D consecutive days; day-major float32 tensors."""

    first: int
    """Day of the panel that the first row is for."""
    demand: Tensor
    """[D, n] units."""
    on_sale: Tensor
    """[D, n] bool: on sale, and the day's demand is known."""
    scale: Tensor
    """[D, n] units, > 0."""
    basis: Tensor
    """[D, n, M] units."""
    features: Tensor
    """[D, n, F]."""


def build_features(
    static: Mapping[str, NDArray[np.generic]],
    dynamic: Mapping[str, NDArray[np.generic]],
    factors: DayFactors,
    first_weekday: int,
    *,
    first: int = 0,
    stop: int | None = None,
) -> FeatureTile:
    """Computes the features of a tile on the days [first, stop), all days at once.

    A day's figures are the same, bit by bit, whichever other days are asked for.

    Args:
        static: Per inventory [n]: lead_time, review_period, shortage_cost, holding_cost,
            category.
        dynamic: Per inventory and day: demand and known [n, T]; on_sale, price, promotion,
            event and snap [n, T or more].
        factors: The forecaster's day factors, fitted on training days only.
        first_weekday: Weekday of day 0 (Monday = 0).
        first, stop: Days wanted; None for T. ``stop`` = T + 1 asks for the morning after
            the panel's last day as well (its demand, unknown, is 0 in the result).
    """
    known = dynamic["demand"].shape[1]
    days = known if stop is None else stop
    assert 0 <= first < days <= known + 1
    n = len(static["lead_time"])
    lead, review = _column(static, "lead_time").long(), _column(static, "review_period").long()
    protection = lead + review
    beyond = days + 2 * int(protection.max())  # the far forecast of the last day ends there
    ahead = {
        name: day_major(dynamic[name][:, :known], beyond, stays=name in ("price", "on_sale"))
        for name in ("on_sale", "price", "promotion", "event", "snap")
    }
    seen = day_major(dynamic["known"], beyond, stays=True)
    on_sale = ahead["on_sale"][:days] * seen[:days]
    demand = day_major(dynamic["demand"][:, : min(days, known)], days)
    price_ratio = log_price_ratio(ahead["price"])
    weekday = (torch.arange(beyond) + first_weekday) % 7
    category = np.asarray(static["category"]).astype(str)
    factor = factors.predict(
        category=category,
        weekday=weekday,
        price_ratio=price_ratio,
        promotion=ahead["promotion"],
        event=ahead["event"],
        snap=ahead["snap"],
    ).mul_(ahead["on_sale"])

    prior = torch.as_tensor(factors.prior_rate(category))
    selling = past_sum(on_sale, LONGER)
    longer = past_ratio(past_sum(demand, LONGER), selling, prior)
    # Ratio of sums: demand per unit of day factor, i.e. the deseasonalised level.
    seen_factor = factor * seen
    level = past_ratio(past_sum(demand, FORECAST), past_sum(seen_factor[:days], FORECAST), prior)
    span = protection.to(demand.dtype)
    factor_sums = cumulated(factor)
    near = Horizon(protection, 0, days).sum_ahead(factor_sums).mul_(level)
    # An inventory that has never sold has no size of its own: it borrows its category's.
    first_sold = _first_sold(demand)
    of_seen = near  # what of the forecast can be compared with demand
    if not bool(seen.all()):
        of_seen = Horizon(protection, 0, days).sum_ahead(cumulated(seen_factor)).mul_(level)
    error = _forecast_error(demand, of_seen, first_sold, protection, longer * span)

    cut = slice(first, days)
    at_lead, at_far = (Horizon(h, first, days) for h in (lead, 2 * protection))
    selling, longer, level, near, error = (
        values[cut] for values in (selling, longer, level, near, error)
    )
    recent = past_ratio(past_sum(demand, RECENT)[cut], past_sum(on_sale, RECENT)[cut], prior)
    far = level * at_far.sum_ahead(factor_sums) - near
    scale = (longer * span + error).clamp(min=1e-6)
    zeros = past_ratio(past_sum((demand <= 0) * on_sale, LONGER)[cut], selling, torch.zeros(n))
    zeros = torch.where(torch.arange(first, days).unsqueeze(1) > first_sold, zeros, 1.0)
    basis = torch.stack((recent * span, longer * span, near, far, scale), dim=-1)

    coming = Horizon(protection, 0, days - first)

    def share(name: str) -> Tensor:
        return coming.sum_ahead(cumulated(ahead[name][first:], torch.float32)) / span

    shortage, holding = _column(static, "shortage_cost"), _column(static, "holding_cost")
    angle = weekday[cut].to(demand.dtype) * (2 * torch.pi / 7)
    columns = {
        "recent_demand": recent * span / scale,
        "longer_demand": longer * span / scale,
        "near_forecast": near / scale,
        "far_forecast": far / scale,
        "lead_time_forecast": level * at_lead.sum_ahead(factor_sums) / scale,
        "forecast_error": error / scale,
        "yesterday_demand": torch.asinh(_yesterday(demand, on_sale, longer, cut) * span / scale),
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
        "price_ratio": price_ratio[cut],
        "on_sale_share": share("on_sale"),
    }
    features = torch.empty(days - first, n, len(FEATURES))
    for position, name in enumerate(FEATURES):
        features[..., position] = columns[name]
    # Forecasts of a product that restarts can be many scales high: keep inputs bounded.
    features.clamp_(-10.0, 10.0)
    return FeatureTile(first, demand[cut], on_sale[cut] > 0, scale, basis, features)


def scenario_of(
    tile: FeatureTile,
    static: Mapping[str, NDArray[np.generic]],
    start: int,
    stop: int,
    *,
    first_day: date,
    max_lead_time: int,
    backlog: bool,
    order_multiple: float,
    seed: int,
) -> Scenario:
    """Cuts days [start, stop) of the panel out of a tile as a scenario.

    ``first_day`` is the date of day 0. Random lead times and fill fractions (where the data ask
    for them) are drawn from ``seed``, so that every method meets the same ones.
    """
    lead = _column(static, "lead_time").long()
    review = _column(static, "review_period").long()
    due = reviewed(first_day, range(start, stop), static["review_period"], static["review_offset"])
    generator = torch.Generator().manual_seed(seed)
    jitter, fill_min = _column(static, "lead_time_jitter").long(), _column(static, "fill_min")
    order_lead = fill = None
    shape = (stop - start, len(lead))
    if bool((jitter > 0).any()):
        spread = torch.rand(shape, generator=generator) * (2 * jitter + 1)
        order_lead = (lead + spread.floor().long() - jitter).clamp(min=0)
    if bool((fill_min < 1).any()):
        fill = fill_min + (1 - fill_min) * torch.rand(shape, generator=generator)
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
        counted=tile.on_sale[cut],
        order_lead_time=order_lead,
        fill=fill,
        max_lead_time=max_lead_time,
        backlog=backlog,
        order_multiple=order_multiple,
    )


def _column(static: Mapping[str, NDArray[np.generic]], name: str) -> Tensor:
    return torch.as_tensor(np.array(static[name], dtype=np.float32))


def _first_sold(demand: Tensor) -> Tensor:
    """[n] day of the first demand; T where there is none."""
    sold = demand > 0
    return torch.where(sold.any(0), sold.to(torch.uint8).argmax(0), demand.shape[0])


def _yesterday(demand: Tensor, on_sale: Tensor, longer: Tensor, cut: slice) -> Tensor:
    """[D, n] demand of the day before each day of ``cut``.

    A day off sale (or before the panel) says nothing about demand: the usual day, ``longer``
    [D, n], stands in.
    """
    first, stop = cut.start, cut.stop
    before = slice(max(first - 1, 0), stop - 1)
    known = on_sale[before]
    usual = longer[stop - first - known.shape[0] :]
    result = longer.clone()
    result[stop - first - known.shape[0] :] = torch.lerp(usual, demand[before], known)
    return result


def _forecast_error(
    demand: Tensor, near: Tensor, first_sold: Tensor, protection: Tensor, prior: Tensor
) -> Tensor:
    """Standard deviation, units, of demand over H days around its forecast, known at t.

    Errors of the forecasts made H or more days ago, exponentially weighted; before
    there is one, the mean demand over H stands in (``prior`` [T, n]). Only forecasts that
    rest on the inventory's own demand count (made after the day ``first_sold`` [n]): a borrowed
    rate's error would not grow with the inventory.
    """
    days = demand.shape[0]
    back = Horizon(-protection, 0, days)
    sums = cumulated(demand)
    happened = (sums[:days] - back.of(sums)).float()
    valid = (torch.arange(days).unsqueeze(1) > first_sold + protection).to(demand.dtype)
    squared = happened.sub_(back.of(near)).square_().mul_(valid)
    # The error of the window that ended yesterday is known this morning.
    below = past_sum(valid, LONGER, today=True)
    variance = past_sum(squared, LONGER, today=True) / below.clamp(min=1e-12)
    return torch.lerp(prior, variance.sqrt_(), (below > 0).to(demand.dtype))


def log_price_ratio(price: Tensor) -> Tensor:
    """log(price / mean price of the last 56 days, today included), [T, n]."""
    sums = cumulated(price)
    days = price.shape[0]
    window = sums[1:].clone()
    window[56:] -= sums[1 : max(days - 55, 1)]
    length = torch.arange(1, days + 1, dtype=torch.float64).clamp(max=56).unsqueeze(1)
    mean = window.div_(length).clamp_(min=1e-9)
    return (price / mean).float().clamp_(min=1e-3).log_()
