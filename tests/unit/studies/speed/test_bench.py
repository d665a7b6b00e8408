"""What the benchmark writes down, and what it calls slower."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from pipeline.studies.speed import history, problems, sections, speed
from pipeline.studies.speed.cli import bench
from pipeline.studies.speed.limits import Limits
from pipeline.studies.speed.timing import Work, as_row

LIMITS = Limits(flops=100.0, bandwidth=50.0)


def entry(rate: float, flops: float = 100.0) -> dict[str, Any]:
    row = as_row("dynamics", "a tile", Work(int), [(int(rate * 10), 10.0)], LIMITS)
    return history.entry([row], {}, Limits(flops, 50.0))


def test_a_row_is_the_median_round_and_its_share_of_the_limits() -> None:
    work = Work(int, flops=2.0, bytes_moved=3.0)
    row = as_row("s", "w", work, [(100, 10.0), (100, 20.0), (100, 5.0)], LIMITS)
    assert (row.rate, row.best_rate, row.cpu_s) == (10.0, 20.0, 10.0)
    assert (row.matrix_share, row.memory_share) == (0.2, 0.6)


def test_slower_rows_are_named_and_a_slower_machine_is_not_blamed() -> None:
    before = entry(1000.0)
    assert history.slower([before], entry(700.0)) == [
        "dynamics: a tile is at 70% of its previous rate."
    ]
    assert history.slower([before], entry(900.0)) == []
    assert history.slower([before], entry(700.0, flops=70.0)) == []
    assert history.slower([], entry(1.0)) == []
    elsewhere = {**before, "machine": {"processor": "another"}}
    assert history.slower([elsewhere], entry(700.0)) == []
    # The latest entry that holds the row counts, not the fastest one.
    assert history.slower([before, entry(600.0)], entry(590.0)) == []


def test_the_history_grows_by_a_line_and_survives_a_cut_one(tmp_path: Path) -> None:
    path = tmp_path / "runs" / "history.jsonl"
    history.append(path, entry(1.0))
    with path.open("a") as file:
        file.write('{"cut": ')  # no end of line either
    history.append(path, entry(2.0))
    read = history.read(path)
    assert [e["rows"][0]["rate"] for e in read] == [1.0, 2.0]
    assert {"date", "commit", "machine", "load", "limits"} < set(read[0])


def test_the_command_measures_the_sections_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = as_row("rollout", "a tile", Work(int, flops=1.0), [(100, 10.0)], LIMITS)
    monkeypatch.setattr(speed, "measure_limits", lambda: LIMITS)
    monkeypatch.setitem(speed.RATES, "rollouts", lambda limits, rounds: [row] * rounds)
    path = tmp_path / "history.jsonl"
    asked = ["--section", "rollouts", "--rounds", "2", "--history", str(path)]
    result = CliRunner().invoke(bench, asked)
    assert result.exit_code == 0, result.output
    (written,) = history.read(path)
    assert [r["what"] for r in written["rows"]] == ["a tile", "a tile"]
    assert "10%" in result.output


def test_forward_products_are_counted_once_each() -> None:
    layout = problems.scenario(2, 2).layout
    assert problems.forward_flops(layout) == 2 * (26 * 64 + 64 * 64 + 64)


def test_the_bare_update_is_measured_on_the_learners_rows() -> None:
    assert sections._bare_ddpg(problems.in_tiles(64, 56, 1), 128)() == 128
