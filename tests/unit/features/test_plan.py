"""What is known ahead, and what stands in for what is not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from pipeline.data.schema import QUANTITIES, UNKNOWN
from pipeline.features.build import BASIS, FEATURES, FeatureTile
from pipeline.features.forecast import FLAGS
from pipeline.features.outlook import varying
from pipeline.features.plan import PLANNED, Plan, carry_assortment, missing_quantities

AHEAD = [name for name, quantity in QUANTITIES.items() if quantity.known_ahead]
SHARES = {"promotion": 0.08, "event": 0.04, "snap": 0.33, "on_sale": 0.95}


@pytest.fixture
def planned(history: Any) -> Any:
    """A history in which every quantity varies; inventories pause at random and on Sundays."""
    on_sale = history.dynamic["on_sale"].copy()
    on_sale[::3, np.arange(history.days) % 7 == 4] = 0
    demand = history.dynamic["demand"] * on_sale
    factors = replace(history.factors, shares={"*": SHARES})
    return replace(history.but(on_sale=on_sale, demand=demand), factors=factors)


def cut(history: Any, days: int, ahead: int) -> Any:
    """The history of the first days, and so many days of what is known ahead."""
    dynamic = {
        name: values[:, : days + ahead * QUANTITIES[name].known_ahead]
        for name, values in history.dynamic.items()
    }
    return replace(history, dynamic=dynamic)


def forgotten(history: Any, days: int) -> Any:
    """The same arrays, with nothing known from day ``days`` on."""
    dynamic = {name: v.copy() for name, v in history.dynamic.items()}
    for name in AHEAD:
        dynamic[name][:, days:] = np.nan if name == "price" else UNKNOWN
    return cut(replace(history, dynamic=dynamic), days, history.days - days)


def assert_same(one: FeatureTile, other: FeatureTile, row: int = 0) -> None:
    """The first morning of ``one`` is that of a row of ``other``, bit by bit."""
    for name in ("scale", "basis", "features"):
        assert torch.equal(getattr(one, name)[0], getattr(other, name)[row]), name


def feature(tile: FeatureTile, name: str) -> np.ndarray:
    return tile.features[..., FEATURES.index(name)].numpy()


@pytest.mark.parametrize("day", [9, 60, 101, 148])
@pytest.mark.parametrize("ahead", [0, 60])
def test_a_morning_that_knows_nothing_is_a_masked_one(planned: Any, day: int, ahead: int) -> None:
    """Bit by bit: what a policy meets on the last morning is what it was trained with."""
    nothing = forgotten(planned, day) if ahead else cut(planned, day, 0)
    morning = nothing.build(first=day, stop=day + 1)
    mask = np.ones((len(planned.static["lead_time"]), 1), dtype=bool)
    masked = planned.build(first=day, stop=day + 1, no_plan=mask)
    assert_same(morning, masked)
    assert (feature(morning, "plan_known") == 0).all()
    for name in FLAGS:
        assert (feature(morning, f"{name}_share") == 0).all()


@pytest.mark.parametrize("day", [60, 101, 117])
def test_days_ahead_are_as_good_as_days_of_the_panel(planned: Any, day: int) -> None:
    longest = int((planned.static["lead_time"] + planned.static["review_period"]).max())
    full = planned.build(first=day, stop=day + 1)
    assert_same(cut(planned, day, 2 * longest).build(first=day, stop=day + 1), full)
    assert (feature(full, "plan_known") == 1).all()
    # In the middle of many mornings too.
    assert_same(full, planned.build(first=40), row=day - 40)


def test_a_masked_morning_looks_at_nothing_ahead(planned: Any) -> None:
    day = 80
    rng = np.random.default_rng(5)
    changed = {name: values.copy() for name, values in planned.dynamic.items()}
    for name, values in changed.items():
        values[:, day:] = rng.integers(1, 9, values[:, day:].shape) if name in (
            "demand", "price") else rng.integers(0, 2, values[:, day:].shape)  # fmt: skip
    changed["demand"] *= changed["on_sale"] * changed["known"]
    n = len(planned.static["lead_time"])
    mask = np.zeros((n, planned.days), dtype=bool)
    mask[:, day] = True
    mask[::2, day - 7 : day] = True
    one = planned.build(no_plan=mask)
    other = replace(planned, dynamic=changed).build(no_plan=mask)
    rows = torch.as_tensor(mask.T[: day + 1])
    for name in ("scale", "basis", "features"):
        assert torch.equal(getattr(one, name)[: day + 1][rows],
                           getattr(other, name)[: day + 1][rows]), name  # fmt: skip


def test_a_mask_changes_its_mornings_alone(planned: Any) -> None:
    mask = np.random.default_rng(1).random((len(planned.static["lead_time"]), planned.days)) < 0.3
    with_plan, mixed = planned.build(), planned.build(no_plan=mask)
    none = planned.build(no_plan=np.ones_like(mask))
    masked = torch.as_tensor(mask.T)
    for name in ("scale", "basis", "features"):
        given, got = getattr(with_plan, name), getattr(mixed, name)
        assert torch.equal(got[~masked], given[~masked]), name
        assert torch.equal(got[masked], getattr(none, name)[masked]), name
    assert torch.equal(with_plan.scale, none.scale)
    assert not torch.equal(with_plan.basis, none.basis)


def test_where_nothing_varies_there_is_nothing_to_plan(history: Any) -> None:
    """And a quantity that always was 1 goes on."""
    days = history.days
    ones = np.ones((len(history.static["lead_time"]), days), dtype=np.uint8)
    shares = {"promotion": 0.0, "event": 0.0, "snap": 1.0, "on_sale": 1.0}
    steady = replace(
        history.but(
            promotion=0 * ones,
            event=0 * ones,
            snap=ones,
            on_sale=ones,
            price=np.full(ones.shape, 5.0, np.float32),
        ),
        factors=replace(history.factors, shares={"*": shares}),
    )
    full = steady.build(first=100, stop=101)
    assert_same(cut(steady, 100, 0).build(first=100, stop=101), full)
    assert_same(steady.build(first=100, stop=101, no_plan=ones[:, :1] > 0), full)
    assert (feature(full, "plan_known") == 1).all()
    assert (feature(full, "snap_share") == 1).all()


def test_partial_plans_equal_a_slow_reference(planned: Any) -> None:
    """Every day ahead and inventory with other quantities unknown."""
    day, ahead = 90, 40
    rng = np.random.default_rng(2)
    dynamic = {name: v.copy() for name, v in planned.dynamic.items()}
    unknown = {name: rng.random((12, ahead)) < 0.3 for name in FLAGS}
    for name in FLAGS:
        dynamic[name][:, day : day + ahead][unknown[name]] = UNKNOWN
    part = cut(replace(planned, dynamic=dynamic), day, ahead)
    tile = part.build(first=day, stop=day + 1)
    # Levels, from mornings on which one day ahead is planned, or none.
    coefficients = planned.factors.coefficients
    flags = {n: dynamic[n][:, day : day + ahead] for n in FLAGS}
    price = planned.dynamic["price"].astype(float)
    d, span = planned.dynamic, planned.static["lead_time"] + planned.static["review_period"]
    demand, on_sale = d["demand"].astype(float), d["on_sale"]
    weight = 0.5 ** ((day - 1 - np.arange(day)) / 28)

    def ratio(i: int, t: int) -> float:
        return float(np.log(price[i, t] / price[i, max(0, t - 55) : t + 1].mean()))

    for i in range(12):
        c = np.array(coefficients.get(planned.static["category"][i], coefficients["*"]))
        weekday = c[[(t + planned.first_weekday) % 7 for t in range(day + ahead)]]
        past = range(day)
        full = [np.exp(weekday[t] + c[7] * ratio(i, t) + sum(
            c[8 + k] * d[name][i, t] for k, name in enumerate(FLAGS))) for t in past]  # fmt: skip
        sold = weight @ demand[i, :day]
        level = sold / (weight @ (full * on_sale[i, :day]))
        plain = np.exp(weekday[:day] + [c[7] * ratio(i, t) for t in past])
        plain_level = sold / (weight @ (plain * on_sale[i, :day])) * np.exp(c[7] * ratio(i, day))
        near, known = 0.0, 0
        for u in range(span[i]):
            t = day + u
            missing = [name for name in FLAGS if unknown[name][i, u]]
            effects = {name: c[8 + k] for k, name in enumerate(FLAGS)}
            if not missing:
                log = sum(effects[name] * flags[name][i, u] for name in FLAGS)
                units = level * np.exp(weekday[t] + c[7] * ratio(i, t) + log)
                known += 1
            else:
                units = plain_level * np.exp(weekday[t])
                for name in set(FLAGS) - set(missing):
                    mean = 1 + SHARES[name] * (np.exp(effects[name]) - 1)
                    units *= np.exp(effects[name] * flags[name][i, u]) / mean
            near += units * on_sale[i, t]
        got = tile.basis[0, i, BASIS.index("near_forecast")].item()
        assert got == pytest.approx(near, rel=1e-4)
        assert feature(tile, "plan_known")[0, i] == pytest.approx(known / span[i])


def assortment(*days: int) -> np.ndarray:
    """[14] what is carried on from the days given."""
    given = np.array([*days, *[UNKNOWN] * 14], dtype=np.float32)
    on_sale = torch.as_tensor(given).unsqueeze(1)
    carry_assortment(on_sale, on_sale[-14:] == UNKNOWN)
    return on_sale[-14:, 0].numpy()


def test_the_assortment_of_the_last_week_goes_on() -> None:
    week = [1, 1, 1, 1, 1, 1, 0]  # closed on Sundays
    assert assortment(*[1] * 20).tolist() == [1] * 14
    assert assortment(*[1] * 20, *[0] * 3).tolist() == [0] * 14  # taken off three days ago
    assert assortment(*[1] * 20, *[0] * 40).tolist() == [0] * 14
    assert assortment(*[0] * 20, *[1] * 3).tolist() == [1] * 14  # launched three days ago
    assert assortment(*week * 3).tolist() == week * 2  # Monday: yesterday was closed
    assert assortment(*week * 3, 1, 1).tolist() == (week[2:] + week * 2)[:14]
    assert assortment(*[1] * 16, 0, *[1] * 4).tolist() == (
        [1, 1, 0, 1, 1, 1, 1] * 2
    )  # one closing day: taken for a weekly one, until the next week shows it was not
    for days in (1, 2, 3, 4, 9, 14):  # taken off on a Thursday, some days ago
        assert assortment(*week * 3, 1, 1, 1, *[0] * days).tolist() == [0] * 14


def test_a_plan_with_a_gap_goes_on_from_what_it_knows() -> None:
    on_sale = torch.tensor([[1.0]] * 10 + [[UNKNOWN], [0.0], [UNKNOWN], [1.0], [UNKNOWN]])
    carry_assortment(on_sale, on_sale[10:] == UNKNOWN)
    assert on_sale[10:, 0].tolist() == [1, 0, 0, 1, 1]


def test_prices_are_carried_on(planned: Any) -> None:
    price = planned.dynamic["price"].copy()
    price[:, 95:] = np.nan
    price[:, 97] = 3.0
    short = {n: v[:, :90] for n, v in planned.dynamic.items() if n in ("demand", "known")}
    plan = Plan.of(
        {**planned.dynamic, **short, "price": price},
        {name: torch.zeros(12) for name in FLAGS}, 100,
    )  # fmt: skip
    np.testing.assert_array_equal(plan.price[95:97], np.broadcast_to(price[:, 94], (2, 12)))
    assert (plan.price[97:] == 3.0).all()


def test_what_is_missing_is_named_per_inventory(planned: Any) -> None:
    day, ahead = 90, 6
    part = cut(planned, day, ahead)
    part.dynamic["event"] = part.dynamic["event"].copy()
    part.dynamic["event"][0, day + 1] = UNKNOWN
    lead_time = torch.tensor([3, 3, 12] * 4)
    factors = replace(part.factors, shares={"*": SHARES, "toys": {**SHARES, "snap": 0.0}})
    varies = varying(factors, part.static["category"])
    missing = missing_quantities(part.dynamic, varies, day, lead_time)
    assert missing[:6].tolist() == [
        "event", "", "promotion, event, snap, on_sale",
        "", "", "promotion, event, on_sale",
    ]  # fmt: skip
    assert set(varies) == set(PLANNED)
