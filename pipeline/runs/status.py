"""How a training run can end."""

from __future__ import annotations

from typing import Literal

Status = Literal["finished", "diverged", "failed", "stopped"]
"""``stopped``: a sweep gave up on the configuration before its end, others being better."""

FAILURES: tuple[Status, ...] = ("failed", "diverged")
"""It was given a chance to end well, and did not."""
