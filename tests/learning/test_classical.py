"""The learners get near known optima within seconds; `make bench-classical` says how near."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.scenarios.classical import ClassicalSource
from pipeline.studies.classical.bench import bench_classical, train_and_score
from pipeline.studies.classical.cases import Case, Score, select_cases
from pipeline.training.session import ray_session

PERIODS = 150_000


@pytest.fixture(scope="module", autouse=True)
def ray_here() -> Iterator[None]:
    """One Ray for the module: RLlib's algorithms ask for it."""
    with ray_session(1):
        yield


def case(key: str, iterations: int) -> Case:
    (found,) = select_cases(key)
    return replace(found, iterations=iterations)


@pytest.mark.parametrize(
    ("key", "iterations", "limit_pct"),
    [
        ("backlog_normal_b9_L4-ds-base", 8, 0.5),
        ("backlog_normal_b9_L4-ppo-base", 12, 2.0),
        ("backlog_normal_b9_L4-ddpg-base", 30, 2.0),
        ("setting1-ppo-base", 30, 5.0),
    ],
)
def test_the_learner_gets_near_the_optimum(
    tmp_path: Path, key: str, iterations: int, limit_pct: float
) -> None:
    (score,) = train_and_score(case(key, iterations), 0, PERIODS, tmp_path)
    assert score.gap_pct - 300.0 * score.standard_error / score.optimum <= limit_pct


def test_whole_unit_orders_are_learnt_below_the_best_base_stock(tmp_path: Path) -> None:
    key = "lost_sales_poisson_p9_L4-ds-base"
    (score,) = train_and_score(case(key, 12), 0, PERIODS, tmp_path)
    assert score.cost + 3 * score.standard_error < score.base_stock


def test_a_run_that_was_scored_is_not_trained_again(tmp_path: Path) -> None:
    one = [case("backlog_normal_b9_L4-ds-base", 1)]
    first = bench_classical(one, 1, 2000, tmp_path)
    model = tmp_path / f"{one[0].key}-s0" / "model" / "policy.pt"
    written = model.stat().st_mtime_ns
    again = bench_classical(one, 1, 2000, tmp_path)
    assert model.stat().st_mtime_ns == written
    assert first["gap_pct"].tolist() == again["gap_pct"].tolist()
    assert (tmp_path / "table.md").read_text().count("DS BASE") == 1
    bench_classical(one, 1, 20_000, tmp_path)
    assert model.stat().st_mtime_ns != written


def test_a_tile_holds_every_problem_with_its_own_terms() -> None:
    (found,) = select_cases("lost_sales_poisson_p4_L1-and-15-more-ds-base")
    source = found.source()
    assert isinstance(source, ClassicalSource)
    tile = source.load("train", 0)
    terms = set(zip(tile.lead_time.tolist(), tile.shortage_cost.tolist(), strict=True))
    assert terms == {(p.lead_time, p.shortage_cost) for p in found.problems}
    assert tile.max_lead_time == 4
    assert tile.order_multiple == 1.0
    assert tile.features[0].unique(dim=0).shape[0] == 16


def test_scores_are_gaps_to_the_optimum() -> None:
    assert Score("p", 6.3, 0.0, 6.0, 6.2).gap_pct == pytest.approx(5.0)
