"""Evaluation of a whole split, spread over a Ray cluster, in bounded memory.

Every tile's rows are kept in a file of their own as soon as they are there; at the end the
files become one table per policy. So a tile of a worker that was killed is evaluated again,
and the same call after an interruption goes on with the tiles that are missing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.evaluation.play import PolicyFor, evaluate_tile, seen_policy
from pipeline.policies.store import POLICY, TrainedModel, load_model
from pipeline.scenarios.dataset import DatasetSource
from pipeline.scenarios.source import Split
from pipeline.tools.files import beside, remove, writing
from pipeline.tools.progress import Progress
from pipeline.tools.spread import spread
from pipeline.tools.streamed import StreamedParquet

_MARK = b"deepstock_evaluation"
_FORMAT = 3
"""Of the rows: those of another format are made again."""


class Candidate(NamedTuple):
    """A policy to be evaluated."""

    policy_for: PolicyFor
    mark: str
    """Tells it from others of its name: rows are reused only if it is the same."""


@dataclass(frozen=True)
class AdjustableModel:
    """A trained model whose trade-off can be turned."""

    folder: Path

    @property
    def mark(self) -> str:
        """Of its weights."""
        return hashlib.sha256((self.folder / POLICY).read_bytes()).hexdigest()

    @cached_property
    def _model(self) -> TrainedModel:
        return load_model(self.folder)

    def at(self, factor: float) -> PolicyFor:
        """It, with shortages that count ``factor`` times."""
        return seen_policy(self._model.policy.decide, self._model.objective, factor)


def model_candidate(folder: Path, factor: float = 1.0) -> Candidate:
    """A trained model as a policy to be evaluated."""
    model = AdjustableModel(folder)
    return Candidate(model.at(factor), f"{model.mark} {factor}" if factor != 1.0 else model.mark)


class _Work(NamedTuple):
    source: DatasetSource
    split: Split
    candidates: dict[str, Candidate]
    tiles: Sequence[int]


def evaluate_policies(
    source: DatasetSource,
    split: Split,
    candidates: Mapping[Path, Candidate],
    tiles: Sequence[int] | None = None,
) -> None:
    """Writes a Parquet file for every policy: a row per inventory, in panel order.

    A tile is read, and its features made, once for all policies. Tiles are spread over the
    Ray cluster if there is one, else played here. What is there already is kept.

    Args:
        source: The data set, with the forecaster that the policies know.
        split: Its inventories and days.
        candidates: File -> policy; all files in one folder.
        tiles: Which of the split's; None for all.

    Raises:
        DataError: The data set is gone or damaged.
        ConfigError: The folder cannot be written.
    """
    work = _Work(
        source,
        split,
        {path.name: policy for path, policy in candidates.items()},
        range(source.num_tiles(split)) if tiles is None else tiles,
    )
    mark = _mark(work)
    if all(_has_mark(path, mark) for path in candidates):
        return
    first = next(iter(candidates))
    parts = first.with_name(f".{first.name}.{mark}.parts")
    with writing(first.parent):
        for stale in first.parent.glob(f".{first.name}.*.parts"):
            if stale != parts:
                remove(stale)
        _evaluate_missing(work, parts)
        _merge(parts, work.tiles, list(candidates), mark)
        remove(parts)


def _evaluate_missing(work: _Work, parts: Path) -> None:
    tiles = len(work.tiles)
    missing = [tile for tile in work.tiles if not _part(parts, tile).exists()]
    label = f"evaluate {len(work.candidates)} policies on {work.split}"
    if work.source.plan != "known":
        label += f", plan {work.source.plan}"
    if work.source.counted != "all":
        label += f", {work.source.counted} days"
    progress = Progress(label, tiles, "tiles")
    if len(missing) < tiles:
        progress.add(tiles - len(missing))
    for tile, rows in spread(_rows, work, missing):
        with beside(_part(parts, tile)) as partial, pa.OSFile(str(partial), "wb") as sink, (
            pa.ipc.new_file(
                sink, rows.schema, options=pa.ipc.IpcWriteOptions(compression="lz4")
            )
        ) as writer:  # fmt: skip
            writer.write_table(rows)
        progress.add(1)


def _rows(work: _Work, tile: int) -> pa.Table:
    """Rows of a tile, policy after policy."""
    raw, scenario = work.source.open(work.split, tile)
    longest = work.source.num_days(work.split)[1]
    tables = []
    for candidate in work.candidates.values():
        rows = evaluate_tile(raw, scenario, candidate.policy_for, longest)
        tables.append(rows.append_column("split", pa.array([work.split] * len(rows))))
    return pa.concat_tables(tables)


def _merge(parts: Path, tiles: Sequence[int], files: list[Path], mark: str) -> None:
    """One table per policy from the files of all tiles, tile by tile."""
    with ExitStack() as stack:
        writers: list[StreamedParquet] = []
        for tile in tiles:
            with pa.OSFile(str(_part(parts, tile)), "rb") as file:
                rows = pa.ipc.open_file(file).read_all().replace_schema_metadata({_MARK: mark})
            if not writers:
                writers = [stack.enter_context(StreamedParquet(f, rows.schema)) for f in files]
            n = len(rows) // len(files)
            for position, writer in enumerate(writers):
                writer.write(rows.slice(position * n, n))
        for writer in writers:
            writer.finish()


def _part(parts: Path, tile: int) -> Path:
    return parts / f"{tile:06d}.arrow"


def _mark(work: _Work) -> str:
    """Names an evaluation: the data, the forecaster, the split and the policies."""
    content = [
        work.source.panel.manifest.model_dump_json(),
        json.dumps(asdict(work.source.factors)),
        work.split,
        work.source.plan,
        list(work.tiles),
        _FORMAT,
        work.source.max_lead_time,
        {name: candidate.mark for name, candidate in work.candidates.items()},
        *([] if work.source.counted == "all" else [work.source.counted]),
    ]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]


def _has_mark(path: Path, mark: str) -> bool:
    if not path.exists():
        return False
    try:
        metadata = pq.read_schema(path).metadata or {}
    except pa.ArrowException:
        return False
    return metadata.get(_MARK) == mark.encode()
