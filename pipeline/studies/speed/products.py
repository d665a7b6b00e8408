"""The matrix products that a policy is made of, in the layouts that were chosen between."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from pipeline.studies.speed.limits import Limits
from pipeline.studies.speed.problems import FEATURES, HIDDEN
from pipeline.studies.speed.timing import Row, Work, take_turns

ROWS, DAYS, OUTPUTS = 2048, 28, 5


def products(limits: Limits, rounds: int = 5) -> list[Row]:
    """Rows per CPU-second of products with 2,048 rows (a day of a tile)."""
    width = HIDDEN[0]
    hidden, square = torch.rand(ROWS, width), torch.rand(width, width)
    kept = torch.empty(ROWS, width)
    head = torch.rand(OUTPUTS, width)
    of_features = torch.rand(FEATURES, width)
    features = torch.rand(DAYS, ROWS, FEATURES)
    whole = features.flatten(0, 1)
    made = {
        "64 to 64, into memory that is kept": lambda: torch.mm(hidden, square, out=kept),
        "64 to 64, into new memory": lambda: hidden @ square,
        "head of 5 outputs, in rows": lambda: hidden @ head.t(),
        "head of 5 outputs, in columns": lambda: head @ hidden.t(),
        "20 features, a day at a time": lambda: torch.mm(features[0], of_features, out=kept),
    }
    at_once = {"20 features, 28 days at once": lambda: whole @ of_features}
    work = {what: _repeat(do, ROWS, 100) for what, do in made.items()}
    work |= {what: _repeat(do, ROWS * DAYS, 4) for what, do in at_once.items()}
    return take_turns("products", work, limits, rounds=rounds, unit="rows")


def _repeat(do: Callable[[], Tensor], rows: int, times: int) -> Work:
    def play() -> int:
        for _ in range(times):
            do()
        return rows * times

    return Work(play)
