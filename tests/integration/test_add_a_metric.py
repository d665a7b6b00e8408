"""The worked example "A new metric" of ``docs/extending.md``."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.scenarios.dataset import DatasetSource

ROOT = Path(__file__).resolve().parents[2]

COMPARE = """
import json, sys
from pathlib import Path
import envs.metrics
exec(sys.argv[1], vars(envs.metrics))  # as if it stood in that file
import pandas as pd, pyarrow.parquet as pq
from envs.rollout import Decision
from pipeline.baselines.base import PER_CLASS
from pipeline.comparison.columns import COLUMNS, comparison_table
from pipeline.comparison.table import comparison_markdown, comparison_text
from pipeline.evaluation.intervals import resample
from pipeline.evaluation.play import in_words, play_policy, summarize
from pipeline.evaluation.tiles import Candidate, evaluate_policies
from pipeline.runs.method import REFERENCE
from pipeline.runs.sweep import Selected, Sweep
from pipeline.scenarios.dataset import DatasetSource

source, out = DatasetSource(Path(sys.argv[2])), Path(sys.argv[3])
files = {REFERENCE: out / "evaluation" / f"{REFERENCE}.parquet", PER_CLASS: out / "b.parquet"}
for (name, file), level in zip(files.items(), (0.5, 2.0)):
    policy = play_policy(lambda seen, level=level: Decision(level * seen.scale))
    evaluate_policies(source, "test", {file: Candidate(policy, name)})
chosen = Selected("ddpg-both-c00-s0", 1.0, 1, 0, 1.0, {}, ["ddpg-both-c00-s0"])
table = comparison_table(
    Sweep(out, {}, {REFERENCE: chosen}), resample({n: [f] for n, f in files.items()}, 0), {},
    {REFERENCE: files[REFERENCE]},
)
rows = pd.read_parquet(files[REFERENCE])
assert list(table) == COLUMNS
print(json.dumps({
    "expected": float((rows["mean_demand"] - rows["mean_sales"]).astype(float).mean()),
    "row": table.iloc[0].to_dict(), "words": in_words(summarize(rows)),
    "markdown": comparison_markdown(table, ""), "terminal": comparison_text(table),
}))
"""


@pytest.fixture(scope="module")
def found(source: DatasetSource, tmp_path_factory: pytest.TempPathFactory) -> dict:
    """What a process with the example's metric says; no other test may see that metric."""
    text = (ROOT / "docs" / "extending.md").read_text()
    section = text.split("## A new metric")[1].split("\n## ")[0]
    (example,) = re.findall(r"```python\n(.*?)```", section, re.S)
    out = tmp_path_factory.mktemp("metric")
    (out / "evaluation").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", COMPARE, example, str(source.directory), str(out)],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    content: dict = json.loads(done.stdout.splitlines()[-1])
    return content


def test_it_is_a_column_with_interval_and_differences(found: dict) -> None:
    row = found["row"]
    assert row["lost_units"] == pytest.approx(found["expected"], rel=1e-5)
    assert row["lost_units_without_plan"] == pytest.approx(found["expected"], rel=1e-5)
    assert row["lost_units_ci_low"] < row["lost_units"] < row["lost_units_ci_high"]
    assert row["lost_units_vs_ddpg_both"] == 0.0
    # Who orders more loses less.
    assert row["lost_units_vs_baseline_ci_low"] > 0.0


def test_people_see_it(found: dict) -> None:
    value = f"{found['expected']:.2f}"
    assert f"lost demand {value} units" in found["words"]
    heading, _, line = found["markdown"].splitlines()[4:7]
    cells = dict(zip(heading.split(" | "), line.split(" | "), strict=True))
    assert cells["Lost demand, units per inventory and day"].startswith(value)
    assert cells["Lost demand vs DDPG BOTH, units"] == "0.00"
    assert "lost_units" in found["terminal"]
