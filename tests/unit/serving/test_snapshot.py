"""The snapshot of a morning is what evaluation saw on it, and says what it does not know."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from pipeline.cli.main import commands
from pipeline.data.panel import Panel
from pipeline.data.parts import PanelSpec
from pipeline.data.schema import QUANTITIES, STATIC_COLUMNS, UNKNOWN
from pipeline.data.writer import PanelWriter
from pipeline.scenarios.dataset import DatasetSource
from pipeline.scenarios.source import Split
from pipeline.serving.snapshot import make_snapshot, matrix

DAYS, AHEAD = 160, 42
"""Of the shorter extract of the 180 days of the generated set; no far forecast ends later."""


@pytest.fixture(scope="module")
def extract(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The generated set as it was after day 160: 42 days of what is known ahead."""
    return shorter(dataset, tmp_path_factory.mktemp("extract") / "data", AHEAD)


def shorter(dataset: Path, out: Path, ahead: int, unknown: str = "") -> Path:
    """The first 160 days of a data set, ``ahead`` days ahead; ``unknown`` is not known on them."""
    panel = Panel(dataset)
    m = panel.manifest
    spec = PanelSpec("short", "test", m.seed, m.first_day, DAYS, m.history_days, m.test_start,
                     tile_rows=m.tile_rows, ahead_days=ahead)  # fmt: skip
    with PanelWriter(out, spec) as writer:
        for tile in panel.tiles():
            raw = panel.read(tile)
            dynamic = {
                name: v[:, : DAYS + ahead * QUANTITIES[name].known_ahead].copy()
                for name, v in raw.dynamic.items()
            }
            if unknown:
                dynamic[unknown][::2, DAYS:] = UNKNOWN
            static = {
                name: raw.static[name]
                for name in STATIC_COLUMNS
                if name not in ("split", "sales_class")
            }
            writer.write(static, dynamic, tile.split)
        writer.finish()
    return out


def figures(path: Path, ids: np.ndarray) -> dict[str, np.ndarray]:
    """scale, basis and features of a snapshot, in the order of ``ids``."""
    table = pq.read_table(path).combine_chunks()
    row = {name: i for i, name in enumerate(table["inventory_id"].to_pylist())}
    order = [row[name] for name in ids]
    columns = {name: matrix(table[name].chunk(0)).numpy()[order] for name in ("basis", "features")}
    return {"scale": table["scale"].to_numpy()[order], **columns}


@pytest.mark.parametrize("data", ["dataset", "extract"])
@pytest.mark.parametrize(
    ("split", "ago"),
    [("validation", 40), ("validation", 1), ("test", 28), ("test", 9), ("test", 1)],
)
def test_a_past_mornings_snapshot_is_what_evaluation_saw(
    request: pytest.FixtureRequest, source: DatasetSource, tmp_path: Path, data: str, split: Split,
    ago: int,
) -> None:  # fmt: skip
    """Bit by bit, also where the horizon ends after the split, or after the data."""
    data_source = DatasetSource(request.getfixturevalue(data), source.factors)
    first, stop = data_source.days(split)
    make_snapshot(data_source, tmp_path / "s.parquet", day=stop - ago)
    for tile in range(data_source.num_tiles(split)):
        raw, scenario = data_source.open(split, tile)
        got = figures(tmp_path / "s.parquet", raw.inventory_id)
        for name, values in got.items():
            seen = getattr(scenario, name)[stop - ago - first].numpy()
            np.testing.assert_array_equal(values, seen, err_msg=name)


def test_the_morning_after_the_data_knows_the_days_ahead(
    source: DatasetSource, extract: Path, tmp_path: Path
) -> None:
    """As the same morning of the longer data set, in all columns."""
    snapshots = []
    for number, data in enumerate((source, DatasetSource(extract, source.factors))):
        made = make_snapshot(data, tmp_path / f"{number}.parquet", day=DAYS)
        snapshots.append(pq.read_table(tmp_path / f"{number}.parquet"))
    one, other = snapshots
    for name in ("scale", "basis", "features", "due", "date", "forecast"):
        assert one[name].equals(other[name]), name
    assert set(other["plan"].to_pylist()) == {"known"}
    assert str(made) == "600 inventories"


def test_a_plan_must_reach_over_the_protection_period(
    dataset: Path, source: DatasetSource, tmp_path: Path
) -> None:
    data = DatasetSource(shorter(dataset, tmp_path / "data", 6), source.factors)
    made = make_snapshot(data, tmp_path / "s.parquet")
    table = pq.read_table(tmp_path / "s.parquet").to_pandas()
    known = table["lead_time"] + table["review_period"] <= 6
    np.testing.assert_array_equal(table["plan"] == "known", known)
    assert sum(made.no_plan.values()) == (~known).sum() > 100 < known.sum()


def test_a_snapshot_says_what_is_not_known(
    dataset: Path, source: DatasetSource, tmp_path: Path
) -> None:
    data = shorter(dataset, tmp_path / "data", AHEAD, unknown="promotion")
    made = make_snapshot(DatasetSource(data, source.factors), tmp_path / "s.parquet")
    table = pq.read_table(tmp_path / "s.parquet").to_pandas()
    assert set(table["plan"]) == {"known", "missing"}
    np.testing.assert_array_equal(table["plan"] == "known", table["plan_missing"] == "")
    marks = table["plan_missing"].value_counts()
    assert made.inventories == 600
    assert set(marks.index) == {"", "promotion"}
    assert made.no_plan == {"promotion": marks["promotion"]}
    assert marks["promotion"] == pytest.approx(300, abs=10)
    assert str(made).endswith(f"missing: {marks['promotion']} promotion")


def test_the_command_counts_inventories_without_a_plan(dataset: Path, tmp_path: Path) -> None:
    """Nothing stops: the data set ends, and nobody said what is planned."""
    data = shorter(dataset, tmp_path / "data", 0)
    arguments = ["data", "snapshot", "--data", str(data), "--out", str(tmp_path / "s.parquet")]
    result = CliRunner().invoke(commands, arguments)
    assert result.exit_code == 0, result.output
    assert "600 inventories\n600 of them have no plan" in result.output
    table = pq.read_table(tmp_path / "s.parquet").to_pandas()
    assert (table["plan"] == "missing").all()
    assert table["plan_missing"].str.startswith("promotion, event").all()
