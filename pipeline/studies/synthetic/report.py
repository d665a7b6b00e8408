"""One self-contained HTML of a study: claims and evidence, tables, figures."""

from __future__ import annotations

import base64
import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.comparison.figures import write_plots
from pipeline.comparison.pages import page
from pipeline.comparison.style import DARK
from pipeline.runs.result import RunResult
from pipeline.studies.synthetic.findings.claims import Claim, claims
from pipeline.studies.synthetic.findings.figures import FIGURES, render
from pipeline.studies.synthetic.findings.growth import overtaking
from pipeline.studies.synthetic.findings.plots_diagnostics import sensitivity_table
from pipeline.studies.synthetic.folder import REPORT
from pipeline.studies.synthetic.results import SETTING_NAMES, StudyResults
from pipeline.tools.files import write_csv, write_text


def write_study(directory: Path) -> Path:
    """Writes ``study.html``, ``figures/*.png``, ``methods.csv`` and ``claims.csv``.

    Args:
        directory: A study that :func:`~pipeline.studies.synthetic.measuring.measure.measure` has
            been through.

    Returns:
        Path of the report.

    Raises:
        ConfigError: The folder holds no measured study.
    """
    results = StudyResults.read(directory)
    light, dark = render(results), render(results, DARK)
    write_plots(light, results.folder.figures)
    found = claims(results)
    methods = results.table()
    paths = directory.glob("*/trials/*/result.json")
    ended = [result for path in paths if (result := RunResult.read(path.parent)) is not None]
    write_csv(directory / "methods.csv", methods)
    write_csv(directory / "claims.csv", claims_table(found))
    text = page(
        "study.html.j2",
        title="DeepStock: the synthetic study",
        date=datetime.now(UTC).strftime("%Y-%m-%d"),
        plan=results.plan,
        settings=SETTING_NAMES,
        claims=found,
        methods=_by_setting(methods),
        references=results.references.to_dict("records"),
        slopes=_slopes(results),
        q_errors=_q_errors(results),
        overtaking=overtaking(results),
        sensitivity=_shown(sensitivity_table(results.trials)),
        figures=[
            {
                "name": figure.name, "title": figure.title, "caption": figure.caption,
                "light": _inline(light[figure.name]), "dark": _inline(dark[figure.name]),
            }
            for figure in FIGURES
            if figure.name in light
        ],
        runs=len(ended),
        hours=sum(result.seconds for result in ended) / 3600,
        number=number,
    )  # fmt: skip
    write_text(directory / REPORT, text)
    return directory / REPORT


def claims_table(found: list[Claim]) -> pd.DataFrame:
    """One row per case: claim, what, evidence, verdict."""
    return pd.DataFrame(
        [
            {
                "claim": claim.number, "text": claim.text, "case": case.what,
                "evidence": case.evidence, "verdict": case.verdict, "overall": claim.verdict,
            }
            for claim in found
            for case in claim.cases
        ],
        columns=["claim", "text", "case", "evidence", "verdict", "overall"],
    )  # fmt: skip


def number(value: Any, digits: int = 3) -> str:
    """A number, or a dash where there is none."""
    return "–" if value is None or not math.isfinite(value) else f"{value:,.{digits}f}"


def _inline(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode()


def _by_setting(methods: pd.DataFrame) -> dict[str, list[dict[str, Any]]]:
    """Rows by setting; the least mean over seeds is marked."""
    result: dict[str, list[dict[str, Any]]] = {}
    for setting, rows in methods.groupby("setting"):
        least = rows["seeds_test"].min()
        result[str(setting)] = [
            {**row, "best": row["seeds_test"] == least, "over_best": row["seeds_test"] / least}
            for row in rows.to_dict("records")
        ]
    return result


def _slopes(results: StudyResults) -> list[dict[str, Any]]:
    if results.outputs.empty:
        return []
    rows = results.outputs.groupby(["method", "setting"], sort=False)["slope"].first().unstack()
    return [
        {"method": str(method).upper().replace("-", " "), "slopes": row.to_dict()}
        for method, row in rows.iterrows()
    ]


def _q_errors(results: StudyResults) -> list[dict[str, Any]]:
    if results.q_error.empty:
        return []
    table = results.q_error.assign(
        share=results.q_error["rmse"] / results.q_error["return_std"],
        bias_share=results.q_error["bias"] / results.q_error["return_mean"].abs(),
    )
    columns = ["rmse", "share", "bias_share", "correlation"]
    mean = table.groupby(["setting", "action_model"], sort=False)[columns].mean()
    spread = table.groupby(["setting", "action_model"], sort=False)["rmse"].std()
    return [
        {
            "setting": setting, "action_model": str(model).upper(), **row.to_dict(),
            "rmse_std": float(spread[(setting, model)]),
        }
        for (setting, model), row in mean.iterrows()
    ]  # fmt: skip


def _shown(table: pd.DataFrame) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = table.to_dict("records")
    return records
