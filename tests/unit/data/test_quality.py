"""The quarantine and the rule for absurd values."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from envs.errors import DataError
from pipeline.data.quality import RULES, Quarantine, absurd


def add(quarantine: Quarantine, rule: str, count: int) -> None:
    quarantine.add(
        rule,
        rows=list(range(1, count + 1)),
        sku=["s"] * count,
        warehouse=["w"] * count,
        date=["2024-01-01"] * count,
        values=[{"demand": -1.0}] * count,
    )


def test_absurd_values() -> None:
    demand = np.array(
        [
            [1, 2, 0, 0, 2001, np.nan],
            [1, 2, 0, 0, 1999, 0],
            [0, 0, 0, 0, 0, 0],
            [5e4, 5e4, 5e4, 2e7, 5e4, np.nan],
            [np.nan] * 6,
            [1, 1, 1, 1, 1000, 1001],
        ]
    )
    flags = absurd(demand)
    # Row 0: the median of 1, 2, 2001 is 2.
    assert np.argwhere(flags).tolist() == [[0, 4], [3, 3], [5, 5]]


def test_rows_are_written_with_rule_reason_and_values(tmp_path: Path) -> None:
    with Quarantine(tmp_path / "set") as quarantine:
        add(quarantine, "negative_demand", 2)
        add(quarantine, "bad_date", 1)
    rows = pq.read_table(tmp_path / "set.quarantine.parquet").to_pylist()
    assert [r["rule"] for r in rows] == ["negative_demand"] * 2 + ["bad_date"]
    assert rows[1]["row"] == 2
    assert rows[1]["reason"] == RULES["negative_demand"]
    assert json.loads(rows[1]["values"]) == {"demand": -1.0}
    assert quarantine.counts == {"negative_demand": 2, "bad_date": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["set.quarantine.parquet"]


def test_the_file_stays_when_the_import_stops(tmp_path: Path) -> None:
    def stop() -> None:
        with Quarantine(tmp_path / "set") as quarantine:
            add(quarantine, "bad_date", 3)
            quarantine.stop_if_beyond(0.03, 100)
            add(quarantine, "missing_demand", 1)
            quarantine.stop_if_beyond(0.03, 100)

    with pytest.raises(DataError, match=r"4\.00%.*bad_date 3, missing_demand 1") as error:
        stop()
    assert "set.quarantine.parquet" in error.value.remedy
    assert pq.read_metadata(tmp_path / "set.quarantine.parquet").num_rows == 4


def test_no_bad_row_no_file(tmp_path: Path) -> None:
    old = tmp_path / "set.quarantine.parquet"
    old.write_text("from an earlier import")
    with Quarantine(tmp_path / "set") as quarantine:
        add(quarantine, "bad_date", 0)
        quarantine.stop_if_beyond(0.0, 100)
    assert not old.exists()
    assert "passed" in quarantine.describe(100)
