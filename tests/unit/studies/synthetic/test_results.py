"""Claims, figures and the page from made-up measurements."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from envs.errors import ConfigError
from pipeline.comparison.style import LIGHT
from pipeline.studies.synthetic.findings.claims import claims
from pipeline.studies.synthetic.findings.figures import FIGURES
from pipeline.studies.synthetic.findings.growth import overtaking
from pipeline.studies.synthetic.findings.plots_diagnostics import sensitivity_table
from pipeline.studies.synthetic.report import write_study
from pipeline.studies.synthetic.results import StudyResults

TEST = {"ddpg-none": 1.3, "ddpg-base": 0.87, "ppo-none": 1.2, "ppo-base": 0.88,
        "ds-none": 1.25, "ds-base": 0.95}  # fmt: skip
REFERENCE = 0.85


def trials() -> pd.DataFrame:
    """Five configurations; the first of them selected, with three seeds."""
    rng = np.random.default_rng(1)
    rows = []
    for setting in ("setting1", "setting3"):
        for method, level in TEST.items():
            algorithm, model = method.split("-")
            for c, s in [*((c, 0) for c in range(5)), (0, 1), (0, 2)]:
                cost = level * (1 + (0.3 if model == "none" else 0.02) * c) + 0.002 * rng.random()
                validation = cost - (0.2 if algorithm == "ds" else 0.05)
                rows.append(
                    {
                        "setting": setting, "key": f"{method}-c{c:02d}-s{s}", "method": method,
                        "algorithm": algorithm, "action_model": model, "configuration": c,
                        "seed": s, "status": "finished", "seconds": 3.0, "validation": validation,
                        "test": cost, "test_error": 0.001,
                        "gap_pct": 100 * (cost / REFERENCE - 1), "gap_low": 0.0, "gap_high": 0.0,
                        "selected": c == 0 and s == 1, "final": c == 0,
                        "training": json.dumps({"lr": 10.0 ** -(2 + c / 2), "hidden": [32, 32]}),
                    }
                )  # fmt: skip
    return pd.DataFrame(rows)


@pytest.fixture
def study(tmp_path: Path) -> Path:
    rng = np.random.default_rng(2)
    common = {"status": "finished", "seconds": 1.0, "validation": 1.0}
    tables = {
        "references": pd.DataFrame(
            [{"setting": s, "reference": "best", "cost": REFERENCE, "error": 0.001,
              "expected": np.nan} for s in ("setting1", "setting3", "setting4")]
        ),
        "trials": trials(),
        "horizon": pd.DataFrame(
            [{"n": n, "t": t, "seed": s, "gap_pct": 100 / n + rng.random(), **common}
             for n in (5, 20) for t in (4, 16, 64) for s in range(3)]
        ),
        "growth": pd.DataFrame(
            [{"setting": "setting1", "method": m, "n": n, "seed": s, **common,
              "test": 1 + 1 / n + 0.1 * rng.random()}
             for m in TEST for n in (5, 100) for s in range(2)]
        ),
        "critic": pd.DataFrame(
            [{"setting": "setting1", "action_model": m, "seed": s, "updates": u,
              "critic_loss": level * (1 + rng.random())}
             for m, level in (("none", 10.0), ("base", 1.0)) for s in range(3)
             for u in (100, 200, 20_000)]
        ),
        "q_error": pd.DataFrame(
            [{"setting": "setting1", "action_model": m, "seed": s, "bias": 0.1, "rmse": 0.5,
              "return_mean": -1.0, "return_std": 0.6, "correlation": 0.4}
             for m in ("none", "base") for s in range(2)]
        ),
        "outputs": pd.DataFrame(
            [{"setting": "setting1", "method": m, "inventory": x, "output": 40.0, "slope": 0.0}
             for m in TEST for x in (-10.0, 20.0)]
        ),
    }  # fmt: skip
    (tmp_path / "measured").mkdir()
    for name, table in tables.items():
        table.to_csv(tmp_path / "measured" / f"{name}.csv", index=False)
    plan = {"name": "made-up", "description": "Made up.", "test": {"trajectories": 100, "seed": 0}}
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(plan))
    return tmp_path


def test_claims_follow_from_the_figures(study: Path) -> None:
    verdicts = {claim.number: claim.verdict for claim in claims(StudyResults.read(study))}
    assert verdicts["i"] == verdicts["ii"] == verdicts["iv"] == "holds"
    assert verdicts["vi"] in ("holds", "not separable")  # five configurations
    cases = {c.what: c for claim in claims(StudyResults.read(study)) for c in claim.cases}
    assert cases["More SKUs help: 5 minus 20, at 64 days"].verdict == "holds"
    assert cases["More days do not: 5 SKUs, 16 minus 64 days"].verdict == "not separable"
    ratio = next(c for c in cases.values() if c.evidence.startswith("×"))
    assert 7 < float(ratio.evidence.split()[1]) < 14


def test_a_claim_that_is_wrong_is_said_to_be_wrong(study: Path) -> None:
    path = study / "measured" / "trials.csv"
    table = pd.read_csv(path)
    swapped = {"ds-base": "ddpg-base", "ddpg-base": "ds-base"}
    table["method"] = table["method"].map(lambda m: swapped.get(m, m))
    table.to_csv(path, index=False)
    found = {claim.number: claim for claim in claims(StudyResults.read(study))}
    assert found["ii"].verdict == "does not hold"
    assert {case.verdict for case in found["ii"].cases} == {"does not hold"}


def test_parts_that_were_not_run_are_not_measured(study: Path) -> None:
    for name in ("horizon", "critic", "growth", "q_error", "outputs"):
        (study / "measured" / f"{name}.csv").write_text("\n")
    results = StudyResults.read(study)
    verdicts = {claim.number: claim.verdict for claim in claims(results)}
    assert verdicts["iv"] == verdicts["v"] == "not measured"
    drawn = {figure.name for figure in FIGURES if figure.draw(results, LIGHT) is not None}
    assert "1-gap" in drawn
    assert not drawn & {"3-horizon", "4-critic", "5b-growth", "7-outputs"}


def test_the_table_gives_the_selected_model_and_all_seeds(study: Path) -> None:
    table = StudyResults.read(study).table().set_index(["setting", "method"])
    row = table.loc[("setting1", "ddpg-base")]
    assert row["n_seeds"] == 3
    assert row["n_configs"] == 5
    assert row["seeds_low"] < row["seeds_test"] < row["seeds_high"]
    assert row["test"] == pytest.approx(0.87, abs=0.003)


def test_the_sensitivity_is_that_of_the_rates() -> None:
    table = sensitivity_table(trials()).set_index(["algorithm", "hyperparameter"])
    assert list(table.index.get_level_values(1).unique()) == ["lr"]  # hidden was not searched
    row = table.loc[("DDPG", "lr")]
    assert row["none_rank"] == pytest.approx(-1.0)
    assert row["none_effect"] > row["base_effect"] > 0


def test_the_page_holds_every_figure_and_claim(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.studies.synthetic.findings.figures.DPI", 20)
    text = write_study(study).read_text()
    assert text.count("data:image/png") == 2 * len(list((study / "figures").glob("*.png")))
    assert len(list((study / "figures").glob("*.png"))) == len(FIGURES)
    for claim in claims(StudyResults.read(study)):
        assert claim.text in text
    assert pd.read_csv(study / "claims.csv")["verdict"].notna().all()


def test_a_study_that_was_not_measured_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not measured"):
        StudyResults.read(tmp_path)


def test_ds_overtakes_where_it_stays_cheaper(study: Path) -> None:
    path = study / "measured" / "growth.csv"
    costs = {5: (0.9, 1.0), 10: (1.2, 1.0), 100: (0.99, 1.0), 300: (0.5, 1.0)}
    pd.DataFrame(
        [
            {"setting": "setting2", "method": method, "n": n, "seed": s, "seconds": 1.0,
             "validation": 1.0, "test": cost + 0.01 * s}
            for n, pair in costs.items()
            for method, cost in zip(("ds-base", "ddpg-base"), pair, strict=True)
            for s in range(3)
        ]
    ).to_csv(path, index=False)  # fmt: skip
    rows = {row.other: row for row in overtaking(StudyResults.read(study))}
    assert (rows["DDPG BASE"].cheaper, rows["DDPG BASE"].clear) == (100, 300)
    assert rows["PPO BASE"].cheaper is None  # was not run
