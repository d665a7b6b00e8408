"""What a scenario must be like before it is played."""

from __future__ import annotations

import torch

from envs.errors import ScenarioError
from envs.orders import WHOLE, smallest_order
from envs.state import EXPECTED, ORDER_SIZES, Scenario


def check_scenario(scenario: Scenario) -> None:
    """Raises :class:`ScenarioError` where a field is out of its domain."""
    _check_shapes(scenario)
    _check_expected(scenario)
    _check_numbers(scenario)
    _check_order_sizes(scenario)


def _check_shapes(scenario: Scenario) -> None:
    days, n = scenario.demand.shape
    shapes: dict[str, tuple[int, ...]] = {
        "lead_time": (n,), "review_period": (n,), "review": (days, n),
        "shortage_cost": (n,), "holding_cost": (n,), "shortage_factor": (n,),
        "scale": (days, n),
        "counted": (days, n), "order_lead_time": (days, n), "fill": (days, n),
        **dict.fromkeys(EXPECTED, (days, n)),
    }  # fmt: skip
    shapes |= dict.fromkeys(scenario.own_sizes(), (n,))
    if scenario.history is not None:
        shapes["history"] = (len(scenario.history), n)
    for name, shape in shapes.items():
        value = getattr(scenario, name)
        if value is not None and tuple(value.shape) != shape:
            raise ScenarioError(
                name, tuple(value.shape), f"Give it the shape {shape} that demand implies.",
                "has the wrong shape",
            )  # fmt: skip
    for name in ("basis", "features"):
        if getattr(scenario, name).shape[:2] != (days, n):
            raise ScenarioError(
                name, tuple(getattr(scenario, name).shape), f"Its first axes must be {(days, n)}.",
                "has the wrong shape",
            )  # fmt: skip


def _check_numbers(scenario: Scenario) -> None:
    factor = scenario.shortage_factor
    if factor is not None and not bool(((factor > 0) & torch.isfinite(factor)).all()):
        raise ScenarioError("shortage_factor", float(factor.min()), "Use finite numbers above 0.")
    for name in ("demand", "shortage_cost", "holding_cost"):
        value = getattr(scenario, name)
        if not bool(torch.isfinite(value).all()) or bool((value < 0).any()):
            raise ScenarioError(
                name, float(value.min()), "Use finite numbers of at least 0.", "is out of range"
            )
    longest = scenario.lead_time if scenario.order_lead_time is None else scenario.order_lead_time
    if bool((longest < 0).any()) or int(longest.max()) > scenario.max_lead_time:
        raise ScenarioError(
            "lead_time", [int(longest.min()), int(longest.max())],
            f"Keep lead times within 0..max_lead_time = {scenario.max_lead_time} days.",
            "is out of range",
        )  # fmt: skip
    if bool((scenario.review_period < 1).any()):
        raise ScenarioError(
            "review_period", int(scenario.review_period.min()), "Use at least 1 day.",
            "is out of range",
        )  # fmt: skip
    if scenario.fill is not None and not bool(((scenario.fill >= 0) & (scenario.fill <= 1)).all()):
        raise ScenarioError("fill", float(scenario.fill.max()), "Use shares between 0 and 1.")
    if not bool(((scenario.scale > 0) & torch.isfinite(scenario.scale)).all()):
        raise ScenarioError(
            "scale", float(scenario.scale.min()), "Use finite numbers above 0.", "is out of range"
        )


def _check_order_sizes(scenario: Scenario) -> None:
    """Every inventory can be ordered: its largest order holds its smallest."""
    for name in ORDER_SIZES:
        value = torch.as_tensor(getattr(scenario, name))
        if not bool((value >= 0).all()):  # NaN is not either
            raise ScenarioError(
                name, float(value.min()), "Use numbers of at least 0.", "is out of range"
            )
    pack, largest = (
        torch.as_tensor(size) for size in (scenario.order_multiple, scenario.order_max)
    )
    minimum = torch.as_tensor(smallest_order(scenario.order_min, scenario.order_multiple))
    least = torch.maximum(minimum, pack)
    short = largest < least - WHOLE * pack
    if bool(short.any()):
        row = int(short.to(torch.uint8).argmax())
        most, smallest = (float(size.expand(short.shape).reshape(-1)[row])
                          for size in (largest, least))  # fmt: skip
        raise ScenarioError(
            "order_max", most, "Raise it, or lower order_min or order_multiple.",
            f"is below the smallest order that may be given, {smallest:g}",
        )  # fmt: skip


def _check_expected(scenario: Scenario) -> None:
    given = [name for name in EXPECTED if getattr(scenario, name) is not None]
    for name in given:
        if not bool((getattr(scenario, name) >= 0).all()):  # NaN is not either
            raise ScenarioError(
                name, float(getattr(scenario, name).min()), "Use numbers of at least 0.",
                "is out of range",
            )  # fmt: skip
    if given and len(given) < len(EXPECTED):
        missing = next(name for name in EXPECTED if name not in given)
        raise ScenarioError(missing, None, f"Give all of {', '.join(EXPECTED)}, or none.")
