"""The main job: from nothing to a comparison of all methods, on a Ray cluster."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cluster.connect import ClusterInfo, open_cluster
from cluster.preflight import Needs, check_cluster, check_host
from envs.errors import ConfigError
from pipeline.baselines.base import BASELINES
from pipeline.data.terms import CostLaw
from tuning.preset import DataPlan, Preset, load_preset

if TYPE_CHECKING:
    from pipeline.serving.orders import Orders


def train(
    preset_name: str,
    data: Path | None,
    out: Path,
    address: str | None,
    *,
    methods: Sequence[str] | None = None,
    costs: CostLaw | None = None,
    cost_ratio: tuple[float, float] | None = None,
) -> None:
    """Check, start or join a cluster, make data if none is given, sweep, compare, order, say where.

    The same call again goes on where the last one stopped. Only a cluster that was started here
    is stopped.

    Args:
        preset_name: A shipped preset's name or a YAML file.
        data: Data set, or None to generate the preset's.
        out: Folder of the sweep. With several hosts, on storage that all of them mount.
        address: Head of a running cluster, or None for a local one.
        methods: Which to train (``ddpg-both``), or ``["all"]``; None for the preset's.
        costs, cost_ratio: Law of the generated data's unit costs; None for the preset's.

    Raises:
        ConfigError, DataError, ClusterError: Before anything long starts, where possible.
    """
    preset = _preset_on_data(preset_name, methods, data, costs, cost_ratio)
    out = out.resolve()
    needs = job_needs(preset, generates=data is None)
    check_host(needs, out)
    with open_cluster(address) as cluster:
        # Here, not above: these import RLlib and MLflow, and a wrong option should not wait for it.
        from pipeline.baselines.tuned import lost_methods, read_baselines
        from pipeline.comparison.compare import compare
        from pipeline.comparison.report import write_report
        from pipeline.comparison.results import SweepResults
        from pipeline.comparison.table import comparison_text
        from pipeline.comparison.words import headline
        from pipeline.serving.decide import decide_sweep
        from pipeline.tracking.door import SweepRun
        from pipeline.tracking.publish import publish_comparison, publish_trial
        from tuning.sweep import plan_sweep, run_sweep

        _say_cluster(cluster)
        if data is None:
            data = _generated(preset, out)
        check_cluster(needs, data)
        # Checked before MLflow hears of it: a refused command must not touch a finished run.
        plan = plan_sweep(preset, data, out)
        with SweepRun(out) as run:
            sweep = run_sweep(plan, on_trial=lambda folder: publish_trial(run, folder))
            table = compare(out)
            report = write_report(out)
            publish_comparison(run, sweep, table)
            page = run.page
        orders = decide_sweep(out)
    lost = lost_methods(sweep, read_baselines(out))
    said = comparison_text(table), headline(SweepResults.read(out)).answer, *lost
    click.echo("\n".join(said))
    _say_where(out, report, orders, page)


def _preset_on_data(
    name: str,
    methods: Sequence[str] | None,
    data: Path | None,
    costs: CostLaw | None,
    cost_ratio: tuple[float, float] | None,
) -> Preset:
    if data is not None and (costs or cost_ratio):
        raise ConfigError(
            "costs", costs or cost_ratio,
            "Leave them out, or give them to `data make` or `data import` and name that data set.",
            f"are those of the data set {data}",
        )  # fmt: skip
    preset = load_preset(name).only(methods).with_costs(costs, cost_ratio)
    if not isinstance(preset.data, DataPlan):
        raise ConfigError(
            "preset", name, "Run the study with `make study`, or name another preset.",
            "is a part of the study",
        )  # fmt: skip
    return preset


def _say_cluster(cluster: ClusterInfo) -> None:
    kind = "local cluster" if cluster.started_here else "joined cluster"
    click.echo(f"Ray: {kind} at {cluster.address}, dashboard {cluster.dashboard_url or 'none'}")


def _say_where(out: Path, report: Path, orders: Orders | None, page: str) -> None:
    """Where everything is."""
    click.echo(f"Comparison  {out / 'comparison.csv'} (.md, .html)")
    click.echo(f"Report      {report}")
    if orders is not None:
        click.echo(f"Orders      {out / 'orders.parquet'} ({orders})")
        if orders.rounding:
            click.echo(f"            {orders.rounding}")
    click.echo(f"MLflow      `make ui`, page {page}")


def job_needs(preset: Preset, *, generates: bool) -> Needs:
    """What a sweep needs at least; CPUs as its largest trial asks Ray for them."""
    assert isinstance(preset.data, DataPlan)
    plans = preset.algorithms.values()
    inventories = preset.data.inventories
    cells = inventories * preset.data.days
    # The baselines and the bound are played once each.
    others = len(BASELINES.known) + 1
    evaluations = len(preset.trained_methods) * preset.seeds + others
    row = 200 + 3 * preset.data.days  # six sums a week, compressed hardly at all
    return Needs(
        cpus=max(1 + plan.num_env_runners + plan.num_learners for plan in plans),
        # Ray, the driver and one trial; all inventories' costs and ids while they are compared.
        memory_gib=2.0 + 2_000 * inventories / 2**30,
        # About five float32 columns per inventory and day, uncompressed; 1 GiB for checkpoints;
        # an inventory's row of each evaluation (and a copy until all are there), its snapshot.
        disk_gib=1.0
        + (20 * cells / 2**30 if generates else 0.0)
        + inventories * (row * evaluations + 400) / 2**30,
    )


def _generated(preset: Preset, out: Path) -> Path:
    """The preset's data set inside the sweep's folder, generated unless it is there already."""
    folder = out / "data"
    if not (folder / "manifest.json").exists():
        plan = preset.data
        assert isinstance(plan, DataPlan)
        click.echo(f"Data: {plan.inventories:,} inventories x {plan.days} days into {folder}")
        plan.make(folder, jobs=len(os.sched_getaffinity(0)))
    return folder
