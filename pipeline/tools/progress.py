"""What long steps say of themselves: a line now and then with count, total and rate.

It goes to the logger :data:`LOG`. The command lines show it on stderr; whoever imports the packages
sees nothing until asking for it, as of any logger.
"""

from __future__ import annotations

import logging
import time

LOG = logging.getLogger("deepstock")


class Progress:
    """Says `label: done / total unit (rate/s)` at most every `every` seconds, and at the end.

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
            LOG.info(
                f"{self._label}: {self._done:,} / {self._total:,} {self._unit} ({rate:,.0f}/s)"
            )
