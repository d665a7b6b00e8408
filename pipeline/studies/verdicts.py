"""What an interval says about a claim that its figure is above 0."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from pipeline.evaluation.intervals import Interval

Verdict = Literal["holds", "does not hold", "not separable", "not measured"]


def verdict_of(found: Interval) -> Verdict:
    """Holds or does not where the interval leaves out 0; "not separable" where it holds 0."""
    if math.isnan(found.value):
        return "not measured"
    if not found.excludes_zero:
        return "not separable"
    return "holds" if found.low > 0 else "does not hold"


def verdict_within(found: Interval, reach: float) -> Verdict:
    """Of the claim that a figure is within ``reach`` of 0: the interval lies inside, or outside."""
    if math.isnan(found.value):
        return "not measured"
    if -reach < found.low and found.high < reach:
        return "holds"
    return "does not hold" if found.low > reach or found.high < -reach else "not separable"


def combined(verdicts: Sequence[Verdict]) -> Verdict:
    """Of a claim about several cases: it holds if it does in all, fails if in any it fails.

    A case that was not measured, of a method whose trainings failed, say, is none that holds.
    """
    if "does not hold" in verdicts:
        return "does not hold"
    if not verdicts or "not measured" in verdicts:
        return "not measured"
    return "holds" if all(verdict == "holds" for verdict in verdicts) else "not separable"
