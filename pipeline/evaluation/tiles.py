"""Evaluation of a whole split, spread over a Ray cluster, in bounded memory.

Every tile's rows are kept in a file of their own as soon as they are there; at the end the
files become one table per policy. So a tile of a worker that was killed is evaluated again,
and the same call after an interruption goes on with the tiles that are missing.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import ray
import torch

from envs.errors import ConfigError, DeepStockError
from pipeline.evaluation.play import PolicyFor, evaluate_tile, play_policy
from pipeline.policies.store import POLICY, load_model
from pipeline.scenarios.source import DatasetSource, Split
from pipeline.tools.progress import Progress
from pipeline.tools.streamed import StreamedParquet

RETRIES = 5
"""Times that a tile is evaluated again when its worker dies."""
_MARK = b"deepstock_evaluation"
_FORMAT = 3
"""Of the rows: those of another format are made again."""


class Candidate(NamedTuple):
    """A policy to be evaluated."""

    policy_for: PolicyFor
    mark: str
    """Tells it from others of its name: rows are reused only if it is the same."""


def model_candidate(folder: Path) -> Candidate:
    """A trained model as a policy to be evaluated."""
    policy = load_model(folder).policy
    return Candidate(
        play_policy(policy.decide), hashlib.sha256((folder / POLICY).read_bytes()).hexdigest()
    )


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
    try:
        parts.mkdir(parents=True, exist_ok=True)
        for stale in first.parent.glob(f".{first.name}.*.parts"):
            if stale != parts:
                shutil.rmtree(stale)
        _evaluate_missing(work, mark, parts)
        _merge(parts, work.tiles, list(candidates), mark)
        shutil.rmtree(parts)
    except OSError as error:
        raise ConfigError(
            "out", str(first.parent), "Name a folder on a disk with room that you may write to.",
            f"cannot be written ({error.strerror or error})",
        ) from None  # fmt: skip


def _evaluate_missing(work: _Work, mark: str, parts: Path) -> None:
    tiles = len(work.tiles)
    missing = [tile for tile in work.tiles if not _part(parts, tile).exists()]
    label = f"evaluate {len(work.candidates)} policies on {work.split}"
    if work.source.plan != "known":
        label += f", plan {work.source.plan}"
    progress = Progress(label, tiles, "tiles")
    if len(missing) < tiles:
        progress.add(tiles - len(missing))
    spread = ray.is_initialized() and len(missing) > 1
    play = _spread(work, mark, missing) if spread else ((t, _rows(work, t)) for t in missing)
    for tile, rows in play:
        partial = parts / f"{tile:06d}.partial"
        with pa.OSFile(str(partial), "wb") as sink, pa.ipc.new_file(
            sink, rows.schema, options=pa.ipc.IpcWriteOptions(compression="lz4")
        ) as writer:  # fmt: skip
            writer.write_table(rows)
        os.replace(partial, _part(parts, tile))
        progress.add(1)


def _spread(work: _Work, mark: str, missing: list[int]) -> Iterator[tuple[int, pa.Table]]:
    """Tiles and their rows, as workers finish them.

    Only a few more tiles than CPUs are asked for at a time: rows must not pile up here.
    """
    task = ray.remote(num_cpus=1, max_retries=RETRIES)(_rows_in_worker)
    sent = [ray.put(work)]  # in a list: a worker unpacks it once, not with every tile
    ahead = 2 * int(ray.cluster_resources().get("CPU", 1)) + 2
    left = iter(missing)
    waiting: dict[ray.ObjectRef, int] = {}
    while True:
        while len(waiting) < ahead and (tile := next(left, None)) is not None:
            waiting[task.remote(sent, mark, tile)] = tile
        if not waiting:
            return
        (ready,), _ = ray.wait(list(waiting), num_returns=1)
        try:
            yield waiting.pop(ready), ray.get(ready)
        except ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, DeepStockError):
                raise error.cause from None
            raise


_unpacked: dict[str, _Work] = {}
"""The last work of this worker process: opening a data set takes longer than a tile."""


def _rows_in_worker(sent: list[ray.ObjectRef], mark: str, tile: int) -> pa.Table:
    if mark not in _unpacked:
        torch.set_num_threads(1)
        _unpacked.clear()
        _unpacked[mark] = ray.get(sent[0])
    return _rows(_unpacked[mark], tile)


def _rows(work: _Work, tile: int) -> pa.Table:
    """Rows of a tile, policy after policy."""
    raw, scenario = work.source.open(work.split, tile)
    tables = []
    for candidate in work.candidates.values():
        rows = evaluate_tile(raw, scenario, candidate.policy_for)
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
