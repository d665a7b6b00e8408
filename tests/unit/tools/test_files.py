"""Outputs are the old content, the new one, or absent."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pandas as pd
import pytest
import yaml

from envs.errors import ConfigError
from pipeline.tools import files


def test_each_kind_can_be_read_back(tmp_path: Path) -> None:
    folder, table = tmp_path / "new" / "deep", pd.DataFrame({"a": [1, 2], "b": ["x", "ü"]})
    files.write_text(folder / "t.txt", "größer\n")
    files.write_json(folder / "j.json", {"b": 1, "a": [0.1]}, indent=1)
    files.write_yaml(folder / "y.yaml", {"b": 1, "a": "x"})
    files.write_csv(folder / "c.csv", table)
    files.write_parquet(folder / "p.parquet", table)
    assert (folder / "t.txt").read_text(encoding="utf-8") == "größer\n"
    assert json.loads((folder / "j.json").read_text()) == {"b": 1, "a": [0.1]}
    assert list(yaml.safe_load((folder / "y.yaml").read_text())) == ["b", "a"]
    pd.testing.assert_frame_equal(pd.read_csv(folder / "c.csv"), table)
    pd.testing.assert_frame_equal(pd.read_parquet(folder / "p.parquet"), table)
    assert len(list(folder.iterdir())) == 5


def test_what_was_there_stays_when_writing_fails(tmp_path: Path) -> None:
    path = tmp_path / "f.json"
    files.write_json(path, [1])
    with pytest.raises(TypeError):
        files.write_json(path, [object()])

    def cut() -> None:
        with files.beside(path) as partial:
            partial.write_text("[2")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        cut()
    assert json.loads(path.read_text()) == [1]
    assert [p.name for p in tmp_path.iterdir()] == ["f.json"]


def test_a_folder_is_whole_at_every_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, seen = tmp_path / "checkpoint", []

    def write(number: int) -> None:
        with files.beside(path) as partial:
            partial.mkdir()
            (partial / "a").write_text(str(number))
            (partial / "b").write_text(str(number))

    write(1)
    replace = os.replace

    def look(old: Path, new: Path) -> None:
        replace(old, new)
        seen.append({(files.whole(path) / name).read_text() for name in "ab"})

    monkeypatch.setattr(os, "replace", look)
    write(2)
    assert seen == [{"1"}, {"2"}]
    assert [p.name for p in tmp_path.iterdir()] == ["checkpoint"]


def test_a_killed_process_leaves_nothing_that_enters_the_next_folder(tmp_path: Path) -> None:
    path = tmp_path / "best"
    left = files.partial_of(path)
    left.mkdir()
    (left / "stale").write_text("")
    with files.beside(path) as partial:
        partial.mkdir()
        (partial / "new").write_text("")
    assert [p.name for p in path.iterdir()] == ["new"]


def test_a_line_that_a_crash_cut_spoils_no_other(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    files.append_json(path, {"iteration": 1})
    with path.open("a") as record:
        record.write('{"iteration": 2, "co')
    files.append_json(path, {"iteration": 2})
    assert files.read_lines(path) == [{"iteration": 1}, {"iteration": 2}]
    assert path.read_text().startswith('{"iteration": 1}\n{"iteration": 2, "co\n')
    assert files.read_lines(tmp_path / "none") == []


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    path = tmp_path / "file" / "inside.csv"
    with pytest.raises(ConfigError, match=r"inside\.csv.*cannot be written"), files.writing(path):
        files.write_csv(path, pd.DataFrame())
