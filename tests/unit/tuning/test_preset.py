"""Presets: inheritance, the trials they mean, errors."""

from __future__ import annotations

from pathlib import Path

import pytest

from envs.errors import ConfigError
from pipeline.algorithms.ddpg import DDPGConfig
from tuning.preset import PRESETS, load_preset


@pytest.mark.parametrize("name", ["smoke", "quick", "full"])
def test_a_shipped_preset_means_twelve_methods(name: str) -> None:
    preset = load_preset(name)
    runs = preset.first_round()
    assert len({run.method for run in runs.values()}) == 12
    assert len(runs) == 12 * preset.configurations
    assert all(key.startswith(run.method) for key, run in runs.items())


def test_configurations_differ_and_are_the_same_every_time() -> None:
    first, second = load_preset("quick").first_round(), load_preset("quick").first_round()
    assert first == second
    rates = {run.training["lr"] for key, run in first.items() if key.startswith("ddpg-both")}
    assert len(rates) == load_preset("quick").configurations


@pytest.mark.parametrize("name", [path.stem for path in PRESETS.glob("*.yaml")])
def test_a_replay_holds_more_than_four_fragments(name: str) -> None:
    runs = load_preset(name).only(["all"]).first_round()
    for run in runs.values():
        if run.algorithm == "ddpg":
            assert run.training.get("replay_fragments", DDPGConfig().replay_fragments) > 4
            assert run.training.get("replay_capacity") is None


def test_a_child_preset_overrides_level_by_level(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        "extends: quick\n"
        "action_models: [base]\n"
        "algorithms: {ds: {iterations: 7, search: {lr: {choice: [0.5]}}}}\n"
    )
    preset, quick = load_preset(str(path)), load_preset("quick")
    assert preset.algorithms["ds"].iterations == 7
    assert preset.algorithms["ds"].validate_every == quick.algorithms["ds"].validate_every
    # A dimension is replaced whole: {loguniform: ...} must not linger beside {choice: ...}.
    assert preset.algorithms["ds"].search["lr"] == {"choice": [0.5]}
    assert preset.algorithms["ppo"] == quick.algorithms["ppo"]
    assert {run.action_model for run in preset.first_round().values()} == {"base"}


def test_an_unknown_preset_names_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"quick.*smoke"):
        load_preset("medium")


def test_a_typo_deep_inside_is_named(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("extends: quick\ndata: {inventory: 5}\n")
    with pytest.raises(ConfigError, match="Did you mean inventories"):
        load_preset(str(path))


def test_the_million_preset_trains_one_method_unless_told_otherwise(tmp_path: Path) -> None:
    preset = load_preset("million")
    assert (preset.data.inventories, preset.data.days) == (1_000_000, 180)
    assert list(preset.first_round()) == ["ddpg-both-c00-s0"]
    assert len(preset.only(["all"]).first_round()) == 12
    two = preset.only(["ds-base", "ppo-none"]).first_round()
    assert {run.method for run in two.values()} == {"ds-base", "ppo-none"}
    # Its path can be checked on fewer inventories.
    path = tmp_path / "small.yaml"
    path.write_text("extends: million\ndata: {inventories: 3000}\n")
    small = load_preset(str(path))
    assert small.data == preset.data.model_copy(update={"inventories": 3000})
    assert small.first_round() == preset.first_round()


def test_methods_beyond_the_twelve_are_trained_where_they_are_named(tmp_path: Path) -> None:
    quick = load_preset("quick")
    named = quick.only(["ds-proj", "ddpg-both"])
    runs = named.first_round()
    assert {run.method for run in runs.values()} == {"ds-proj", "ddpg-both"}
    assert runs["ddpg-both-c03-s0"] == quick.first_round()["ddpg-both-c03-s0"]
    assert runs["ds-proj-c03-s0"].training == quick.first_round()["ds-base-c03-s0"].training
    path = tmp_path / "all.yaml"
    models = "[none, base, coeff, both, proj, projboth]"
    path.write_text(f"extends: quick\naction_models: {models}\n")
    everything = load_preset(str(path)).first_round()
    assert len({run.method for run in everything.values()}) == 18
    counts = "{none: 1, base: 2, coeff: 3, both: 4}"
    path.write_text(f"extends: quick\nalgorithms: {{ds: {{iterations: {counts}}}}}\n")
    with pytest.raises(ConfigError, match="ds-proj"):
        load_preset(str(path)).only(["ds-proj"])


def test_an_unknown_method_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"ddpg-bth .* Did you mean ddpg-both\?"):
        load_preset("quick").only(["ddpg-bth"])
    path = tmp_path / "mine.yaml"
    path.write_text("extends: quick\nmethods: [sac-both]\n")
    with pytest.raises(ConfigError, match="sac-both"):
        load_preset(str(path))
