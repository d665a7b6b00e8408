"""The FreshRetailNet import: a small folder whose true demand is known, and the real one."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from envs.errors import DataError
from pipeline.cli.main import commands
from pipeline.data.check import check
from pipeline.data.importing.common import ImportOptions
from pipeline.data.importing.freshretailnet import (
    FRESH_HISTORY,
    FRESH_TERMS,
    check_freshretailnet,
    import_freshretailnet,
)
from pipeline.data.panel import Panel
from pipeline.data.stockouts.days import HOURS
from tests.unit.data.fresh_tables import DAYS, World, table, world, write

OPTIONS = ImportOptions(terms=FRESH_TERMS, history_days=FRESH_HISTORY, tile_rows=64)
DRAWN = ("demand", "known", "imputed")
LATER = slice(20, None)


@pytest.fixture(scope="module")
def given() -> World:
    return world(160, seed=4)


@pytest.fixture(scope="module")
def frame(given: World) -> pd.DataFrame:
    return table(given)


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory, frame: pd.DataFrame) -> Path:
    """The set of the folder as it is; read-only."""
    folder = tmp_path_factory.mktemp("fresh")
    import_freshretailnet(write(folder / "source", frame), folder / "set", OPTIONS)
    return folder / "set"


def series(directory: Path) -> dict[str, dict[str, Any]]:
    """Inventory id -> quantity -> [T]."""
    panel = Panel(directory)
    return {
        name: {quantity: values[i] for quantity, values in raw.dynamic.items()}
        for tile in panel.tiles()
        for raw in [panel.read(tile)]
        for i, name in enumerate(raw.inventory_id)
    }


def stacked(directory: Path, given: World) -> dict[str, Any]:
    """Quantity -> [N, T], in the order of the world."""
    rows = series(directory)
    ids = [f"{100 + i // 10}@{i % 10}" for i in range(len(given.sales))]
    return {q: np.stack([rows[name][q] for name in ids]) for q in rows[ids[0]]}


def imported_again(frame: pd.DataFrame, folder: Path, **options: Any) -> Path:
    draw = options.pop("draw", 1)
    import_freshretailnet(
        write(folder / "source", frame), folder / "set", replace(OPTIONS, **options), draw
    )
    return folder / "set"


def test_which_days_are_observed(given: World, imported: Path) -> None:
    found = stacked(imported, given)
    expected = np.where(given.first == HOURS, 0, np.where(given.first == 0, 2, 1))
    assert np.array_equal(found["imputed"], expected)
    assert np.array_equal(found["known"], expected == 0)
    whole = expected == 0
    np.testing.assert_allclose(found["demand"][whole], given.sales[whole], atol=1e-6)
    assert (found["demand"] >= given.sales - 1e-6).all()


def test_demand_behind_stockouts_is_that_of_the_world(given: World, imported: Path) -> None:
    demand = stacked(imported, given)["demand"][:, LATER]
    for days in (given.cut[:, LATER], given.first[:, LATER] == 0):
        assert demand[days].mean() == pytest.approx(given.demand[:, LATER][days].mean(), rel=0.1)
    # A mean would hide the spread of days that safety stock is for.
    part = given.cut[:, LATER]
    rate, real = given.rate[:, LATER][part], given.demand[:, LATER][part]
    assert np.var(demand[part] / rate) == pytest.approx(np.var(real / rate), rel=0.2)


def test_manifest_and_check_say_what_was_imputed(given: World, imported: Path) -> None:
    manifest = Panel(imported).manifest
    share = (given.first < HOURS).mean()
    assert f"{share:.2%} of the days are imputed" in manifest.source
    assert "draw 1; mean demand a day" in manifest.source
    assert "weather left out" in manifest.source
    assert manifest.quantities["imputed"].known_ahead is False
    assert (manifest.num_days, manifest.test_start, manifest.order_multiple) == (DAYS, 54, 0.0)
    said = check(imported)
    assert f"imputed         {share:.2%} of the days on sale" in said
    assert f"not known       {share:.2%}" in said


def test_terms_of_fresh_food(imported: Path) -> None:
    columns = Panel(imported).read_inventories().to_pandas()
    assert set(columns.lead_time) == {1, 2, 3}
    assert set(columns.review_period) == {1, 2}
    ratio = columns.shortage_cost / columns.holding_cost
    assert 4 <= ratio.min() < ratio.max() <= 20
    assert set(columns.category) == {"0", "1"}


def test_draws_differ_in_imputed_demand_alone(
    given: World, frame: pd.DataFrame, imported: Path, tmp_path: Path
) -> None:
    for draw in (1, 2):
        (tmp_path / str(draw)).mkdir()
    one = stacked(imported, given)
    again = stacked(imported_again(frame, tmp_path / "1"), given)
    other = stacked(imported_again(frame, tmp_path / "2", draw=2), given)
    for name, values in one.items():
        assert np.array_equal(values, again[name]), name
        if name != "demand":
            assert np.array_equal(values, other[name]), name
    whole = given.first == HOURS
    assert np.array_equal(one["demand"][whole], other["demand"][whole])
    assert (one["demand"] != other["demand"])[~whole].mean() > 0.5


def test_one_more_series_redraws_nobody(
    frame: pd.DataFrame, imported: Path, tmp_path: Path
) -> None:
    without = imported_again(frame[frame.product_id != 107], tmp_path)
    few, all_of = series(without), series(imported)
    assert len(few) == len(all_of) - 10
    same = [np.isclose(few[name]["demand"], all_of[name]["demand"]).mean() for name in few]
    # The law's constants move a little with the series that they are fitted on; draws do not.
    assert np.mean(same) > 0.95


def test_later_stockouts_change_no_earlier_day(
    given: World, frame: pd.DataFrame, imported: Path, tmp_path: Path
) -> None:
    """Test days change nothing before them, and not the law that other test days are drawn by."""
    day = 60
    changed = frame.copy()
    later = np.tile(np.arange(DAYS) >= day, len(given.sales))
    for name in ("sale_amount", "stockout_hours_mask"):
        values = changed[name].to_numpy().copy()
        values[later] = values[later][::-1]
        changed[name] = values
    before, after = stacked(imported, given), stacked(imported_again(changed, tmp_path), given)
    for name in DRAWN:
        assert np.array_equal(before[name][:, :day], after[name][:, :day]), name
        assert not np.array_equal(before[name][:, day:], after[name][:, day:]), name


def test_bad_rows_are_quarantined_and_not_imputed(frame: pd.DataFrame, tmp_path: Path) -> None:
    damaged = frame.astype({"sale_amount": float})
    damaged.loc[3, "sale_amount"] = -1.0
    damaged.loc[4, "sale_amount"] = np.nan
    out = imported_again(damaged.drop(index=[7]), tmp_path)
    found = series(out)["100@0"]
    for t in (3, 4, 7):
        assert [int(found[name][t]) for name in DRAWN] == [0, 0, 0], t
    rows = pq.read_table(f"{out}.quarantine.parquet").to_pandas()
    assert rows.rule.tolist() == ["missing_demand", "negative_demand", "gap"]
    assert rows.date.tolist() == ["2024-04-01", "2024-03-31", "2024-04-04"]
    assert rows.row.tolist()[:2] == [5, 4]


def test_prices_and_flags(frame: pd.DataFrame, tmp_path: Path) -> None:
    told = frame.copy()
    # A mean over customers on day 1, a day without a sale on day 2.
    told.loc[:3, "discount"] = [0.9, 0.913, 0.0, 0.8]
    told.loc[:3, "activity_flag"] = [1, 1, 0, 1]
    found = series(imported_again(told, tmp_path))["100@0"]
    np.testing.assert_allclose(found["price"][:5], [0.9, 0.9, 0.9, 0.8, 1.0], atol=1e-6)
    assert found["promotion"][:5].tolist() == [1, 1, 0, 1, 0]
    assert np.flatnonzero(found["event"])[:3].tolist() == [2, 3, 9]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda f: f.drop(columns="stockout_hours_mask"), "stockout_hours_mask is missing"),
        (lambda f: pd.concat([f, f.iloc[[9]]]), "is there twice"),
        (lambda f: f.assign(first_category_id=np.arange(len(f)) % 2), "changes"),
        (lambda f: f.iloc[:0], "are none"),
        (lambda f: f.assign(sale_amount=-1.0), "beyond the accepted share"),
    ],
)
def test_refused_tables(frame: pd.DataFrame, tmp_path: Path, change: Any, words: str) -> None:
    with pytest.raises(DataError) as error:
        imported_again(change(frame), tmp_path)
    assert words in " ".join(str(error.value).split())
    assert not (tmp_path / "set").exists()


def test_refused_arguments(tmp_path: Path, imported: Path) -> None:
    with pytest.raises(DataError, match=r"train_daily\.parquet.*is missing"):
        import_freshretailnet(tmp_path, tmp_path / "set", OPTIONS)
    with pytest.raises(DataError, match="draw"):
        import_freshretailnet(tmp_path, tmp_path / "set", OPTIONS, draw=0)


def test_commands(frame: pd.DataFrame, tmp_path: Path) -> None:
    source, out = write(tmp_path / "source", frame), tmp_path / "set"
    run = CliRunner().invoke
    importing = ["data", "import", "freshretailnet", str(source), "--out", str(out)]
    given = run(commands, [*importing, "--draw", "2"])
    assert given.exit_code == 0, given.output
    manifest = Panel(out).manifest
    assert manifest.history_days == FRESH_HISTORY
    assert FRESH_TERMS.describe() in manifest.source
    assert "draw 2;" in manifest.source
    checked = run(
        commands, ["data", "imputation-check", str(source), "--out", str(tmp_path / "f.json")]
    )
    assert checked.exit_code == 0, checked.output
    assert "hours without stock" in checked.output
    assert '"coverage"' in (tmp_path / "f.json").read_text()


def test_the_real_set_on_days_that_are_cut_short() -> None:
    folder = Path(os.environ.get("DEEPSTOCK_SHARED", "../shared")) / "data" / "freshretailnet50k"
    if not folder.is_dir():
        pytest.skip(f"FreshRetailNet-50K is not in {folder}: set DEEPSTOCK_SHARED")
    report = check_freshretailnet(folder, every=60)
    assert report.all.ratio < 0.5
    assert 0.75 < report.all.coverage < 0.85
