"""A line of progress on stderr for long steps: count, total, rate."""

from __future__ import annotations

import sys
import time


class Progress:
    """Prints `label: done / total unit (rate/s)` at most every `every` seconds, and at the end.

    Args:
        label: What is going on.
        total: How many units there are.
        unit: Name of a unit, in the plural.
        every: Seconds between two lines.
    """

    def __init__(self, label: str, total: int, unit: str, every: float = 5.0) -> None:
        self._label, self._total, self._unit, self._every = label, total, unit, every
        self._start = self._last = time.monotonic()
        self._done = 0

    def add(self, count: int) -> None:
        """Count `count` more units as done."""
        self._done += count
        now = time.monotonic()
        if now - self._last >= self._every or self._done >= self._total:
            self._last = now
            rate = self._done / max(now - self._start, 1e-9)
            line = f"{self._label}: {self._done:,} / {self._total:,} {self._unit} ({rate:,.0f}/s)"
            print(line, file=sys.stderr, flush=True)
