"""One run, one process: training and evaluation for the command line and for notebooks."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from os import PathLike
from pathlib import Path
from typing import Any

import pandas as pd
import ray

from envs.errors import ConfigError
from pipeline.algorithms.build import build_config
from pipeline.baselines.tuned import PLANNERS, tuned_baselines
from pipeline.data.playable import validate_inventories
from pipeline.evaluation.goal import Goal, Met, Player, factor_of, find_factors
from pipeline.evaluation.play import in_words, needed
from pipeline.evaluation.tiles import evaluate_policies, model_candidate
from pipeline.policies.action_models import ActionModel
from pipeline.policies.store import TrainedModel, load_data_model, save_goal
from pipeline.runs.config import RunConfig, load_yaml, parse
from pipeline.runs.result import RunResult
from pipeline.runs.run import Run
from pipeline.scenarios.dataset import Counted, DatasetSource
from pipeline.scenarios.source import Split
from pipeline.tools.files import writing
from pipeline.tools.progress import LOG
from pipeline.training.run import TrainingRun

FEW_TILES = 16
"""Splits up to this size are evaluated sooner than a Ray has started."""


@contextmanager
def ray_session(num_cpus: int) -> Iterator[None]:
    """A Ray of this process's own, unless one is connected; joining one is ``cluster``'s job."""
    if ray.is_initialized():
        yield
        return
    ray.init(
        address="local",  # without it Ray would follow RAY_ADDRESS, and wait minutes for a dead one
        num_cpus=num_cpus,
        include_dashboard=False,
        logging_level="ERROR",
        log_to_driver=False,
    )
    try:
        yield
    finally:
        ray.shutdown()


def train(
    data: str | PathLike[str],
    out: str | PathLike[str],
    *,
    algorithm: str,
    action_model: str | type[ActionModel],
    **configuration: Any,
) -> Run:
    """Trains one policy, or resumes it: :func:`train_run` of a configuration in keywords.

    Args:
        data: A data set, or its folder.
        out: The run's folder.
        algorithm: ``ddpg``, ``ppo`` or ``ds``.
        action_model: A registered name, ``module:Class``, or the class.
        **configuration: Further fields of :class:`~pipeline.runs.config.RunConfig`: ``objective``,
            ``seed``, ``iterations``, ``training={"lr": 1e-3}`` and so on.

    Raises:
        ConfigError, DataError: As :func:`train_run`.
    """
    content = {"algorithm": algorithm, "action_model": action_model, **configuration}
    return train_run(data, parse(RunConfig, content, "train"), out)


def train_run(
    data: str | PathLike[str],
    run: RunConfig,
    out: str | PathLike[str],
    say: Callable[[str], None] = LOG.info,
) -> Run:
    """Trains one configuration in ``out``, or resumes it.

    Args:
        data: A data set, or its folder.
        run: What to train.
        out: The run's folder.
        say: Hears of every validation, and in the end where the model is and whether it is
            worse than a baseline.

    Raises:
        ConfigError: A key or value is wrong, ``out`` holds another run, or the run diverged.
        DataError: The data set is missing or wrong.
    """
    out, source = Path(out), DatasetSource(data)
    validate_inventories(source.panel)
    build_config(run, source)  # a wrong key must not leave a folder behind
    _claim(run, out)
    result = RunResult.read(out)
    if result is not None:
        say(f"{out} is trained already: {result.status}.")
        return Run.read(out)
    with ray_session(1 + run.num_env_runners + run.num_learners):
        training = TrainingRun(run, source, out)
        while not training.done:
            figures = training.step()
            if training.objective.metric in figures:
                say(
                    f"{run.method} {training.result.iterations}/{run.iterations} "
                    f"validation {in_words(figures)} ({training.result.seconds:.0f} s)"
                )
        training.close()
    if training.result.status != "finished":
        raise ConfigError(
            "training", run.method,
            "Lower the learning rate, or compare more configurations in a sweep.",
            training.result.cause,
        )  # fmt: skip
    say(f"Model with the best validation {training.objective.metric}: {out / 'model'}")
    baselines = tuned_baselines(source, out, training.objective, PLANNERS)
    value = training.result.validation[training.objective.metric]
    if lost := baselines.lost_to(run.method, value):
        say(lost)
    return Run.read(out)


def evaluate_run(
    run: str | PathLike[str],
    data: str | PathLike[str],
    split: Split = "test",
    out: str | PathLike[str] | None = None,
    workers: int | None = None,
    counted: Counted = "all",
) -> pd.DataFrame:
    """Plays a run's model on a split of a data set; its per-inventory rows go to ``out``, if given.

    Args:
        run: A run, or its folder.
        data: A data set, or its folder.
        split: Of it.
        out: Parquet file to write, or None.
        workers: Ray workers that share the tiles; 1 plays them in this process. None: one per
            CPU where there are enough tiles to be worth it.
        counted: Days that metrics are made of, see :class:`DatasetSource`.

    Returns:
        The metrics and weights of all inventories; :func:`~pipeline.evaluation.play.summarize`
        makes one figure of each.

    Raises:
        DataError: There is no model, or the data set is wrong or of another layout.
        ConfigError: ``out`` cannot be written, or the model was not trained on a data set.
    """
    folder = Path(run) / "model"
    model, candidate = load_data_model(folder), model_candidate(folder)
    source = _data_for(model, data, counted)
    if workers is None:
        workers = len(os.sched_getaffinity(0)) if source.num_tiles(split) > FEW_TILES else 1
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "rows.parquet" if out is None else Path(out)
        with ray_session(workers) if workers > 1 else nullcontext():
            evaluate_policies(source, split, {path: candidate})
        return pd.read_parquet(path, columns=["inventory_id", *needed()])


def meet_goal(
    run: str | PathLike[str], data: str | PathLike[str], split: Split, text: str
) -> list[Met]:
    """Turns a model's trade-off until validation meets a goal, and says what ``split`` makes of it.

    The factors are kept with the model, for the orders of every morning.

    Args:
        run: Folder of a run.
        data: Data set.
        split: Of it, to see what becomes of the goal.
        text: The goal: ``stockout<=3%``.

    Returns:
        Of each group (all, or each sales class) factor, and figures on validation and ``split``.

    Raises:
        ConfigError: It is no goal, it is out of reach, or the model was trained for one trade-off.
        DataError: There is no model, or the data set is wrong or of another layout.
    """
    goal, folder = Goal.parse(text), Path(run) / "model"
    model = load_data_model(folder)
    if model.shortage_factors is None:
        raise ConfigError(
            "goal", text, "Train it with `shortage_factors: [0.03, 3.0]` in its YAML.",
            "needs a model that was trained for a whole trade-off",
        )  # fmt: skip
    source = _data_for(model, data)
    before, after = (
        Player(source, part, model.policy.decide, model.objective, per_class=goal.per_class)
        for part in ("validation", split)
    )
    found = find_factors(goal, before, before.groups, model.shortage_factors)
    factors = {group: each.factor for group, each in found.items()}
    save_goal(folder, str(goal), factors)
    later = after({group: factor_of(group, factors) for group in after.groups})
    return [
        Met(group, each.factor, each.figures, split, later.get(group, {}))
        for group, each in found.items()
    ]


def _data_for(
    model: TrainedModel, data: str | PathLike[str], counted: Counted = "all"
) -> DatasetSource:
    """A data set as a model is to see it."""
    source = DatasetSource(data, model.factors, counted=counted)
    if source.layout.max_lead_time > model.policy.layout.max_lead_time:
        raise ConfigError(
            "data", str(Path(data)), "Train on data with lead times as long as these.",
            f"has lead times up to {source.layout.max_lead_time} days, the model knows "
            f"{model.policy.layout.max_lead_time}",
        )  # fmt: skip
    source.max_lead_time = model.policy.layout.max_lead_time
    return source


def _claim(run: RunConfig, out: Path) -> None:
    """Refuses a folder that holds another run: resuming must not mix two."""
    config = out / "config.yaml"
    if config.exists() and parse(RunConfig, load_yaml(config), str(config)) != run:
        raise ConfigError(
            "out", str(out), "Choose another folder, or delete this one to start over.",
            "holds a run with another configuration",
        )  # fmt: skip
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
