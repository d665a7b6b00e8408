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

    def bits(self, name: str) -> npt.NDArray[np.uint64]:
        """[n] uniform 64-bit integers; `name` says what is drawn, another name draws anew."""
        x = self._ids ^ _digests([f"{self._seed}:{name}"])
        # The finaliser of splitmix64 (Steele, Lea and Flood 2014).
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return x ^ (x >> np.uint64(31))

    def uniform(self, name: str, low: float = 0.0, high: float = 1.0) -> Array:
        """[n] uniform in [low, high)."""
        unit = (self.bits(name) >> np.uint64(11)) * 2.0**-53
        values: Array = low + (high - low) * unit
        return values

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


def _digests(texts: Iterable[str]) -> npt.NDArray[np.uint64]:
    """[n] the first 64 bits of each text's MD5: the same on every machine and in every version."""
    md5 = hashlib.md5
    joined = b"".join([md5(t.encode(), usedforsecurity=False).digest() for t in texts])
    return np.frombuffer(joined, "<u8")[::2].astype(np.uint64)
