"""What ``python -m pipeline train`` and ``evaluate`` do: one run, one process."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import click
import pandas as pd
import ray

from envs.errors import ConfigError
from pipeline.algorithms.build import build_config
from pipeline.baselines.tuned import tuned_baselines
from pipeline.data.panel import validate_inventories
from pipeline.evaluation.play import in_words, needed, summarize
from pipeline.evaluation.tiles import evaluate_policies, model_candidate
from pipeline.policies.store import load_data_model
from pipeline.runs.config import RunConfig, load_yaml, parse
from pipeline.runs.result import RunResult
from pipeline.scenarios.source import Counted, DatasetSource, Split
from pipeline.tools.files import writing
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


def train_run(
    data: Path,
    algorithm: str,
    action_model: str,
    config_file: Path | None,
    seed: int | None,
    out: Path,
) -> RunResult:
    """Trains one configuration in ``out``, or resumes it.

    Raises:
        ConfigError: A key or value is wrong, or ``out`` holds another run.
        DataError: The data set is missing or wrong.
    """
    content = load_yaml(config_file) if config_file else {}
    content |= {"algorithm": algorithm, "action_model": action_model}
    if seed is not None:
        content["seed"] = seed
    run = parse(RunConfig, content, config_file.name if config_file else "options")
    source = DatasetSource(data)
    validate_inventories(source.panel)
    build_config(run, source)  # a wrong key must not leave a folder behind
    _claim(run, out)
    result = RunResult.read(out)
    if result is not None:
        click.echo(f"{out} is trained already: {result.status}.")
        return result
    with ray_session(1 + run.num_env_runners + run.num_learners):
        training = TrainingRun(run, source, out)
        while not training.done:
            figures = training.step()
            if training.objective.metric in figures:
                click.echo(
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
    click.echo(f"Model with the best validation {training.objective.metric}: {out / 'model'}")
    baselines = tuned_baselines(source, out, training.objective)
    value = training.result.validation[training.objective.metric]
    if lost := baselines.lost_to(run.method, value):
        click.echo(lost)
    return training.result


def evaluate_run(
    run: Path,
    data: Path,
    split: Split,
    out: Path | None,
    workers: int | None = None,
    counted: Counted = "all",
) -> pd.DataFrame:
    """Plays a run's model on a split of a data set; its per-inventory rows go to ``out``, if given.

    Args:
        run: Folder of the run.
        data: Data set.
        split: Of it.
        out: Parquet file to write, or None.
        workers: Ray workers that share the tiles; 1 plays them in this process. None: one per
            CPU where there are enough tiles to be worth it.
        counted: Days that metrics are made of, see `DatasetSource`.

    Returns:
        The metrics and weights of all inventories.

    Raises:
        DataError: There is no model, or the data set is wrong or of another layout.
        ConfigError: ``out`` cannot be written, or the model was not trained on a data set.
    """
    model, candidate = load_data_model(run / "model"), model_candidate(run / "model")
    source = DatasetSource(data, model.factors, counted=counted)
    if source.layout.max_lead_time > model.policy.layout.max_lead_time:
        raise ConfigError(
            "data", str(data), "Train on data with lead times as long as these.",
            f"has lead times up to {source.layout.max_lead_time} days, the model knows "
            f"{model.policy.layout.max_lead_time}",
        )  # fmt: skip
    source.max_lead_time = model.policy.layout.max_lead_time
    if workers is None:
        workers = len(os.sched_getaffinity(0)) if source.num_tiles(split) > FEW_TILES else 1
    with tempfile.TemporaryDirectory() as scratch:
        path = out or Path(scratch) / "rows.parquet"
        with ray_session(workers) if workers > 1 else nullcontext():
            evaluate_policies(source, split, {path: candidate})
        rows = pd.read_parquet(path, columns=needed())
    click.echo(
        f"{len(rows):,} inventories, {split}{', observed days' * (counted == 'observed')}: "
        f"{in_words(summarize(rows))}." + (f" Rows: {out}" if out else "")
    )
    return rows


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
