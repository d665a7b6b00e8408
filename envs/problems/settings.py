"""The synthetic study's four settings: their demand, what a policy sees, and the problem around it.

All of them are backlog problems with b = 0.9, h = 0.1, L = 1 and P = 2. They start empty; two
warm-up days have no orders, so that their demand is owed; orders are placed on days 2, 4, ...
(counted from 0), and cost is counted from day 3, when the first order has arrived, to the last
day that an order governs.

    setting1  INDEP  low_t + integer from U{0..4}; feature: day // 2
    setting2  AR(1)  10 trajectories to train on; feature: yesterday's demand
    setting3  AR(1)  the same process, 5 trajectories
    setting4  IID    N(100, sigma) on odd days, sigma ~ U(5, 20) per SKU; feature: sigma

Networks see a feature centred and in a unit of its own (:func:`feature_input`): on day // 2 as it
is (0..15), or divided by 15, a network of this size does not learn levels that change from day to
day.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from envs.errors import ScenarioError
from envs.state import Scenario

SettingName = Literal["setting1", "setting2", "setting3", "setting4"]
SETTINGS: tuple[SettingName, ...] = get_args(SettingName)
FEATURE_RANGE: dict[SettingName, tuple[float, float]] = {
    "setting1": (8.0, 2.0),
    "setting2": (7.5, 5.0),
    "setting3": (7.5, 5.0),
    "setting4": (12.5, 2.5),
}
"""Centre and unit of a setting's feature: pairs of days, units, units, units."""
STUDY_DAYS = 31
"""Days of a trajectory of settings 1 to 3, of which 28 are counted."""
UNCOUNTED_DAYS = 3
"""First days of every trajectory that no order decides."""

SETTING1_LOW = (
    11, 9, 12, 16, 9, 9, 16, 13, 8, 12, 8, 8, 10, 2, 3, 7,
    5, 11, 6, 4, 15, 9, 10, 4, 7, 10, 5, 11, 7, 8, 7,
)  # fmt: skip
"""Least demand of each of the 31 days of setting 1, units."""
SETTING1_SPREAD = 4
"""Demand lies 0..4 units above the least, each with probability 1/5."""
AR1_DROPPED = 8
"""First days of the AR(1) process that are not used."""
SETTING4_MEAN = 100.0
"""Mean demand of an odd day of setting 4, units."""
SETTING4_SIGMA = (5.0, 20.0)
"""Ends of the range of sigma in setting 4, units."""
SETTING4_QUANTILE = 1.2816
"""Normal quantile of b / (b + h) = 0.9: the best level is 100 + 1.282 sigma."""
SETTING4_COST = 0.17550
"""Expected cost per counted day of that level, in sigmas: (b + h) times the normal density at
the quantile (newsvendor)."""


def setting1_demand(n: int, seed: int) -> Tensor:
    """[31, n] whole units: low_t plus an integer from U{0..4}, independent.

    The best policy's expected cost is 0.8543 per counted day.

    Raises:
        ScenarioError: ``n`` is below 1.
    """
    _at_least("n", n, 1)
    extra = torch.randint(0, SETTING1_SPREAD + 1, (STUDY_DAYS, n), generator=_generator(seed))
    return torch.tensor(SETTING1_LOW).unsqueeze(1) + extra.float()


def ar1_demand(n: int, seed: int) -> tuple[Tensor, Tensor]:
    """Demand of settings 2 and 3: d = max(0, phi d_yesterday + (1 - phi) m + N(0, s)).

    Each trajectory has its own phi ~ U(.3, .9), m ~ U(5, 10) and s ~ U(2, 8) (units). It starts
    at m, and its first 8 days are dropped.

    Returns:
        [31, n] demand and [31, n] yesterday's demand, units.

    Raises:
        ScenarioError: ``n`` is below 1.
    """
    _at_least("n", n, 1)
    generator = _generator(seed)
    phi, mean, spread = (
        low + (high - low) * torch.rand(n, generator=generator)
        for low, high in ((0.3, 0.9), (5.0, 10.0), (2.0, 8.0))
    )
    noise = spread * torch.randn(AR1_DROPPED + STUDY_DAYS, n, generator=generator)
    days = [mean]
    for shock in noise:
        days.append((phi * days[-1] + (1 - phi) * mean + shock).clamp(min=0.0))
    demand = torch.stack(days[1:])
    return demand[AR1_DROPPED:], demand[AR1_DROPPED - 1 : -1]


def setting4_demand(
    n: int, seed: int, counted_days: int = STUDY_DAYS - UNCOUNTED_DAYS
) -> tuple[Tensor, Tensor]:
    """Demand of setting 4: N(100, sigma) on odd days, none on even ones.

    Args:
        n: SKUs, each with its own sigma ~ U(5, 20).
        seed: Of sigmas and demand.
        counted_days: T - 1 of the study, an even number of days; three more come before them.

    Returns:
        [counted_days + 3, n] demand and sigma (the same on every day), units.

    Raises:
        ScenarioError: ``n`` is below 1, or ``counted_days`` is odd or below 2.
    """
    _at_least("n", n, 1)
    _at_least("counted_days", counted_days, 2)
    if counted_days % 2:
        raise ScenarioError("counted_days", counted_days, "Use an even number.", "is odd")
    generator = _generator(seed)
    days = counted_days + UNCOUNTED_DAYS
    low, high = SETTING4_SIGMA
    sigma = low + (high - low) * torch.rand(n, generator=generator)
    demand = SETTING4_MEAN + sigma * torch.randn(days, n, generator=generator)
    odd = (torch.arange(days) % 2 == 1).unsqueeze(1)
    return demand.clamp(min=0.0) * odd, sigma.expand(days, n)


def feature_input(name: SettingName, feature: Tensor) -> Tensor:
    """What networks see of a setting's feature: centred, a few units wide."""
    centre, unit = FEATURE_RANGE[name]
    return (feature - centre) / unit


def feature_of(name: SettingName, seen: Tensor) -> Tensor:
    """Inverse of :func:`feature_input`."""
    centre, unit = FEATURE_RANGE[name]
    return seen * unit + centre


def study_setting(
    name: SettingName, n: int, seed: int, counted_days: int = STUDY_DAYS - UNCOUNTED_DAYS
) -> Scenario:
    """``n`` fresh trajectories of a setting.

    Args:
        name: setting1 to setting4.
        n: Trajectories.
        seed: Of the demand.
        counted_days: Of setting 4; the others have 28.

    Raises:
        ScenarioError: A number is out of its range.
    """
    if name == "setting1":
        return study_setting1(n, seed)
    demand, feature = (
        setting4_demand(n, seed, counted_days) if name == "setting4" else ar1_demand(n, seed)
    )
    return given_setting(name, demand, feature)


def study_setting1(n: int, seed: int) -> Scenario:
    """``n`` trajectories of setting 1; see :func:`setting1_demand`."""
    return study_scenario(setting1_demand(n, seed))


def given_setting(name: SettingName, demand: Tensor, feature: Tensor) -> Scenario:
    """A setting's problem around given trajectories.

    Args:
        name: Decides the unit of the feature and the largest order.
        demand: [T, N] units.
        feature: [T, N] in its own unit (see :func:`feature_input`).
    """
    # Setting 4 owes some 100 units before the first order, and asks for 100 more every 2 days:
    # the 100 units of the other settings would never catch up.
    order_max = 300.0 if name == "setting4" else 100.0
    return study_scenario(demand, feature_input(name, feature), order_max=order_max)


def study_scenario(
    demand: Tensor, feature: Tensor | None = None, *, order_max: float = 100.0
) -> Scenario:
    """The problem of the study around given demand.

    One scale is a third of the largest order, so that the default range of an order or a
    level, 0..3 scales, is 0..order_max units.

    Args:
        demand: [T, N] units, T odd (31 in settings 1 to 3); its dtype is the scenario's.
        feature: [T, N] what the policy sees of the day; default: setting 1's.
        order_max: Largest order, units.

    Raises:
        ScenarioError: The shapes do not fit, or demand is negative or not finite.
    """
    days, n = demand.shape
    day = torch.arange(days).unsqueeze(1).expand(days, n)
    if feature is None:
        feature = feature_input("setting1", (day // 2).to(demand.dtype))
    scale = torch.full_like(demand, order_max / 3.0)
    return Scenario(
        demand=demand,
        lead_time=torch.full((n,), 1),
        review_period=torch.full((n,), 2),
        review=(day % 2 == 0) & (day >= 2) & (day <= days - UNCOUNTED_DAYS),
        shortage_cost=demand.new_full((n,), 0.9),
        holding_cost=demand.new_full((n,), 0.1),
        scale=scale,
        basis=scale.unsqueeze(-1),
        features=feature.to(demand.dtype).unsqueeze(-1),
        counted=day >= UNCOUNTED_DAYS,
        max_lead_time=1,
        backlog=True,
        order_max=order_max,
    ).validate()


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _at_least(name: str, value: int, least: int) -> None:
    if value < least:
        raise ScenarioError(name, value, f"Use {least} or more.")
