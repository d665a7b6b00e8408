"""A day's snapshot and its orders, from files or frames: for the command line and for notebooks."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

import pandas as pd

from envs.errors import ConfigError
from pipeline.scenarios.dataset import DatasetSource
from pipeline.serving import decide as deciding
from pipeline.serving.orders import Orders
from pipeline.serving.snapshot import Snapshot, make_snapshot
from pipeline.serving.stock import BadStock
from pipeline.tools.files import scratch, write_parquet


def snapshot(
    data: str | PathLike[str],
    out: str | PathLike[str] | None = None,
    *,
    model: str | PathLike[str] | None = None,
    day: int | None = None,
    stock: pd.DataFrame | str | PathLike[str] | None = None,
    bad_stock: BadStock = "zero",
    played: bool = False,
) -> Snapshot:
    """What the decisions of a day need, as known on its morning.

    Args:
        data: A data set, or its folder.
        out: Parquet file to write; None: one that goes when this process ends.
        model: A run, a trial or a finished sweep, whose forecaster makes the features; None for
            the data set's own, which is that of all runs on this data set.
        day: Morning of this day, from 1; None: after the last day.
        stock: ``inventory_id``, ``on_hand`` and, if you like, ``on_order`` (list of arrivals in
            1, 2, ... days): a frame or a file. None: one demand scale on hand, nothing on order.
        bad_stock: What becomes of inventories whose stock cannot be right.
        played: Instead: the stock that ``model`` leaves after the test days.

    Raises:
        ConfigError: ``played`` with other options, or ``out`` cannot be written.
        DataError: As :func:`~pipeline.serving.snapshot.make_snapshot`.
    """
    if played and (day is not None or stock is not None or model is None):
        raise ConfigError(
            "played", "given", "Give it with a model, and without stock and day.",
            "does not go with the other options",
        )  # fmt: skip
    found = None if model is None else deciding.find_decider(Path(model))
    source = DatasetSource(data, found.factors if found else None)
    if found:
        source.max_lead_time = max(source.max_lead_time, found.layout.max_lead_time)
    if isinstance(stock, pd.DataFrame):
        file = scratch() / "stock.parquet"
        write_parquet(file, stock)
        stock = file
    return make_snapshot(
        source,
        scratch() / "snapshot.parquet" if out is None else Path(out),
        day=day,
        stock=None if stock is None else Path(stock),
        bad_stock=bad_stock,
        played=found.policy_for if found and played else None,
    )


def decide(
    model: str | PathLike[str],
    snapshot: str | PathLike[str],
    out: str | PathLike[str] | None = None,
    *,
    goal: str | None = None,
) -> Orders:
    """The orders of a snapshot's day.

    Args:
        model: A run or a trial; or a finished sweep: whoever is best on validation.
        snapshot: What :func:`snapshot` made, or its file.
        out: Parquet file to write; None: one that goes when this process ends.
        goal: A trade-off that ``evaluate --goal`` has found for the model: ``stockout<=3%``.

    Raises:
        DataError, ConfigError: As :func:`~pipeline.serving.decide.find_decider` and
            :func:`~pipeline.serving.decide.decide`.
    """
    to = scratch() / "orders.parquet" if out is None else Path(out)
    by = deciding.find_decider(Path(model))
    return deciding.decide(by if goal is None else by.meeting(goal), Path(snapshot), to)
