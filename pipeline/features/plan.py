"""What is known ahead: prices, assortment, promotions, events and benefit days to come.

A day is *planned* for an inventory if every quantity of :data:`PLANNED` that varies in its
category is known on it. Beyond what is known, prices stay, the assortment goes on as in the last
week, and the other quantities are left to the inventory's average. Shape letters: T days of
demand, R >= T days in all, n inventories.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.data.schema import UNKNOWN
from pipeline.features.forecast import FLAGS
from pipeline.features.windows import cumulated, day_major

PLANNED: tuple[str, ...] = (*FLAGS, "on_sale")
"""Quantities that a plan gives. (Prices are carried on, and a plan need not have them.)"""
WEEK = 7
GONE_DAYS = 28
"""An item ends before t + H if it is off sale for so many days from then on, or H if that is more.
A shorter absence, a closed weekend say, is no reason to sell out before it."""


@dataclass(frozen=True)
class Plan:
    """What is known ahead about n inventories on R days, and what stands in for the rest.

    All [R, n] float32; ``unknown`` [R - T, n] bool.
    """

    on_sale: Tensor
    """1, 0; carried on (:func:`carried_assortment`) where it is not known."""
    price: Tensor
    """Money per unit; the last known price where it is not."""
    flags: dict[str, Tensor]
    """Quantity of ``FLAGS`` -> 0 or 1; 0 where it is not known, 1 if it always is 1."""
    unknown: dict[str, Tensor]
    """Quantity of ``PLANNED`` -> where it is not known, from day T on."""

    @classmethod
    def of(
        cls,
        dynamic: Mapping[str, NDArray[np.generic]],
        always: Mapping[str, Tensor],
        days: int,
    ) -> Plan:
        """Reads days [0, days) of a tile.

        Args:
            dynamic: demand [n, T]; price and :data:`PLANNED` [n, T or more], with NaN and
                ``UNKNOWN`` from day T on.
            always: Quantity of ``FLAGS`` -> [n] 1.0 for inventories where it always is 1.
            days: R.
        """
        first = min(dynamic["demand"].shape[1], days)
        values, unknown = {}, {}
        for name in PLANNED:
            values[name] = day_major(dynamic[name], days)
            given = min(dynamic[name].shape[1], days)
            missing = values[name][first:] == UNKNOWN
            missing[given - first :] = True
            unknown[name] = missing
        for name in FLAGS:
            values[name][first:][unknown[name]] = 0.0
            values[name][first:].add_(unknown[name] * always[name])
        carry_assortment(values["on_sale"], unknown["on_sale"])
        price = day_major(dynamic["price"], days, stays=True)
        if bool(price[first:].isnan().any()):
            for day in range(max(first, 1), days):
                price[day] = torch.where(price[day].isnan(), price[day - 1], price[day])
        return cls(values.pop("on_sale"), price, values, unknown)

    def planned(self, varies: Mapping[str, Tensor]) -> Tensor | None:
        """[R - T, n] 1 where a day from T on is planned, else 0; None: all are.

        Args:
            varies: Quantity of :data:`PLANNED` -> [n] bool.
        """
        missing = torch.zeros_like(self.unknown["on_sale"])
        for name in PLANNED:
            missing |= self.unknown[name] & varies[name]
        return (~missing).float() if bool(missing.any()) else None


def missing_quantities(
    dynamic: Mapping[str, NDArray[np.generic]],
    varies: Mapping[str, Tensor],
    day: int,
    protection: Tensor,
) -> NDArray[np.object_]:
    """[n] names, in the order of :data:`PLANNED`, of what is not known on [day, day + H).

    Comma-separated; empty where nothing is missing. Only quantities that vary count.

    Args:
        dynamic: See :meth:`Plan.of`.
        varies: Quantity of :data:`PLANNED` -> [n] bool.
        day: Morning.
        protection: [n] H.
    """
    ahead = np.arange(day, day + int(protection.max()))
    within = ahead < day + protection.numpy()[:, None]
    names = np.full(len(protection), "", dtype=object)
    for name in PLANNED:
        values = dynamic[name]
        unknown = np.ones(within.shape, dtype=bool)
        given = ahead < values.shape[1]
        unknown[:, given] = values[:, ahead[given]] == UNKNOWN
        missing = (unknown & within).any(1) & varies[name].numpy()
        names[missing] += np.where(names[missing] == "", name, ", " + name).astype(object)
    return names


def gone_days(protection: Tensor) -> Tensor:
    """[n] days from a morning on after which an item that ends before t + H shows it."""
    return protection + protection.clamp(min=GONE_DAYS)


def is_open(on_sale: Tensor) -> Tensor:
    """[T, n] 0 on the days on which an item pauses: off sale, but on sale in the week before.

    An item before its launch does not pause: its first days tell nothing about later ones.
    """
    sums = cumulated(on_sale, torch.float32)[:-1]
    before = sums.clone()
    before[WEEK:] -= sums[:-WEEK]
    return torch.maximum(on_sale, (before == 0).float())


def stays(on_sale: Tensor, opened: Tensor) -> Tensor:
    """[T + 1, n] 1 where, by the days before each morning, the item is to be bought further on.

    It was on sale on the last day on which it does not pause every week: a store that is closed
    on Sundays opens on Mondays, an item that was taken off the shelf does not come back.

    Args:
        on_sale: [T, n].
        opened: [T, n] of :func:`is_open`.
    """
    result = torch.ones((on_sale.shape[0] + 1, on_sale.shape[1]))
    for day in range(on_sale.shape[0]):
        result[day + 1] = on_sale[day]
        if day >= WEEK:
            _keep(result[day + 1], result[day], opened[day - WEEK])
    return result


def _keep(on_sale: Tensor, stayed: Tensor, usual: Tensor) -> None:
    """Sets to 1 in place where an item that ``stayed`` is off sale as a week before (``usual``)."""
    torch.maximum(on_sale, stayed * (1.0 - usual), out=on_sale)


def carry_assortment(on_sale: Tensor, unknown: Tensor) -> None:
    """Fills in place what is unknown of ``on_sale`` [R, n] on its last days (``unknown``).

    An item that :func:`stays` pauses on the weekdays on which it paused last (:func:`is_open`).
    """
    if not bool(unknown.any()):
        return
    first = on_sale.shape[0] - unknown.shape[0]
    past = is_open(on_sale[:first])
    opened = list(past.unbind(0))
    staying = stays(on_sale[:first], past)[-1]
    for day in range(first, on_sale.shape[0]):
        usual = opened[day - WEEK] if day >= WEEK else torch.ones_like(staying)
        on_sale[day] = torch.where(unknown[day - first], staying * usual, on_sale[day])
        week_before = on_sale[max(day - WEEK, 0) : day].sum(0)
        opened.append(torch.maximum(on_sale[day], (week_before == 0).float()))
        now = on_sale[day].clone()
        _keep(now, staying, usual)
        staying = now
