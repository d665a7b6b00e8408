"""What the study consists of: pieces, each one sweep or several, that are run one by one.

``python -m cluster offline --piece NAME`` runs a piece; :mod:`tuning.studies.offline` makes presets
of what is said here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from envs.errors import ConfigError
from pipeline.runs.method import REFERENCE, Method

DataName = Literal["m5", "fresh", "pool"]
SETS: tuple[DataName, ...] = ("m5", "fresh")
"""What the pool is made of."""
POOL: DataName = "pool"
MAIN = "main"
"""The part of a piece that has one."""

SERVICE: Mapping[str, Any] = MappingProxyType({"name": "service"})
_LATE = {"uniform": [0.98, 1.0]}
CREDITS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "governed": {},
        "terminal": {
            "ddpg": {"search": {"gamma": _LATE, "exploration_noise": {"uniform": [0.6, 1.2]}}},
            "ppo": {"search": {"gamma": _LATE, "lambda_": {"uniform": [0.9, 1.0]}}},
        },
    }
)
"""Credit -> what its algorithms search elsewhere than the preset: at the preset's discounts a
charge at the end is forgotten."""
BUDGETS = (0.25, 1.0, 4.0, 16.0)
"""Of the third, which lasts as long as a training of the tables does."""
FACTORS = (0.15, 0.4, 1.0, 2.5, 6.0)
"""On stockouts, at which a conditioned policy meets policies that were trained for them."""
CONDITIONED = "conditioned"
FACTOR_RANGE = (0.1, 10.0)
"""Of the factors that the conditioned policy is trained with."""
_BRIEF: Mapping[str, Any] = MappingProxyType(
    {
        "configurations": 4, "rungs": [{"share": 0.112, "keep": 1}], "finalists": 1,
        "seeds_for": "every_method",
    }
)  # fmt: skip
"""Of parts that compare something else than configurations: 1.3 trainings, and further seeds."""


@dataclass(frozen=True)
class Part:
    """A sweep of a piece."""

    name: str
    """Its folder within the piece's."""
    data: DataName
    over: Mapping[str, Any] = field(default_factory=dict)
    """Keys that replace the preset's, level by level."""
    budget: float = 1.0
    """Times the preset's iterations."""
    compared: bool = False
    """With baselines, frontiers and a report, as every sweep; else its policies are only played."""


@dataclass(frozen=True)
class Piece:
    """A part of the study that is run by itself."""

    name: str
    title: str
    """Of its tables."""
    kind: Literal["published", "pool", "credit", "budget", "conditioning", "sensitivity"]
    """What is made of it."""
    parts: tuple[Part, ...]


def _published(data: DataName, what: str, objective: str) -> Piece:
    over = {"objective": dict(SERVICE)} if objective == "service" else {}
    return Piece(
        f"{data}-{objective}", f"{what}, {objective}", "published",
        (Part(MAIN, data, over, compared=True),),
    )  # fmt: skip


def _names(methods: Iterable[str]) -> list[str]:
    """As YAML holds them."""
    return [str(method) for method in methods]


def _credit(credit: str) -> Part:
    methods = _names(Method.product(("ddpg", "ppo"), ("none", "base", "coeff", "both")))
    over = {**_BRIEF, "seeds": 5, "methods": methods, "objective": {**SERVICE, "credit": credit}}
    over |= {"algorithms": CREDITS[credit]}
    return Part(credit, "m5", over, budget=0.5)


def _budget(times: float) -> Part:
    over = {**_BRIEF, "seeds": 3, "methods": _names([REFERENCE, "ppo-both", "ds-base"])}
    return Part(f"x{times:g}", "m5", over, budget=times / BUDGETS[2])


def _conditioning(factor: float | None) -> Part:
    over = {**_BRIEF, "seeds": 3, "methods": _names([REFERENCE, "ds-base"])}
    if factor is None:
        over |= {"objective": dict(SERVICE), "shortage_factors": list(FACTOR_RANGE)}
        return Part(CONDITIONED, "m5", over, budget=0.5)
    objective = {**SERVICE, "stockout_weight": factor}
    return Part(factor_name(factor), "m5", {**over, "objective": objective}, budget=0.5)


def factor_name(factor: float) -> str:
    """The part of policies that were trained for a factor."""
    return f"factor-{factor:g}"


_M5, _FRESH = "Walmart M5", "FreshRetailNet-50K"
PIECES: Mapping[str, Piece] = MappingProxyType(
    {
        piece.name: piece
        for piece in (
            _published("m5", _M5, "cost"),
            _published("m5", _M5, "service"),
            _published("fresh", _FRESH, "cost"),
            _published("fresh", _FRESH, "service"),
            Piece(
                "pool", "One policy for both data sets, cost", "pool",
                (Part(MAIN, "pool", compared=True),),
            ),
            Piece(
                "credit", "Who is credited with stockouts", "credit",
                tuple(_credit(credit) for credit in CREDITS),
            ),
            Piece(
                "budget", "Cost against training time", "budget",
                tuple(_budget(times) for times in BUDGETS),
            ),
            Piece(
                "conditioning", "One policy for every trade-off", "conditioning",
                tuple(_conditioning(factor) for factor in (None, *FACTORS)),
            ),
            Piece(
                "sensitivity", "How much tuning matters", "sensitivity",
                (Part(MAIN, "m5", {"rungs": [], "seeds": 1, "other_seeds": 1}, budget=0.25),),
            ),
        )
    }
)  # fmt: skip
"""In the order in which they are reported."""


def find_piece(name: str) -> Piece:
    """A piece by its name.

    Raises:
        ConfigError: There is none.
    """
    if name not in PIECES:
        raise ConfigError("offline", name, f"Use one of {', '.join(PIECES)}.", "is no piece")
    return PIECES[name]
