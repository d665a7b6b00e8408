"""``make study``: the synthetic study on a Ray cluster."""

from __future__ import annotations

from pathlib import Path

import click

from cluster.connect import open_cluster
from cluster.preflight import Needs, check_host
from tuning.studies.plan import load_study

NEEDS = Needs(cpus=1.0, memory_gib=2.0, disk_gib=1.0)


def study(name: str, out: Path, address: str | None, *, retry_failed: bool = False) -> None:
    """Train everything, measure it on fresh trajectories, write tables, figures and the report.

    The same call again goes on where the last one stopped.

    Args:
        name: A shipped plan's name or a YAML file.
        out: Folder of the study. With several hosts, on storage that all of them mount.
        address: Head of a running cluster, or None for a local one.
        retry_failed: Forget failed and diverged runs of earlier sessions.

    Raises:
        ConfigError, ClusterError: Before anything long starts, where possible.
    """
    plan = load_study(name)
    plan.presets()  # a wrong sweep is found out before a cluster is started
    out = out.resolve()
    check_host(NEEDS, out)
    with open_cluster(address) as cluster:
        # Here, not above: these import RLlib and MLflow, and a wrong option should not wait for it.
        from pipeline.studies.synthetic.measuring.measure import measure
        from pipeline.studies.synthetic.publish import publish_run, publish_study
        from pipeline.studies.synthetic.report import write_study
        from pipeline.tracking.door import SweepRun
        from tuning.studies.run import plan_study, run_study

        click.echo(f"Ray: {cluster.address}, dashboard {cluster.dashboard_url or 'none'}")
        planned = plan_study(plan, out)
        with SweepRun(out, name=f"study-{plan.name}") as run:
            run_study(
                planned,
                retry_failed=retry_failed,
                on_trial=lambda folder: publish_run(run, folder),
            )
            measure(out)
            report = write_study(out)
            publish_study(run, out)
            page = run.page
    click.echo(f"Report      {report}")
    click.echo(f"Models      {out}/setting1/ddpg-base/best and so on")
    click.echo(f"MLflow      `make ui`, page {page}")
