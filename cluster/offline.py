"""``make offline``: a piece of the offline study on a Ray cluster."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from cluster.connect import open_cluster
from cluster.preflight import Needs, check_cluster, check_host
from pipeline.studies.offline.data import check_source, make_data
from pipeline.studies.offline.folder import OfflineFolder
from pipeline.studies.offline.pieces import find_piece

NEEDS = Needs(cpus=1.0, memory_gib=2.5, disk_gib=4.0)


def offline(
    name: str, out: Path, address: str | None, *, source: Path | None = None, smoke: bool = False
) -> None:
    """Make or import the data, train a piece, play it on later days, write tables and the page.

    The same call again goes on where the last one stopped.

    Args:
        name: The piece.
        out: Folder of the study. With several hosts, on storage that all of them mount.
        address: Head of a running cluster, or None for a local one.
        source: Folder of the publishers' tables; needed while their data sets are not made.
        smoke: On small generated data, with little training: to see that all parts work.

    Raises:
        ConfigError, DataError, ClusterError: Before anything long starts, where possible.
    """
    piece, folder = find_piece(name), OfflineFolder(out.resolve())
    check_host(NEEDS, folder.directory)
    sets = dict.fromkeys(part.data for part in piece.parts)
    for data in () if smoke else sets:
        check_source(folder, data, source)
    # Here, not above: these import RLlib and MLflow, and a wrong option should not wait for it.
    from pipeline.studies.offline.measuring.measure import measure
    from pipeline.studies.offline.report import write_offline
    from pipeline.tracking.door import SweepRun
    from pipeline.tracking.publish import publish_comparison, publish_trial
    from tuning.studies.offline import PRESET, SMOKE, presets_of, run_part
    from tuning.sweep import plan_sweep

    presets = presets_of(piece, SMOKE if smoke else PRESET)
    for data in sets:
        make_data(folder, data, source, smoke=smoke)
    with open_cluster(address) as cluster:
        click.echo(f"Ray: {cluster.address}, dashboard {cluster.dashboard_url or 'none'}")
        for number, part in enumerate(piece.parts, start=1):
            click.echo(f"offline {name}: part {number} of {len(piece.parts)}, {part.name}")
            check_cluster(NEEDS, folder.data(part.data))
            directory = folder.sweep(piece, part)
            # Checked before MLflow hears of it: see cluster.train.
            plan = plan_sweep(presets[part.name], folder.data(part.data), directory)
            with SweepRun(directory, name=f"offline-{name}-{part.name}") as run:
                sweep, table = run_part(part, plan, partial(publish_trial, run))
                if table is not None:
                    publish_comparison(run, sweep, table)
        measure(folder, piece)
    report = write_offline(folder.directory)
    click.echo(f"Tables      {folder.tables}/{name}-*.csv, {name}.md")
    click.echo(f"Report      {report}")
