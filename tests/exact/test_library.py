"""The library of classical problems is what was published, and its scenarios are its problems."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from scipy import stats

from envs.errors import ScenarioError
from envs.problems.classical import (
    PROBLEMS,
    ClassicalProblem,
    DemandLaw,
    Geometric,
    Normal,
    Poisson,
    problem_named,
    scenario,
)


@pytest.fixture(scope="module")
def published(shared: Path) -> dict[str, Any]:
    path = shared / "reference" / "classical.json"
    if not path.is_file():
        pytest.skip(f"the published numbers {path} are not there: set DEEPSTOCK_SHARED")
    content: dict[str, Any] = json.loads(path.read_text())
    return content


@pytest.mark.parametrize("law", ["poisson", "geometric"])
def test_every_lost_sales_number_is_the_published_one(law: str, published: dict[str, Any]) -> None:
    names = {
        "optimal": "optimal",
        "best_base_stock": "base_stock",
        "best_base_stock_level": "base_stock_level",
        "best_capped_base_stock": "capped_base_stock",
    }
    cells = 0
    for table, rows in published[f"lost_sales_{law}_mean5"].items():
        if table == "source":
            continue
        for p, columns in rows.items():
            for lead, value in columns.items():
                problem = problem_named(f"lost_sales_{law}_{p}_{lead}")
                assert problem.published[names[table]].value == value
                assert (problem.lead_time, problem.shortage_cost) == (int(lead[1:]), float(p[1:]))
                cells += 1
    listed = [p for name, p in PROBLEMS.items() if name.startswith(f"lost_sales_{law}")]
    assert len(listed) == 16
    assert cells == sum(len(p.published) for p in listed)


def test_every_backlog_number_is_the_published_one(published: dict[str, Any]) -> None:
    cells = 0
    for b, columns in published["backlog_poisson_mean5"]["level_and_cost"].items():
        for lead, (level, cost) in columns.items():
            known = problem_named(f"backlog_poisson_{b}_{lead}").published
            assert (known["base_stock_level"].value, known["base_stock"].value) == (level, cost)
            cells += 1
    normal = published["backlog_normal_mean5_sd1.6"]
    of_normal = {f"b9_{lead}": cost for lead, cost in normal["cost_b9"].items()}
    of_normal |= {f"{b}_L4": cost for b, cost in normal["cost_L4"].items()}
    for cell, cost in of_normal.items():
        assert problem_named(f"backlog_normal_{cell}").published["base_stock"].value == cost
        cells += 1
    assert cells == sum(name.startswith("backlog") for name in PROBLEMS) == 19
    newsvendor = PROBLEMS["newsvendor_normal"]
    assert isinstance(newsvendor.demand, Normal)
    cell = published["newsvendor_normal"]["b0.9_h0.1"]
    known = newsvendor.published
    assert known["base_stock"].value == pytest.approx(
        cell["cost_per_sigma"] * newsvendor.demand.std, abs=2e-5
    )
    assert known["base_stock_level"].value == pytest.approx(
        newsvendor.demand.mean + cell["z"] * newsvendor.demand.std, abs=1e-4
    )


@pytest.mark.parametrize("law", [Poisson(5.0), Geometric(5.0)], ids=str)
def test_whole_demand_has_its_law(law: DemandLaw) -> None:
    """A chi-square test of a million draws; the seed is fixed, so it does not flicker."""
    expected = stats.poisson(5.0) if isinstance(law, Poisson) else stats.nbinom(1, 1 / 6)
    draws = law.sample(1000, 1000, torch.Generator().manual_seed(2)).flatten()
    assert torch.equal(draws, draws.round())
    last = int(expected.isf(1e-4))
    counts = torch.bincount(draws.long().clamp(max=last), minlength=last + 1).double()
    probabilities = expected.pmf(range(last)).tolist()
    probabilities.append(1 - sum(probabilities))
    assert stats.chisquare(counts / counts.sum(), probabilities).statistic * 1e6 < stats.chi2(
        last
    ).isf(1e-3)


def test_normal_demand_is_cut_at_zero() -> None:
    law = Normal(5.0, 1.6)
    draws = law.sample(1000, 1000, torch.Generator().manual_seed(2)).flatten().double()
    share = stats.norm.cdf(-5 / 1.6)
    assert float((draws == 0).double().mean()) == pytest.approx(share, abs=4e-3 * share**0.5)
    assert float(draws.min()) == 0.0
    for q in (0.01, 0.5, 0.99):
        below = float((draws <= stats.norm(5, 1.6).ppf(q)).double().mean())
        assert below == pytest.approx(q, abs=4e-3 * (q * (1 - q)) ** 0.5)


def test_a_scenario_is_its_problem() -> None:
    problem = replace(PROBLEMS["lost_sales_geometric_p19_L3"], review_period=2)
    made = scenario(problem, 3, 7, seed=1)
    assert made.demand.shape == (7, 3)
    assert made.lead_time.tolist() == [3] * 3
    assert (made.shortage_cost.tolist(), made.holding_cost.tolist()) == ([19.0] * 3, [1.0] * 3)
    assert made.review[:, 0].tolist() == [True, False] * 3 + [True]
    assert not made.backlog
    assert made.scale.unique().tolist() == [25.0]
    assert made.order_multiple == 0.0
    assert scenario(problem, 3, 7, seed=1, round_orders=True).order_multiple == 1.0
    assert torch.equal(made.demand, scenario(problem, 3, 7, seed=1).demand)
    assert not torch.equal(made.demand, scenario(problem, 3, 7, seed=2).demand)
    continuous = PROBLEMS["backlog_normal_b9_L4"]
    assert scenario(continuous, 1, 2, seed=1, round_orders=True).order_multiple == 0.0
    assert scenario(continuous, 1, 2, seed=1).backlog


def test_problems_that_differ_in_costs_and_lead_time_alone_see_the_same_demand() -> None:
    for law in ("poisson", "geometric"):
        one, other = (
            scenario(PROBLEMS[f"lost_sales_{law}_{cell}"], 4, 9, seed=3).demand
            for cell in ("p4_L1", "p39_L4")
        )
        assert torch.equal(one, other)


def test_a_perishable_problem_is_played_for_its_horizon() -> None:
    assert scenario(PROBLEMS["newsvendor_normal"], 5, 1, seed=0).num_days == 1
    with pytest.raises(ScenarioError, match="days = 1") as raised:
        scenario(PROBLEMS["newsvendor_normal"], 5, 2, seed=0)
    assert raised.value.field == "days"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"lead_time": -1}, "lead_time"),
        ({"review_period": 0}, "review_period"),
        ({"shortage_cost": 0.0}, "shortage_cost"),
        ({"holding_cost": float("inf")}, "holding_cost"),
        ({"demand": Poisson(0.0)}, "demand.mean"),
        ({"demand": Normal(5.0, 0.0)}, "demand.std"),
    ],
)
def test_numbers_out_of_range_are_named(change: dict[str, Any], field: str) -> None:
    arguments = {"name": "mine", "demand": Poisson(5.0), "lead_time": 1, "shortage_cost": 9.0}
    with pytest.raises(ScenarioError) as raised:
        ClassicalProblem(**{**arguments, **change})
    assert raised.value.field == field


def test_an_unknown_problem_is_answered_with_the_names() -> None:
    with pytest.raises(ScenarioError, match="lost_sales_poisson_p9_L4") as raised:
        problem_named("lost_sales_poisson_p8_L4")
    assert raised.value.value == "lost_sales_poisson_p8_L4"
