"""Random numbers of inventories, fixed by seed and inventory id.

What is drawn for an inventory must not depend on which others are in the file, or on where it
stands: one more SKU would redraw everybody's lead time. So each id is hashed, and a number is a
mixed hash of id, seed and the name of what is drawn.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


class Draws:
    """Independent random numbers for n inventories.

    Args:
        seed: Another seed gives other numbers.
        inventory_ids: n ids; the numbers of an id do not depend on the others.
    """

    def __init__(self, seed: int, inventory_ids: Iterable[str]) -> None:
        self._seed = seed
        self._ids = _digests(inventory_ids)

    def __len__(self) -> int:
        return len(self._ids)

    def bits(self, name: str) -> npt.NDArray[np.uint64]:
        """[n] uniform 64-bit integers; `name` says what is drawn, another name draws anew."""
        return _mixed(self._ids ^ _digests([f"{self._seed}:{name}"]))

    def uniform(self, name: str, low: float = 0.0, high: float = 1.0) -> Array:
        """[n] uniform in [low, high)."""
        values: Array = low + (high - low) * _unit(self.bits(name))
        return values

    def daily(self, name: str, days: npt.ArrayLike) -> Array:
        """[D, n] uniform in [0, 1), one of each day.

        Args:
            name: What is drawn.
            days: [D] numbers of days or other periods, of the calendar: then an extract that
                starts later meets the same numbers on the same dates.
        """
        steps = np.asarray(days, dtype=np.int64).astype(np.uint64) * _STEP
        return _unit(_mixed(np.add.outer(steps, self.bits(name))))

    def normal(self, name: str) -> Array:
        """[n] standard normal (Box and Muller 1958)."""
        radius = np.sqrt(-2.0 * np.log1p(-self.uniform(name)))
        values: Array = radius * np.cos(2.0 * np.pi * self.uniform(f"{name}, angle"))
        return values

    def choice(self, name: str, values: Iterable[int], weights: Iterable[float]) -> Array:
        """[n] of `values`, each with the chance that its weight is of their sum."""
        bounds = np.cumsum(np.fromiter(weights, float))
        picked = np.searchsorted(bounds / bounds[-1], self.uniform(name), side="right")
        found: Array = np.fromiter(values, int)[picked]
        return found


_STEP = np.uint64(0x9E3779B97F4A7C15)
"""Of the generator splitmix64 (Steele, Lea and Flood 2014) from one number to the next."""


def _mixed(x: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Its finaliser."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def _unit(bits: npt.NDArray[np.uint64]) -> Array:
    """In [0, 1)."""
    values: Array = (bits >> np.uint64(11)) * 2.0**-53
    return values


def _digests(texts: Iterable[str]) -> npt.NDArray[np.uint64]:
    """[n] the first 64 bits of each text's MD5: the same on every machine and in every version."""
    md5 = hashlib.md5
    joined = b"".join([md5(t.encode(), usedforsecurity=False).digest() for t in texts])
    return np.frombuffer(joined, "<u8")[::2].astype(np.uint64)
