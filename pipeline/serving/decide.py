"""Orders for a day's snapshot: Parquet in, Parquet out, a batch of inventories at a time.

Nothing of a policy is implemented here: the network and its action model (or a baseline) give
the order, and :mod:`envs.orders` makes it one that may be given, as in every simulation, and says
why where that is not what was wanted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from envs.errors import ConfigError, DataError
from envs.objective import DEFAULT_OBJECTIVE, Objective
from envs.orders import OrderFacts, OrderRules, Reason, explained, order_rules, shared
from envs.rollout import Policy
from envs.state import EXPECTED, ORDER_SIZES, Observation, ObservationLayout, Scenario
from pipeline.baselines.tuned import FILE as BASELINES
from pipeline.baselines.tuned import read_baselines
from pipeline.evaluation.goal import ALL, Goal, factor_of
from pipeline.features.forecast import DayFactors
from pipeline.features.trade_off import seen_features, seen_scenario
from pipeline.policies.action_models import ActionModel
from pipeline.policies.order_up_to import RuleActions
from pipeline.policies.store import POLICY, TrainedModel, load_data_model, load_goal
from pipeline.runs.config import RunConfig, load_yaml
from pipeline.runs.sweep import FORECAST, SELECTION, Sweep, read_sweep
from pipeline.serving.check import SnapshotChecker
from pipeline.serving.orders import Orders
from pipeline.serving.snapshot import (
    PLAN_KNOWN,
    forecast_mark,
    make_snapshot,
    matrix,
    open_snapshot,
    read_snapshot,
    table_of,
)
from pipeline.tools.streamed import StreamedParquet

BATCH_ROWS = 8_192
"""Inventories decided at a time: their hidden layers stay in the core's cache."""
_TEXTS = pa.array(
    [
        ",".join(r.name.lower() for r in Reason if flags & r)  # type: ignore[union-attr]
        for flags in range(2 * max(Reason))
    ]
)
"""Flags of :class:`~envs.orders.Reason` in words."""


@dataclass(frozen=True)
class Decider:
    """Who gives the orders: a trained model, or a baseline."""

    policy: Policy
    layout: ObservationLayout
    """Of the observations that it was made for."""
    factors: DayFactors | None
    """The forecaster that its features must come from; None: any."""
    name: str
    """``ddpg-both``, ``forecast-safety-stock`` and the like."""
    version: str
    action_model: ActionModel | RuleActions | None = None
    """None: there are no coefficients to show."""
    why: str = ""
    """Why these orders are its, in words; where there was a choice."""
    objective: Objective = DEFAULT_OBJECTIVE
    """What it was made for."""
    shortage_factors: Mapping[str, float] = field(default_factory=lambda: {ALL: 1.0})
    """How many times shortages count: for all, or for each sales class."""
    folder: Path | None = None
    """Of the model."""

    @staticmethod
    def of_model(model: TrainedModel, name: str = "") -> Decider:
        """A trained model; without ``name`` it is called after its action model."""
        policy = model.policy
        return Decider(
            policy.decide, policy.layout, model.factors, name or policy.action_model.name,
            model.version, policy.action_model, objective=model.objective,
        )  # fmt: skip

    def meeting(self, goal: str) -> Decider:
        """The same, with the trade-off that meets a goal.

        Raises:
            ConfigError: It is no goal, or has not been looked for with this model.
        """
        wanted = Goal.parse(goal)
        if self.folder is None:
            raise ConfigError(
                "goal", goal, "Name a run with a trained model.", "is for models; a rule decides"
            )
        factors = load_goal(self.folder, str(wanted), self.version)
        return replace(self, shortage_factors=factors)

    def factor(self, sales_class: Sequence[str]) -> Tensor | float:
        """[N] or one for all: how many times shortages count."""
        if ALL in self.shortage_factors:
            return self.shortage_factors[ALL]
        return torch.tensor([factor_of(name, self.shortage_factors) for name in sales_class])

    def policy_for(self, scenario: Scenario) -> tuple[Scenario, Policy]:
        """A :data:`~pipeline.evaluation.play.PolicyFor`, at the factor for all."""
        factor = self.shortage_factors.get(ALL, 1.0)
        return seen_scenario(scenario, self.objective, factor), self.policy


def find_decider(directory: Path) -> Decider:
    """Who decides with the contents of a folder.

    Args:
        directory: Of a run, of a trial, a model's own; or a finished sweep's: then whoever
            is best on validation, a method (the mean over its seeds; its median seed
            decides) or a tuned baseline.

    Raises:
        DataError: There is no model, or it cannot be read.
        ConfigError: No trial of the sweep has a model, or it was not trained on a data set.
    """
    if (directory / SELECTION).exists():
        return _best(read_sweep(directory))
    folder = directory if (directory / POLICY).exists() else directory / "model"
    config = folder.parent / "config.yaml"
    name = RunConfig(**load_yaml(config)).method if config.exists() else ""
    return replace(Decider.of_model(load_data_model(folder), name), folder=folder)


def _best(sweep: Sweep) -> Decider:
    """The best on validation; in doubt a method."""
    objective, learned = sweep.objective, sweep.best()
    if not (sweep.directory / BASELINES).exists():  # not compared yet
        return find_decider(sweep.trial(sweep.best_trial()))
    baselines = read_baselines(sweep.directory)
    rule, figure = baselines.best_rule()
    against = f"{rule.prose} {figure:.4g}"
    if learned is not None and objective.signed(learned[1]) <= objective.signed(figure):
        found = find_decider(sweep.trial(sweep.best_trial()))
        return replace(
            found,
            why=f"best validation {objective.metric} of all methods ({learned[1]:.4g}; {against})",
        )
    than = "no learned method finished"
    if learned is not None:
        than = "it was better on validation than every learned method "
        than += f"({objective.metric} {figure:.4g} against {learned[1]:.4g} of {learned[0]})"
    return Decider(
        rule,
        baselines.layout,
        DayFactors.load(sweep.directory / FORECAST),
        rule.name,
        rule.version,
        rule.actions,
        than,
    )


def orders_schema(outputs: int) -> pa.Schema:
    """Arrow schema of the orders.

    Args:
        outputs: A, length of an action; 0: whoever decides has none.
    """
    number, text = pa.float32(), pa.string()
    element = pa.field("element", number, nullable=False)
    # Parquet has no lists of a fixed length 0.
    coefficients = pa.list_(element, outputs) if outputs else pa.list_(element)
    return pa.schema(
        [
            pa.field("inventory_id", text, nullable=False),
            pa.field("date", pa.date32(), nullable=False),
            pa.field("due", pa.bool_(), nullable=False),
            pa.field("order", number, nullable=False),
            pa.field("wanted", number, nullable=False),
            pa.field("reason", text, nullable=False),
            pa.field("inventory_position", number, nullable=False),
            pa.field("base_stock_level", number),
            pa.field("coefficients", coefficients, nullable=False),
            pa.field("plan", text, nullable=False),
            pa.field("model", text, nullable=False),
            pa.field("version", text, nullable=False),
        ]
    )


@torch.inference_mode()
def decide(by: TrainedModel | Decider, snapshot: Path, out: Path) -> Orders:
    """Writes the orders of a snapshot; memory does not grow with the number of inventories.

    (Eight bytes per inventory are the exception: they tell whether one is there twice.)

    Args:
        by: Who decides.
        snapshot: As :mod:`pipeline.serving.snapshot` describes it.
        out: Parquet file to write; it is whole or absent. Columns: see :func:`orders_schema`.

    Raises:
        DataError: The snapshot breaks its contract, or does not suit who decides; or an order is
            no finite number.
        ConfigError: ``out`` cannot be written, or is the snapshot itself.
    """
    if out.resolve() == snapshot.resolve():
        raise ConfigError("out", str(out), "Name another file.", "is the snapshot")
    decider = Decider.of_model(by) if isinstance(by, TrainedModel) else by
    mark = None if decider.factors is None else forecast_mark(decider.factors)
    total = Orders(name=decider.name, version=decider.version, why=decider.why, path=out)
    schema = orders_schema(_outputs(decider))
    with open_snapshot(snapshot) as file, StreamedParquet(out, schema) as orders:
        checker = SnapshotChecker(snapshot, decider.layout, mark)
        for batch in read_snapshot(snapshot, file, BATCH_ROWS):
            decided, reasons = decide_batch(decider, checker.typed(batch))
            orders.write(decided)
            total = total.plus(decided, reasons, batch)
        checker.finish(file)
        orders.finish()
    return total


def _outputs(decider: Decider) -> int:
    return 0 if decider.action_model is None else decider.action_model.outputs


def decide_batch(decider: Decider, rows: pa.Table) -> tuple[pa.Table, NDArray[np.int64]]:
    """Orders of a checked piece of a snapshot (:class:`SnapshotChecker` gives one).

    Returns:
        The rows, and the :class:`~envs.orders.Reason` flags of each.

    Raises:
        DataError: An order is no finite number.
    """
    observation = Observation(
        stock=torch.cat((_column(rows, "on_hand").unsqueeze(1), _lists(rows, "on_order")), 1),
        scale=_column(rows, "scale"),
        basis=_lists(rows, "basis"),
        features=_lists(rows, "features"),
    )
    factor = decider.factor(rows.column("sales_class").to_pylist())
    seen = seen_features(observation.features, decider.objective, factor)
    observation = observation._replace(features=seen)
    decision = decider.policy(observation)
    position = observation.stock.sum(-1)
    order, reasons = explained(decision.order, _rules(rows, factor), position)
    _check_finite(rows, order)
    due = torch.from_numpy(rows.column("due").to_numpy().copy())
    # Why an order would be what it is says nothing where there is none.
    reasons = torch.where(due, reasons, (reasons & Reason.OFF_SALE) | Reason.NOT_DUE)
    plan = rows.column("plan").combine_chunks()
    unplanned = np.asarray(plan.to_numpy(zero_copy_only=False) != PLAN_KNOWN)
    flags = reasons.numpy() | int(Reason.PLAN_MISSING) * unplanned
    columns = {
        "inventory_id": rows.column("inventory_id").combine_chunks(),
        "date": rows.column("date").combine_chunks(),
        "due": due.numpy(),
        "order": (order * due).numpy(),
        "wanted": (decision.order.clamp(min=0.0) * due).numpy(),
        "reason": _TEXTS.take(pa.array(flags)),
        "inventory_position": position.numpy(),
        "plan": plan,
        "model": pa.repeat(decider.name, len(rows)),
        "version": pa.repeat(decider.version, len(rows)),
        "base_stock_level": pa.nulls(len(rows), pa.float32()),
        "coefficients": [[]] * len(rows),
    }
    if (model := decider.action_model) is not None:
        action = decision.columns["action"]
        columns["coefficients"] = model.coefficients(action).numpy()
        if model.is_level:
            level = model.position_level(action, observation)
            columns["base_stock_level"] = pa.array(level.numpy())
    return table_of(columns, orders_schema(_outputs(decider))), flags


def _rules(rows: pa.Table, shortage_factor: Tensor | float) -> OrderRules:
    multiple, minimum, largest = (shared(_column(rows, name)) for name in ORDER_SIZES)
    return order_rules(
        multiple,
        largest,
        OrderFacts(*(_column(rows, name) for name in EXPECTED)),
        _column(rows, "shortage_cost") * shortage_factor,
        _column(rows, "holding_cost"),
        minimum,
    )


def _check_finite(rows: pa.Table, order: Tensor) -> None:
    if not bool(torch.isfinite(order).all()):
        row = int(torch.isfinite(order).to(torch.uint8).argmin())
        raise DataError(
            f"order of inventory {rows.column('inventory_id')[row].as_py()}", float(order[row]),
            "Use another model: the weights of this one have diverged. Train it again with a "
            "smaller learning rate.", "is no finite number",
        )  # fmt: skip


def _column(rows: pa.Table, name: str) -> Tensor:
    return torch.from_numpy(np.array(rows.column(name).to_numpy(), np.float32))


def _lists(rows: pa.Table, name: str) -> Tensor:
    return matrix(rows.column(name).combine_chunks())


def decide_sweep(directory: Path, by: Decider | None = None) -> Orders | None:
    """A sweep's orders for the morning after its data's last day.

    Writes ``snapshot.parquet`` and ``orders.parquet`` into its folder. Data sets hold no
    stock: each inventory has what the method itself leaves after it has played the test days.

    Args:
        directory: The sweep's.
        by: Who decides; None: whoever is best on validation, see :func:`find_decider`.

    Returns:
        None if no method has a model and no baseline was tuned, or if the data are a pool, whose
        inventories have no morning in common.
    """
    sweep = read_sweep(directory)
    source = sweep.source()
    if source.panel.manifest.spans:
        return None
    if by is None:
        if sweep.best() is None and not (directory / BASELINES).exists():
            return None
        by = find_decider(directory)
    snapshot = directory / "snapshot.parquet"
    make_snapshot(source, snapshot, played=by.policy_for)
    return decide(by, snapshot, directory / "orders.parquet")
