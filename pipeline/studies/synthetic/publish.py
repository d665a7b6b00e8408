"""What of a study goes to MLflow: tables, figures, the report, test costs."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from pipeline.studies.synthetic.folder import PLAN, REPORT, StudyFolder
from pipeline.tracking.door import SweepRun
from pipeline.tracking.publish import publish_trial

TABLES = ("methods.csv", "claims.csv")


def publish_run(run: SweepRun, folder: Path) -> None:
    """Logs one ended run of the study as ``setting1/ddpg-base-c00-s0`` and the like."""
    publish_trial(run, folder, f"{folder.parent.parent.name}/{folder.name}")


def publish_study(run: SweepRun, directory: Path) -> None:
    """Logs a reported study; doing it again changes nothing that is logged already.

    Args:
        run: Entered.
        directory: The study's, with its report written.
    """
    folder = StudyFolder(directory)
    plan = folder.plan()
    run.log_params({"study": plan["name"], "test_trajectories": plan["test"]["trajectories"]})
    run.log_text((directory / PLAN).read_text(), PLAN)
    for path in sorted(directory.glob("*/trials/*/result.json")):
        publish_run(run, path.parent)
    for name in TABLES:
        table = pd.read_csv(directory / name)
        run.log_table(table, name.replace(".csv", ".json"))
        run.log_artifact(directory / name)
    for path in sorted((directory / "measured").glob("*.csv")):
        run.log_artifact(path, "measured")
    for path in sorted((directory / "figures").glob("*.png")):
        run.log_artifact(path, "figures")
    run.log_artifact(directory / REPORT)
    methods = pd.read_csv(directory / "methods.csv").dropna(subset=["test"])
    run.log_metrics(
        {
            f"test_cost/{row['setting']}-{row['method']}": float(row["test"])
            for row in methods.to_dict("records")
        }
    )
