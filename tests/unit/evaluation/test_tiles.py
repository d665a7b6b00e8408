"""A whole split: the tiles' rows in one table, kept from interruption to interruption."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from envs.errors import ConfigError
from envs.rollout import Decision
from envs.state import Observation
from pipeline.evaluation.play import play_policy
from pipeline.evaluation.tiles import Candidate, evaluate_policies
from pipeline.scenarios.dataset import DatasetSource
from tests.rows import evaluate_dataset


def base_stock(observation: Observation) -> Decision:
    return Decision(observation.scale - observation.stock.sum(-1))


def half(observation: Observation) -> Decision:
    return Decision(observation.scale / 2 - observation.stock.sum(-1))


class Interrupted(Exception):
    pass


def test_every_policy_gets_a_table_in_panel_order(source: DatasetSource, tmp_path: Path) -> None:
    policies = {"one": base_stock, "two": half}
    evaluate_policies(
        source, "test",
        {tmp_path / f"{n}.parquet": Candidate(play_policy(p), n) for n, p in policies.items()},
    )  # fmt: skip
    for name, policy in policies.items():
        expected = pd.concat(evaluate_dataset(source, "test", play_policy(policy)))
        got = pd.read_parquet(tmp_path / f"{name}.parquet")
        assert (got.pop("split") == "test").all()
        pd.testing.assert_frame_equal(got, expected.reset_index(drop=True))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["one.parquet", "two.parquet"]


def test_an_interrupted_evaluation_goes_on(
    source: DatasetSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, mark = tmp_path / "rows.parquet", "base stock"
    opened: list[int] = []
    open_tile = source.open

    def open_and_note(split: str, tile: int) -> object:
        if len(opened) == 3:
            raise Interrupted
        opened.append(tile)
        return open_tile(split, tile)  # type: ignore[arg-type]

    monkeypatch.setattr(source, "open", open_and_note)
    with pytest.raises(Interrupted):
        evaluate_policies(source, "test", {out: Candidate(play_policy(base_stock), mark)})
    assert not out.exists()
    opened.clear()
    evaluate_policies(source, "test", {out: Candidate(play_policy(base_stock), mark)})
    assert opened == [3, 4, 5]
    assert len(pd.read_parquet(out)) == 600
    # Done is done; another policy is not.
    opened.clear()
    evaluate_policies(source, "test", {out: Candidate(play_policy(base_stock), mark)})
    assert opened == []
    before = pd.read_parquet(out)
    monkeypatch.setattr(source, "open", open_tile)
    evaluate_policies(source, "test", {out: Candidate(play_policy(half), "half")})
    assert not pd.read_parquet(out)["cost"].equals(before["cost"])


def test_a_place_that_cannot_be_written(source: DatasetSource, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be written"):
        evaluate_policies(
            source, "validation",
            {tmp_path / "file" / "rows.parquet": Candidate(play_policy(half), "")},
        )  # fmt: skip
