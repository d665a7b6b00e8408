"""Coming demand as of each morning: with the plan as far as it is known, and without one.

Forecasts are level x day factor, added up over the coming days. A planned day counts with all its
effects; a day that is not planned with its weekday and what is known of it alone, and the *plain*
level, which contains the inventory's average promotion and event, and the morning's price.
Shape letters: D mornings, n inventories, R days of the plan; L lead time, H protection period.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.features.forecast import FLAGS, DayFactors
from pipeline.features.past import Past
from pipeline.features.plan import PLANNED, WEEK, Plan, gone_days, is_open, stays
from pipeline.features.windows import Horizon, cumulated


class SellingDays(NamedTuple):
    """Days on sale to come, [D, n] each."""

    lead_time: Tensor
    """Of [t, t+L)."""
    near: Tensor
    """Of [t, t+H)."""
    gone: Tensor
    """Until :func:`~pipeline.features.plan.gone_days` from t: at most before t+H if it ends."""


@dataclass(frozen=True)
class Outlook:
    """What each morning expects, [D, n]."""

    near: Tensor
    """Units over [t, t+H)."""
    both: Tensor
    """Units over [t, t+2H)."""
    lead_time: Tensor
    """Units over [t, t+L)."""
    price_ratio: Tensor
    """See :func:`log_price_ratio`."""
    shares: dict[str, Tensor]
    """Feature -> share of the days [t, t+H): on promotion and so on, and ``plan_known``."""
    selling: SellingDays
    """Days on which the item will be on sale."""

    def mixed(self, other: Outlook, mask: Tensor) -> Outlook:
        """``other`` where ``mask`` [D, n]."""

        def pick(mine: Tensor, its: Tensor) -> Tensor:
            return torch.where(mask, its, mine)

        return Outlook(
            pick(self.near, other.near),
            pick(self.both, other.both),
            pick(self.lead_time, other.lead_time),
            pick(self.price_ratio, other.price_ratio),
            {name: pick(share, other.shares[name]) for name, share in self.shares.items()},
            SellingDays(*map(pick, self.selling, other.selling)),
        )


class Forecaster:
    """Forecasts of one tile on the mornings of its ``past``.

    Args:
        plan: R days of it, 2 H more than those of ``past`` or more.
        past: Of its first days.
        factors: Day factors.
        category: [n].
        first_weekday: Of day 0.
        lead, protection: [n] int64 days, L and H.
    """

    def __init__(
        self, plan: Plan, past: Past, factors: DayFactors, category: NDArray[np.generic],
        first_weekday: int, lead: Tensor, protection: Tensor,
    ) -> None:  # fmt: skip
        self._plan, self._past, self._factors, self._category = plan, past, factors, category
        self._weekday = (torch.arange(plan.price.shape[0]) + first_weekday) % WEEK
        self._lead, self._protection = lead, protection
        self._first, self._days = past.first, past.days
        self.varies = varying(factors, category)
        self._price_ratio = log_price_ratio(plan.price)
        self._factor = factors.predict(
            category, self._weekday, self._price_ratio, *(plan.flags[name] for name in FLAGS)
        ).mul_(plan.on_sale)
        self._own_level = past.own_level(self._factor[: self._days])
        self._level = past.shrunk(self._own_level[past.first :])
        self._planned = plan.planned(self.varies)
        if self._planned is not None:
            self._factor[-len(self._planned) :].mul_(self._planned)
        self._sums = cumulated(self._factor)

    def past_forecasts(self, known: Tensor | None) -> Tensor:
        """[T, n] what each morning expected of the next H days, by its own demand alone.

        Of use for windows that have passed: all their days were planned. ``known`` [T, n]: days
        that count; None: all.
        """
        sums = self._sums
        if known is not None:
            factor = self._factor.clone()
            factor[: len(known)].mul_(known)
            sums = cumulated(factor)
        return Horizon(self._protection, 0, self._days).sum_ahead(sums).mul_(self._own_level)

    def with_plan(self) -> Outlook:
        """The plan counts as far as it is known."""
        first, plan, H = self._first, self._plan, self._protection
        level, plain, plain_sums = self._level, None, None
        if self._planned is not None:
            plain = self._plain_level(self._price_ratio[first : self._days])
            plain_sums = cumulated(self._unplanned_factor())

        def expected(days: Tensor) -> Tensor:
            horizon = Horizon(days, first, self._days)
            result = horizon.sum_ahead(self._sums).mul_(level)
            if plain is not None and plain_sums is not None:
                result.addcmul_(horizon.sum_ahead(plain_sums), plain)
            return result

        coming = Horizon(H, 0, self._days - first)

        def share(flags: Tensor) -> Tensor:
            return coming.sum_ahead(cumulated(flags[first:], torch.float32)) / H

        shares = {f"{name}_share": share(plan.flags[name]) for name in FLAGS}
        shares["on_sale_share"] = share(plan.on_sale)
        shares["plan_known"] = torch.ones_like(level)
        if self._planned is not None:
            cells = torch.ones_like(plan.price)
            cells[-len(self._planned) :] = self._planned
            shares["plan_known"] = share(cells)
        opened = cumulated(plan.on_sale[first:], torch.float32)
        selling = (
            Horizon(days, 0, self._days - first).sum_ahead(opened)
            for days in (self._lead, H, gone_days(H))
        )
        return Outlook(
            expected(H), expected(2 * H), expected(self._lead),
            self._price_ratio[first : self._days], shares, SellingDays(*selling),
        )  # fmt: skip

    def without_plan(self) -> Outlook:
        """What a morning sees that knows nothing ahead: the last week's assortment goes on."""
        now = slice(self._first, self._days)
        on_sale = self._plan.on_sale[: self._days]
        opened = is_open(on_sale)
        staying = stays(on_sale, opened)[now]
        weekday = (torch.arange(-WEEK, self._days) + self._weekday[0]) % WEEK
        plain = self._factors.of_weekday(self._category, weekday)
        factors = _Weekly(plain, opened, self._first)
        price_ratio = log_price_ratio(self._plan.price[: self._days], carried=True)[now]
        scale = self._plain_level(price_ratio) * staying
        days_open = _Weekly(torch.ones_like(plain), opened, self._first)
        always, H = self._factors.always(self._category), self._protection
        shares = {f"{name}_share": always[name].expand_as(scale) for name in FLAGS}
        shares["on_sale_share"] = days_open.ahead(H) * staying / H
        shares["plan_known"] = torch.zeros_like(scale)
        return Outlook(
            factors.ahead(H) * scale, factors.ahead(2 * H) * scale,
            factors.ahead(self._lead) * scale, price_ratio, shares,
            SellingDays(*(days_open.ahead(d) * staying for d in (self._lead, H, gone_days(H)))),
        )  # fmt: skip

    def _plain_level(self, price_ratio: Tensor) -> Tensor:
        """[D, n] demand per unit of the weekday's factor, at each morning's price ratio [D, n].

        Prices are carried on, so their effect belongs to the level of a morning.
        """
        factors, days = self._factors, self._days
        factor = factors.of_weekday(self._category, self._weekday[:days])
        factor.mul_(factors.of_price(self._category, self._price_ratio[:days]))
        level = self._past.shrunk(self._past.own_level(factor)[self._first :])
        return level.mul_(factors.of_price(self._category, price_ratio))

    def _unplanned_factor(self) -> Tensor:
        """[R, n] factors of the days that are not planned, 0 on the others."""
        assert self._planned is not None
        ahead = slice(self._plan.price.shape[0] - len(self._planned), None)
        result = torch.zeros_like(self._plan.price)
        factor = self._factors.of_weekday(self._category, self._weekday[ahead])
        for name, (without, having) in self._factors.relative_effects(self._category).items():
            effect = torch.where(self._plan.flags[name][ahead] > 0, having, without)
            factor = torch.where(self._plan.unknown[name], factor, factor * effect)
        result[ahead] = factor * self._plan.on_sale[ahead] * (1.0 - self._planned)
        return result


def varying(factors: DayFactors, category: NDArray[np.generic]) -> dict[str, Tensor]:
    """Quantity of :data:`PLANNED` -> [n] bool: it took both values on training days."""
    shares = {name: factors.share(category, name) for name in PLANNED}
    return {name: (share > 0) & (share < 1) for name, share in shares.items()}


class _Weekly:
    """Sums over coming days of the last week's values, repeated.

    Args:
        values: [7 + T, n] from a week before day 0 on; the same every week.
        opened: [T, n] 0 where a day is left out, as it will be in the weeks to come.
        first: First morning asked for.
    """

    def __init__(self, values: Tensor, opened: Tensor, first: int) -> None:
        self._sums = cumulated(torch.cat((values[:WEEK], values[WEEK:] * opened)))
        self._first, self._days = first, opened.shape[0]

    def ahead(self, days: Tensor) -> Tensor:
        """[D, n] float32 sum over the ``days`` [n] from each morning on."""
        weeks, rest = days // WEEK, days % WEEK
        now = slice(self._first, self._days)  # row t of the sums: days before t - WEEK
        week = self._sums[WEEK:][now] - self._sums[now]
        part = Horizon(rest, self._first, self._days).of(self._sums) - self._sums[now]
        return week.mul_(weeks).add_(part).float()


def log_price_ratio(price: Tensor, *, carried: bool = False) -> Tensor:
    """log(price / mean price of the last 56 days, today included), [T, n].

    ``carried``: yesterday's price stands in for today's.
    """
    sums = cumulated(price)
    days = price.shape[0]
    window = sums[1:].clone()
    window[56:] -= sums[1 : max(days - 55, 1)]
    if carried:
        today = torch.cat((price[:1], price[:-1]))
        window += today.double() - price
        price = today
    length = torch.arange(1, days + 1, dtype=torch.float64).clamp(max=56).unsqueeze(1)
    mean = window.div_(length).clamp_(min=1e-9)
    return (price / mean).float().clamp_(min=1e-3).log_()
