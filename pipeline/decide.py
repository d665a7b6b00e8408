"""Orders for a day's snapshot: Parquet in, Parquet out, a batch of inventories at a time.

Nothing of a policy is implemented here: the network and its action model give the order,
and :func:`envs.dynamics.admissible_order` makes it one that can be placed, as in every
simulation.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from envs.dynamics import admissible_order
from envs.errors import ConfigError
from envs.state import Observation
from pipeline.model_store import POLICY, TrainedModel, load_data_model
from pipeline.networks import PolicyNetwork
from pipeline.snapshot import (
    forecast_mark,
    make_snapshot,
    matrix,
    open_snapshot,
    read_snapshot,
    table_of,
)
from pipeline.snapshot_check import SnapshotChecker
from pipeline.streamed import StreamedParquet
from pipeline.sweep_folder import SELECTION, read_sweep

BATCH_ROWS = 8_192
"""Inventories decided at a time: their hidden layers stay in the core's cache."""


@dataclass(frozen=True)
class Orders:
    """What :func:`decide` wrote."""

    inventories: int
    due: int
    """Inventories that are reviewed on the day."""
    ordered: int
    """Inventories with an order above 0."""
    units: float
    """Sum of the orders."""

    def __str__(self) -> str:
        """In words, for the terminal."""
        return (
            f"{self.inventories:,} inventories, {self.due:,} due, {self.ordered:,} orders over "
            f"{self.units:,.0f} units"
        )


def find_model(directory: Path) -> TrainedModel:
    """The model of a run, of a trial, or a finished sweep's with the least validation cost.

    Args:
        directory: The folder of any of them, or a model's own.

    Raises:
        DataError: There is none, or it cannot be read.
        ConfigError: No trial of the sweep has a model, or it was not trained on a data set.
    """
    if (directory / SELECTION).exists():
        directory = read_sweep(directory).best()
    return load_data_model(directory if (directory / POLICY).exists() else directory / "model")


def orders_schema(outputs: int) -> pa.Schema:
    """Arrow schema of the orders; ``outputs``: A, length of an action."""
    number = pa.float32()
    return pa.schema(
        [
            pa.field("inventory_id", pa.string(), nullable=False),
            pa.field("date", pa.date32(), nullable=False),
            pa.field("due", pa.bool_(), nullable=False),
            pa.field("order", number, nullable=False),
            pa.field("inventory_position", number, nullable=False),
            pa.field("base_stock_level", number),
            pa.field(
                "coefficients", pa.list_(pa.field("element", number, nullable=False), outputs),
                nullable=False,
            ),
        ]
    )  # fmt: skip


@torch.inference_mode()
def decide(model: TrainedModel, snapshot: Path, out: Path) -> Orders:
    """Writes the orders of a snapshot; memory does not grow with the number of inventories.

    (Eight bytes per inventory are the exception: they tell whether one is there twice.)

    Args:
        model: The policy, and the forecaster that the snapshot's features must come from.
        snapshot: As :mod:`pipeline.snapshot` describes it.
        out: Parquet file to write; it is whole or absent. Columns: see :func:`orders_schema`.

    Raises:
        DataError: The snapshot breaks its contract, or does not suit the model.
        ConfigError: ``out`` cannot be written, or is the snapshot itself.
    """
    if out.resolve() == snapshot.resolve():
        raise ConfigError("out", str(out), "Name another file.", "is the snapshot")
    policy = model.policy
    mark = None if model.factors is None else forecast_mark(model.factors)
    total = Orders(0, 0, 0, 0.0)
    schema = orders_schema(policy.action_model.outputs)
    with open_snapshot(snapshot) as file, StreamedParquet(out, schema) as orders:
        checker = SnapshotChecker(snapshot, policy.layout, mark)
        for batch in read_snapshot(snapshot, file, BATCH_ROWS):
            rows = checker.typed(batch)
            decided = decide_batch(policy, rows)
            orders.write(decided)
            total = _added(total, decided)
        checker.finish(file)
        orders.finish()
    return total


def decide_batch(policy: PolicyNetwork, rows: pa.Table) -> pa.Table:
    """Orders of a checked piece of a snapshot (:class:`SnapshotChecker` gives one)."""
    observation = Observation(
        stock=torch.cat((_column(rows, "on_hand").unsqueeze(1), _lists(rows, "on_order")), 1),
        scale=_column(rows, "scale"),
        basis=_lists(rows, "basis"),
        features=_lists(rows, "features"),
    )
    decision = policy.decide(observation)
    order = _admissible(decision.order, _column(rows, "order_multiple"))
    due = torch.from_numpy(rows.column("due").to_numpy().copy())
    action, model = decision.columns["action"], policy.action_model
    level = (
        pa.array(model.target(action, observation).numpy())
        if model.kind.subtracts_position
        else pa.nulls(len(rows), pa.float32())
    )
    columns = {
        "inventory_id": rows.column("inventory_id").combine_chunks(),
        "date": rows.column("date").combine_chunks(),
        "due": due.numpy(),
        "order": (order * due).numpy(),
        "inventory_position": observation.stock.sum(-1).numpy(),
        "base_stock_level": level,
        "coefficients": model.coefficients(action).numpy(),
    }
    return table_of(columns, orders_schema(model.outputs))


def _admissible(order: Tensor, multiple: Tensor) -> Tensor:
    """:func:`admissible_order` by pack size; nearly always there is one for all."""
    result = order.clone()
    for value in multiple.unique().tolist():
        rows = multiple == value
        result[rows] = admissible_order(order[rows], value, float("inf"))
    return result


def _column(rows: pa.Table, name: str) -> Tensor:
    return torch.from_numpy(np.array(rows.column(name).to_numpy(), np.float32))


def _lists(rows: pa.Table, name: str) -> Tensor:
    return matrix(rows.column(name).combine_chunks())


def _added(total: Orders, decided: pa.Table) -> Orders:
    order = decided.column("order").to_numpy()
    return Orders(
        total.inventories + len(decided),
        total.due + int(decided.column("due").to_numpy().sum()),
        total.ordered + int((order > 0).sum()),
        total.units + float(order.sum(dtype=np.float64)),
    )


def decide_sweep(directory: Path) -> Orders | None:
    """Orders of a sweep's best method (on validation) for the morning after its data's last day.

    Writes ``snapshot.parquet`` and ``orders.parquet`` into its folder. Data sets hold no
    stock: each inventory has what the method itself leaves after it has played the test days.

    Returns:
        None if no method has a model.
    """
    sweep = read_sweep(directory)
    if all(choice.trial is None for choice in sweep.selected.values()):
        return None
    snapshot, model = directory / "snapshot.parquet", find_model(directory)
    make_snapshot(sweep.source(), snapshot, played=model.policy.decide)
    return decide(model, snapshot, directory / "orders.parquet")
