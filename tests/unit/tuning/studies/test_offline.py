"""What the pieces of the offline study train."""

from __future__ import annotations

import pytest

from envs.errors import ConfigError
from pipeline.algorithms.build import build_config
from pipeline.runs.method import TrialKey
from pipeline.scenarios.dataset import DatasetSource
from pipeline.studies.offline.pieces import BUDGETS, FACTORS, MAIN, PIECES, find_piece
from tuning.preset import Preset, load_preset
from tuning.studies.offline import SMOKE, presets_of


@pytest.mark.parametrize("preset", ["offline", SMOKE])
@pytest.mark.parametrize("name", PIECES)
def test_every_part_has_a_preset(name: str, preset: str) -> None:
    for part, found in presets_of(find_piece(name), preset).items():
        assert len(found.first_round()) == found.configurations * len(found.trained_methods)
        assert found.name == f"{preset}-{part}"
        assert found.configurations <= (2 if preset == SMOKE else 10)


@pytest.mark.parametrize("name", PIECES)
def test_every_configuration_can_be_trained(source: DatasetSource, name: str) -> None:
    """A search that a part's objective refuses would end the piece at its start."""
    for found in presets_of(find_piece(name)).values():
        trials = {TrialKey.parse(key): run for key, run in found.first_round().items()}
        # Action models share their configurations.
        drawn = {(key.method.algorithm, key.configuration): run for key, run in trials.items()}
        assert len(drawn) >= found.configurations
        for run in drawn.values():
            build_config(run, source)


def test_credits_differ_in_what_they_search_and_nothing_else() -> None:
    governed, terminal = presets_of(PIECES["credit"]).values()
    assert lengths(governed) == lengths(terminal)
    start = load_preset("offline").algorithms
    for name, plan in terminal.algorithms.items():
        assert governed.algorithms[name].search == start[name].search
        assert list(plan.search) == list(start[name].search)
        moved = {key for key, space in plan.search.items() if space != start[name].search[key]}
        assert moved == {"ddpg": {"gamma", "exploration_noise"}, "ppo": {"gamma", "lambda_"}}.get(
            name, set()
        )


def lengths(preset: Preset) -> dict[str, tuple[int, int]]:
    """Algorithm -> iterations, and how often it is validated."""
    plans = {str(name): plan for name, plan in preset.algorithms.items()}
    return {n: (int(p.iterations), int(p.iterations) // p.validate_every) for n, p in plans.items()}  # type: ignore[arg-type]


def test_a_table_is_tuned_and_seeded_as_the_study_says() -> None:
    for data in ("m5", "fresh"):
        cost, service = (presets_of(PIECES[f"{data}-{o}"])[MAIN] for o in ("cost", "service"))
        assert len(cost.first_round()) == 120
        assert (cost.seeds, cost.other_seeds, cost.seeds_for) == (5, 3, "best_methods")
        assert (cost.objective, service.objective) == ("cost", "service")
        assert cost.algorithms == service.algorithms == load_preset("offline").algorithms


def test_budgets_change_the_length_and_nothing_else() -> None:
    presets = presets_of(PIECES["budget"])
    whole = lengths(presets["x4"])
    assert whole == lengths(load_preset("offline"))
    for times in BUDGETS:
        preset = presets[f"x{times:g}"]
        for algorithm, (iterations, _) in lengths(preset).items():
            assert iterations == pytest.approx(whole[algorithm][0] * times / 4, rel=0.05)
        for name, plan in preset.algorithms.items():
            assert plan.search == load_preset("offline").algorithms[name].search
    assert lengths(presets["x16"])["ddpg"][1] == whole["ddpg"][1]


def test_nothing_is_stopped_where_sensitivity_is_measured() -> None:
    preset = presets_of(PIECES["sensitivity"])[MAIN]
    assert (preset.rungs, preset.seeds, preset.configurations) == ([], 1, 10)
    assert lengths(preset)["ds"][0] == lengths(load_preset("offline"))["ds"][0] / 4


def test_one_part_is_conditioned_and_the_others_are_for_a_factor_each() -> None:
    conditioned, *others = presets_of(PIECES["conditioning"]).values()
    assert conditioned.shortage_factors == (0.1, 10.0)
    assert all(run.shortage_factors == (0.1, 10.0) for run in conditioned.first_round().values())
    assert all(preset.shortage_factors is None for preset in others)
    weights = [preset.objective["stockout_weight"] if preset.objective != "service" else 1.0
               for preset in others]  # fmt: skip
    assert weights == list(FACTORS)
    for preset in others:
        assert preset.algorithms == conditioned.algorithms
        assert list(preset.first_round()) == list(conditioned.first_round())


def test_an_unknown_piece_names_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"m5-cost.*sensitivity"):
        find_piece("m6-cost")
