"""Two data sets as one: every inventory plays as it does alone, bit by bit."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import fields
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner

from envs.errors import DataError
from envs.rollout import Decision
from envs.state import Observation, Scenario
from pipeline.algorithms.build import build_config
from pipeline.cli.main import commands
from pipeline.data.check import check
from pipeline.data.importing.common import ImportOptions
from pipeline.data.importing.freshretailnet import (
    FRESH_HISTORY,
    FRESH_TERMS,
    import_freshretailnet,
)
from pipeline.data.panel import Panel
from pipeline.data.playable import validate_inventories
from pipeline.data.pool import origin, pool, pooled
from pipeline.data.synthetic.generate import make
from pipeline.data.terms import SupplyTerms
from pipeline.evaluation.intervals import interval, resample
from pipeline.evaluation.play import play_policy
from pipeline.evaluation.tiles import Candidate, evaluate_policies
from pipeline.features.forecast import ALL, DayFactors
from pipeline.runs.config import RunConfig
from pipeline.scenarios.dataset import DatasetSource
from pipeline.scenarios.source import Split
from pipeline.serving.snapshot import make_snapshot
from tests.unit.data.fresh_tables import table, world, write

SPLITS: tuple[Split, ...] = ("train", "validation", "test")
SETS = ("shop", "fresh")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``shop``, ``fresh`` and their ``pool``; they differ in all that sets may differ in."""
    folder = tmp_path_factory.mktemp("pool")
    make(
        90, 150, 5, folder / "shop", tile_rows=40, first_day=date(2015, 3, 3), test_start=100,
        terms=SupplyTerms(max_lead_time=5, lead_time_jitter=1, fill_min=0.8),
    )  # fmt: skip
    options = ImportOptions(seed=8, terms=FRESH_TERMS, history_days=FRESH_HISTORY, tile_rows=64)
    import_freshretailnet(
        write(folder / "source", table(world(120, seed=4))), folder / "fresh", options
    )
    pool([folder / "shop", folder / "fresh"], folder / "pool")
    return folder


@pytest.fixture(scope="module")
def whole(folder: Path) -> DatasetSource:
    return DatasetSource(folder / "pool")


@pytest.fixture(scope="module")
def parts(folder: Path, whole: DatasetSource) -> dict[str, DatasetSource]:
    """The sets by themselves, with the forecaster of the pool and its longest lead time."""
    found = {}
    for name in SETS:
        found[name] = DatasetSource(folder / name, _factors_of(whole.factors, name))
        found[name].max_lead_time = whole.max_lead_time
    return found


def _factors_of(factors: DayFactors, name: str) -> DayFactors:
    def own(by_category: dict[str, object]) -> dict[str, object]:
        prefix = pooled(name, "")
        return {c.removeprefix(prefix): v for c, v in by_category.items()
                if c == ALL or origin(c) == name}  # fmt: skip

    return DayFactors(*(own(getattr(factors, f.name)) for f in fields(factors)))  # type: ignore[arg-type]


def tiles(whole: DatasetSource, parts: dict[str, DatasetSource], split: Split) -> Iterator[
    tuple[tuple[list[str], Scenario], tuple[list[str], Scenario]]
]:  # fmt: skip
    alone = (own.open(split, t) for own in parts.values() for t in range(own.num_tiles(split)))
    for number, (raw, scenario) in enumerate(alone):
        together, played = whole.open(split, number)
        yield (list(raw.inventory_id), scenario), (list(together.inventory_id), played)


@pytest.mark.parametrize("split", SPLITS)
def test_a_tile_is_what_it_is_in_its_own_set(
    whole: DatasetSource, parts: dict[str, DatasetSource], split: Split
) -> None:
    assert whole.num_tiles(split) == sum(own.num_tiles(split) for own in parts.values())
    seen = set()
    for (ids, alone), (names, together) in tiles(whole, parts, split):
        assert ids == names
        for field in fields(Scenario):
            one, other = getattr(alone, field.name), getattr(together, field.name)
            if isinstance(one, torch.Tensor):
                assert torch.equal(torch.nan_to_num(one, -1.0), torch.nan_to_num(other, -1.0)), (
                    field.name
                )
            else:
                assert one == other, field.name
        seen.add((together.num_days, together.order_multiple))
    assert len(seen) == 2  # whole units and others, on as many days as each set has


def test_only_the_category_of_an_inventory_changes(folder: Path, whole: DatasetSource) -> None:
    kept = whole.panel.read_inventories().to_pandas()
    alone = pd.concat([Panel(folder / n).read_inventories().to_pandas().assign(of=n) for n in SETS])
    names = [pooled(*pair) for pair in zip(alone.pop("of"), alone.pop("category"), strict=True)]
    assert list(kept.pop("category")) == names
    assert set(kept.pop("order_multiple")) == {0.0, 1.0}
    assert (kept.pop("order_min") == 0).all() if "order_min" in kept else True
    pd.testing.assert_frame_equal(kept, alone.reset_index(drop=True))


def test_the_forecaster_knows_the_categories_of_every_set(whole: DatasetSource) -> None:
    assert {origin(c) for c in whole.factors.rates if c != ALL} == set(SETS)


def half(observation: Observation) -> Decision:
    return Decision(1.3 * observation.scale - observation.stock.sum(-1))


def test_an_inventory_is_evaluated_as_in_its_own_set(
    whole: DatasetSource, parts: dict[str, DatasetSource], tmp_path: Path
) -> None:
    def rows(source: DatasetSource, name: str) -> pd.DataFrame:
        path = tmp_path / name / "half.parquet"
        evaluate_policies(source, "test", {path: Candidate(play_policy(half), "half")})
        return pd.read_parquet(path)

    together = rows(whole, "pool")
    alone = pd.concat([rows(own, name) for name, own in parts.items()], ignore_index=True)
    same = [c for c in together if not c.startswith("block_") and c != "category"]
    pd.testing.assert_frame_equal(together[same], alone[same])
    blocks = {len(row) for row in together["block_stock"]}
    assert blocks == {whole.num_days("test")[1] // 7}
    for one, other in zip(together["block_stock"], alone["block_stock"], strict=True):
        np.testing.assert_array_equal(one[: len(other)], other)
        assert not one[len(other) :].any()
    sample = resample({"half": [tmp_path / "pool" / "half.parquet"]}, 0)["half"]
    found = interval(sample, "cost")
    assert found.value == pytest.approx(float(together["cost"].mean()), rel=1e-6)
    assert found.low < found.value < found.high


def test_a_pool_is_checked_and_can_be_trained_on(folder: Path, whole: DatasetSource) -> None:
    validate_inventories(whole.panel)
    said = check(folder / "pool")
    assert "of shop, 90 inventories:" in said
    assert "of fresh, 120 inventories:" in said
    assert "2015-03-03" in said
    assert "2024-03-28" in said
    run = RunConfig(algorithm="ds", action_model="base", training={"fragment_days": 56})
    fresh = Panel(folder / "fresh").manifest
    assert build_config(run, whole).fragment_days == len(fresh.train_days) < 56
    with pytest.raises(DataError, match="no morning in common"):
        make_snapshot(whole, folder / "day.parquet")


def test_a_manifest_without_spans_is_what_it_was(folder: Path) -> None:
    assert "spans" not in (folder / "shop" / "manifest.json").read_text()
    assert Panel(folder / "pool").manifest == Panel(folder / "pool").manifest.read(folder / "pool")


def test_sets_that_do_not_go_together_are_refused(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "pool"
    make(90, 150, 5, tmp_path / "owed", sku_prefix="O", test_start=100, backlog=True)
    make(30, 120, 6, tmp_path / "again")
    make(30, 120, 6, tmp_path / "none", sku_prefix="N", validation_share=0.0)
    shutil.copytree(folder / "shop", tmp_path / "copy")
    for wrong, words in (
        ([folder / "shop"], "too few"),
        ([folder / "shop", folder / "pool"], "is a pool"),
        ([folder / "shop", tmp_path / "owed"], "backlog"),
        ([folder / "shop", tmp_path / "again"], "in several"),
        ([folder / "shop", tmp_path / "none"], "no inventory for validation"),
        ([folder / "shop", tmp_path / "copy"], "another --name"),
    ):
        with pytest.raises(DataError, match=words):
            pool(wrong, out)
        assert not out.exists()
    with pytest.raises(DataError, match="exists already"):
        pool([folder / "shop", folder / "fresh"], folder / "pool")


def test_the_command(folder: Path, tmp_path: Path) -> None:
    sets = [str(folder / name) for name in SETS]
    done = CliRunner().invoke(commands, ["data", "pool", *sets, "--out", str(tmp_path / "both")])
    assert done.exit_code == 0, done.output
    assert "210 inventories" in done.output
    manifest = Panel(tmp_path / "both").manifest
    assert manifest.name == "both"
    assert [span.name for span in manifest.spans] == list(SETS)
