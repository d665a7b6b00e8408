"""Tiles of a data set: which days, what is known on them, and with which stock they start."""

from __future__ import annotations

import pickle
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest
import torch

from envs.errors import DataError
from envs.problems.settings import study_setting1
from envs.rollout import Decision
from pipeline.data.draws import Draws
from pipeline.data.panel import RawTile
from pipeline.data.parts import PanelSpec
from pipeline.data.schema import QUANTITIES
from pipeline.data.synthetic.generate import make
from pipeline.data.synthetic.parameters import RetailParameters
from pipeline.data.synthetic.retail import Market
from pipeline.data.terms import SupplyTerms
from pipeline.data.writer import PanelWriter
from pipeline.evaluation.play import summarize_source
from pipeline.features.build import BASIS, FEATURES
from pipeline.features.forecast import DayFactors
from pipeline.scenarios.dataset import NO_PLAN_DAYS, NO_PLAN_SHARE, DatasetSource, draw_no_plan
from pipeline.scenarios.given import GivenScenarios
from pipeline.scenarios.start import evaluation_start, training_start
from pipeline.tools.seeding import derive_seed


def perturbed(raw: RawTile, day: int) -> RawTile:
    """The same tile with another demand from ``day`` on."""
    demand = raw.dynamic["demand"].copy()
    demand[:, day:] = (3 * demand[:, day:] + 5) * raw.dynamic["on_sale"][:, day:180]
    return RawTile(raw.inventory_id, raw.static, {**raw.dynamic, "demand": demand})


def test_splits_are_other_inventories_and_other_days(source: DatasetSource) -> None:
    assert source.days("train") == source.days("validation") == (56, 130)
    assert source.days("test") == (130, 180)
    ids: dict[str, list[str]] = {"train": [], "validation": [], "test": []}
    for split, found in ids.items():
        for tile in range(source.num_tiles(split)):  # type: ignore[arg-type]
            found += list(source.open(split, tile)[0].inventory_id)  # type: ignore[arg-type]
    assert len(ids["train"]) == 540
    assert len(ids["validation"]) == 60
    assert set(ids["train"]).isdisjoint(ids["validation"])
    assert sorted(ids["test"]) == sorted(ids["train"] + ids["validation"])


def test_a_scenario_is_the_panels_window(source: DatasetSource) -> None:
    raw, scenario = source.open("test", 2)
    scenario.validate()
    np.testing.assert_array_equal(scenario.demand.T, raw.dynamic["demand"][:, 130:180])
    observed = (raw.dynamic["on_sale"][:, 130:180] > 0) & (raw.dynamic["known"][:, 130:180] > 0)
    np.testing.assert_array_equal(scenario.counted.T, observed)
    offset, period = raw.static["review_offset"], raw.static["review_period"]
    for day in range(50):
        today = source.panel.manifest.day(130 + day)
        expected = (today.toordinal() - offset.astype(int)) % period == 0
        np.testing.assert_array_equal(scenario.review[day], expected)
    assert source.layout == scenario.layout
    assert (source.layout.basis, source.layout.features) == (len(BASIS), len(FEATURES))


@pytest.mark.parametrize(("split", "day"), [("train", 100), ("test", 150)])
def test_what_happens_from_a_day_on_is_unknown_until_then(
    source: DatasetSource, split: str, day: int
) -> None:
    raw, scenario = source.open(split, 0)  # type: ignore[arg-type]
    other = source._build(split, perturbed(raw, day))  # type: ignore[arg-type]
    known = day - source.days(split)[0] + 1  # type: ignore[arg-type]
    for name in ("scale", "basis", "features"):
        one, two = getattr(scenario, name), getattr(other, name)
        assert torch.equal(one[:known], two[:known]), name
        assert not torch.equal(one[known:], two[known:]), name


def test_training_knows_of_the_test_days_what_is_known_ahead(source: DatasetSource) -> None:
    raw, scenario = source.open("train", 0)
    dynamic = {
        name: values
        if QUANTITIES[name].known_ahead
        else np.concatenate((values[:, :130], 1 - values[:, 130:]), axis=1)
        for name, values in raw.dynamic.items()
    }
    other = source._build("train", RawTile(raw.inventory_id, raw.static, dynamic))
    for name in ("demand", "scale", "basis", "features", "counted"):
        assert torch.equal(getattr(scenario, name), getattr(other, name)), name


def test_training_sees_mornings_without_a_plan(dataset: Path, source: DatasetSource) -> None:
    """Blocks of days, the same ones whenever a tile is loaded; in evaluation none, or all."""
    known = FEATURES.index("plan_known")
    start, stop = source.days("train")
    longest = int((source.load("train", 1).lead_time + source.load("train", 1).review_period).max())
    seen = source.load("train", 1).features[: stop - start - longest, :, known]
    assert set(seen.unique().tolist()) == {0.0, 1.0}
    share = (seen == 0).float().mean().item()
    assert share == pytest.approx(NO_PLAN_SHARE, abs=0.05)
    changes = (seen[1:] != seen[:-1]).float().sum(0)
    assert changes.max() <= 2 * (seen.shape[0] / NO_PLAN_DAYS + 1)
    again = DatasetSource(dataset, source.factors).load("train", 1)
    for name in ("scale", "basis", "features"):
        assert torch.equal(getattr(again, name), getattr(source.load("train", 1), name)), name
    assert (source.load("validation", 0).features[..., known] == 1).all()
    missing = DatasetSource(dataset, source.factors, plan="missing")
    arrived: DatasetSource = pickle.loads(pickle.dumps(missing))
    for split in ("train", "validation", "test"):
        scenario = arrived.load(split, 0)  # type: ignore[arg-type]
        assert not scenario.features[..., known].any()
        assert torch.equal(scenario.scale, source.load(split, 0).scale)  # type: ignore[arg-type]


def test_mornings_without_a_plan_come_in_blocks() -> None:
    ids, dates = [f"{i}@W" for i in range(500)], 738_000 + np.arange(160)
    drawn = draw_no_plan(Draws(1, ids), dates)
    # Neither the extract's days nor who else is in it changes an inventory's mornings.
    assert np.array_equal(drawn[3:, 40:], draw_no_plan(Draws(1, ids[3:]), dates[40:]))
    assert not np.array_equal(drawn, draw_no_plan(Draws(2, ids), dates))
    assert drawn.mean() == pytest.approx(NO_PLAN_SHARE, abs=0.02)
    for row in drawn[:50]:
        lengths = np.diff(np.flatnonzero(np.diff(row.astype(int)) != 0))
        assert (lengths % NO_PLAN_DAYS == 0).all()


def test_the_forecaster_is_fitted_on_training_days(source: DatasetSource) -> None:
    history = source._history(source.panel.read(source.panel.tiles("train")[0]), 130)
    assert history.demand.shape == (128, 130)
    assert len(source.factors.coefficients) >= 1
    assert all(np.isfinite(c).all() for c in source.factors.coefficients.values())


@pytest.mark.filterwarnings("error")
def test_a_single_inventory_is_a_data_set(tmp_path: Path) -> None:
    make(1, 120, 3, tmp_path / "one")
    source = DatasetSource(tmp_path / "one")
    for split in ("train", "validation", "test"):
        scenario = source.load(split, 0).validate()  # type: ignore[arg-type]
        assert scenario.num_inventories == 1
        assert torch.isfinite(scenario.features).all()


def test_the_last_tiles_stay_in_memory(dataset: Path, source: DatasetSource) -> None:
    small = DatasetSource(dataset, source.factors, resident_tiles=2)
    first = small.load("train", 0)
    assert small.load("train", 0) is first
    small.load("train", 1)
    assert small.load("train", 0) is first
    small.load("train", 2)  # drops tile 1, the one not used for longest
    assert small.load("train", 0) is first
    small.load("train", 3)
    small.load("train", 4)
    again = small.load("train", 0)
    assert again is not first
    assert torch.equal(again.features, first.features)


def test_a_source_is_cheap_to_send_and_the_same_on_arrival(source: DatasetSource) -> None:
    source.load("train", 0)
    sent = pickle.dumps(source)
    assert len(sent) < 100_000
    arrived: DatasetSource = pickle.loads(sent)
    assert arrived.factors == source.factors
    one, two = source.load("validation", 0), arrived.load("validation", 0)
    assert torch.equal(one.features, two.features)


def test_a_models_longest_lead_time_travels_with_the_source(dataset: Path) -> None:
    """Workers must make observations as wide as the model's."""
    source = DatasetSource(dataset)
    source.max_lead_time += 3
    arrived: DatasetSource = pickle.loads(pickle.dumps(source))
    assert arrived.layout == source.layout
    assert arrived.load("validation", 0).layout == source.layout


def test_random_lead_times_and_fills_are_the_same_for_everyone(
    tmp_path: Path, source: DatasetSource
) -> None:
    make(
        200, 180, 3, tmp_path / "random", tile_rows=64,
        terms=SupplyTerms(lead_time_jitter=2, fill_min=0.6),
    )  # fmt: skip
    one, two = (DatasetSource(tmp_path / "random", source.factors) for _ in range(2))
    scenario, same, next_tile = one.load("test", 0), two.load("test", 0), one.load("test", 1)
    scenario.validate()
    assert scenario.order_lead_time is not None
    assert scenario.fill is not None
    assert same.order_lead_time is not None
    assert same.fill is not None
    assert torch.equal(scenario.order_lead_time, same.order_lead_time)
    assert torch.equal(scenario.fill, same.fill)
    assert next_tile.fill is not None
    assert not torch.equal(scenario.fill, next_tile.fill)
    # Whoever else is in the tile.
    raw, rows = one.open("test", 0)[0], slice(5, 40)
    fewer = one._build(
        "test",
        RawTile(
            raw.inventory_id[rows],
            {name: values[rows] for name, values in raw.static.items()},
            {name: values[rows] for name, values in raw.dynamic.items()},
        ),
    )
    for name in ("order_lead_time", "fill"):
        assert torch.equal(getattr(fewer, name), getattr(scenario, name)[:, rows]), name
    difference = scenario.order_lead_time - scenario.lead_time
    assert set(difference.unique().tolist()) == {-2, -1, 0, 1, 2}
    assert scenario.fill.min() >= 0.6
    assert scenario.fill.mean().item() == pytest.approx(0.8, abs=0.02)
    assert (
        one.max_lead_time == int(one.panel.read_inventories(["lead_time"])[0].to_numpy().max()) + 2
    )


def test_without_validation_inventories_those_of_training_are_validated_on(tmp_path: Path) -> None:
    make(50, 180, 3, tmp_path / "few", tile_rows=32, validation_share=0.0)
    source = DatasetSource(tmp_path / "few", DayFactors({"*": [0.0] * 11}, {"*": 1.0}))
    assert source.num_tiles("validation") == source.num_tiles("train") == 2
    assert torch.equal(source.load("validation", 1).demand, source.load("train", 1).demand)


def test_a_data_set_without_training_inventories_is_refused(tmp_path: Path) -> None:
    market = Market(
        3, 50, 180, date(2024, 1, 1), 0, 60, RetailParameters(), SupplyTerms()
    )  # fmt: skip
    with PanelWriter(
        tmp_path / "few", PanelSpec("few", "a test", 3, date(2024, 1, 1), 180, 56, 130)
    ) as writer:
        writer.write(*market.tile(0, 0, 50), "validation")
        writer.finish()
    with pytest.raises(DataError, match="train has no inventories"):
        DatasetSource(tmp_path / "few", DayFactors({"*": [0.0] * 11}, {"*": 1.0}))


def test_everyone_is_evaluated_from_one_scale_on_hand(source: DatasetSource) -> None:
    scenario = replace(source.load("test", 1), order_multiple=0.0)
    start = evaluation_start(scenario)
    assert torch.equal(start.on_hand, scenario.scale[0])
    assert not torch.stack(start.pipeline).any()


@pytest.mark.parametrize("multiple", [1.0, 24.0])
def test_stock_starts_in_whole_units_where_orders_are(
    source: DatasetSource, multiple: float
) -> None:
    """A third of a unit would be in stock for ever: nobody can buy it."""
    scenario = replace(source.load("train", 0), order_multiple=multiple)
    start = evaluation_start(scenario)
    assert torch.equal(start.on_hand, start.on_hand.round())
    assert float((start.on_hand - scenario.scale[0]).abs().max()) <= 0.5
    drawn = training_start(scenario, torch.Generator().manual_seed(5)).stack()
    assert torch.equal(drawn, drawn.round())
    assert (drawn >= 0).all()
    assert (drawn > 0).any(0).sum() > 1


def test_training_starts_cover_positions_of_zero_to_two_scales(source: DatasetSource) -> None:
    scenario = replace(source.load("train", 0), order_multiple=0.0)
    lead, scale = scenario.lead_time, scenario.scale[0]
    generator = torch.Generator().manual_seed(5)
    starts = [training_start(scenario, generator) for _ in range(60)]
    shares = torch.stack([start.position() / scale for start in starts])
    assert shares.min() < 0.05
    assert shares.max() > 1.95
    assert shares.mean().item() == pytest.approx(1.0, abs=0.05)
    arriving = torch.stack([torch.stack(start.pipeline) for start in starts])
    assert (arriving >= 0).all()
    assert all((start.on_hand >= 0).all() for start in starts)
    for days_ahead in range(1, scenario.max_lead_time + 1):
        # At most what was ordered before this morning: due in 1..L-1 days.
        due = arriving[:, days_ahead - 1].any(0)
        assert not due[lead <= days_ahead].any()
        if (lead > days_ahead).any():
            assert due[lead > days_ahead].float().mean() > 0.9
    again = training_start(scenario, torch.Generator().manual_seed(5))
    assert torch.equal(again.stack(), starts[0].stack())


def test_scenarios_held_in_memory_start_empty() -> None:
    train, validation = study_setting1(10, seed=1), study_setting1(4, seed=2)
    source = GivenScenarios({"train": [train], "validation": [validation, validation]})
    assert source.layout == train.layout
    assert (source.num_tiles("train"), source.num_tiles("validation")) == (1, 2)
    assert source.load("validation", 1) is validation
    assert not source.evaluation_start(validation).stack().any()
    # Ordering nothing, all demand is owed: the cost of a day is b times what is owed by then.
    summary, steps, inventories = summarize_source(
        source, "validation", lambda o: Decision(torch.zeros_like(o.scale))
    )
    owed = validation.demand.cumsum(0)[3:]
    assert summary["cost"] == pytest.approx(0.9 * owed.mean().item(), rel=1e-5)
    assert (steps, inventories) == (2 * 31 * 4, 8)


def test_seeds_follow_from_what_is_done() -> None:
    assert derive_seed("fragment", 1, 23) == derive_seed("fragment", 1, 23)
    assert derive_seed(1, 23) != derive_seed(12, 3)
    assert derive_seed("a", 1) == 1972781138  # the same on every machine and in every process
    seeds = {derive_seed(worker, iteration) for worker in range(50) for iteration in range(50)}
    assert len(seeds) == 2500
    assert all(0 <= seed < 2**31 for seed in seeds)
