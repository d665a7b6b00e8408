"""Days of a data set: its calendar, and when inventories are reviewed."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field


class Span(BaseModel):
    """The calendar of some inventories: in a pool, of those that came from one data set.

    Days are indices from 0 (`first_day`), as in the manifest.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str
    """Of the data set; the pool's categories begin with it."""
    inventories: int = Field(gt=0)
    """How many, one after the other in panel order."""
    seed: int = Field(ge=0)
    first_day: date
    num_days: int = Field(gt=0)
    ahead_days: int = Field(ge=0)
    history_days: int = Field(ge=0)
    test_start: int = Field(gt=0)
    optional_quantities: tuple[str, ...] = ()
    """Which of `OPTIONAL_QUANTITIES` its inventories have."""

    def days(self, split: str) -> range:
        """Days of train and validation, or of the test."""
        if split == "test":
            return range(self.test_start, self.num_days)
        return range(self.history_days, self.test_start)

    def day(self, t: int) -> date:
        """The calendar date of day index t."""
        return self.first_day + timedelta(days=t)


def check_days(num_days: int, history_days: int, test_start: int) -> None:
    """Raise ValueError unless 0 <= history_days < test_start < num_days."""
    if not 0 <= history_days < test_start < num_days:
        raise ValueError(
            f"days must satisfy 0 <= history_days ({history_days}) < test_start ({test_start}) "
            f"< num_days ({num_days})"
        )


def reviewed(
    first_day: date,
    days: int | range | npt.NDArray[np.integer],
    period: npt.ArrayLike,
    offset: npt.ArrayLike,
) -> npt.NDArray[np.bool_]:
    """On which days inventories are reviewed: those whose date's ordinal is o modulo P.

    The calendar decides and not the number of the day, so that an extract that starts later
    reviews the same inventories on the same dates.

    Args:
        first_day: Date of day 0.
        days: Day index, or indices [D].
        period, offset: P and o, [n].

    Returns:
        [n] for one day, [D, n] for several.
    """
    ordinal = first_day.toordinal() + np.asarray(days, dtype=np.int64)
    past = np.subtract.outer(ordinal, np.asarray(offset, dtype=np.int64))
    due: npt.NDArray[np.bool_] = past % np.asarray(period, dtype=np.int64) == 0
    return due
