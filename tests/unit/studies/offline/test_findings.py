"""Intervals decide what becomes of a published finding."""

from __future__ import annotations

import pandas as pd
import pytest

from pipeline.evaluation.intervals import Interval
from pipeline.studies.offline.findings import FINDINGS, Case, judged
from pipeline.studies.offline.measuring.published import PAIRS, PUBLISHED


def pairs_like(spread: float, **own: float) -> pd.DataFrame:
    """The published differences (or ``own`` instead), with intervals of ± ``spread``."""
    values = {name: PUBLISHED[name] for name in PUBLISHED}
    rows = []
    for first, second in PAIRS:
        if first not in values or second not in values:
            continue
        stockouts, turnover = (values[first][i] - values[second][i] for i in (0, 1))
        stockouts = own.get(f"{first}_{second}".replace("-", "_"), stockouts)
        rows.append(
            [first, second, stockouts, stockouts - spread, stockouts + spread,
             turnover, turnover - spread, turnover + spread]
        )  # fmt: skip
    columns = ["first", "second"]
    for stem in ("stockouts_pp", "turnover_days"):
        columns += [stem, f"{stem}_low", f"{stem}_high"]
    return pd.DataFrame(rows, columns=columns)


def test_the_published_numbers_say_what_was_published() -> None:
    found = judged(pairs_like(0.01))
    assert [finding.verdict for finding in found] == ["holds"] * len(FINDINGS)
    assert "published +10.10" in found[0].paragraph


def test_wide_intervals_separate_nothing() -> None:
    assert {finding.verdict for finding in judged(pairs_like(20.0))} == {"not separable"}


def test_one_case_refutes_a_finding() -> None:
    (first, *_) = judged(pairs_like(0.1, ds_base_ddpg_both=-1.0))
    assert first.verdict == "does not hold"
    assert [verdict for *_, verdict in first.evidence].count("does not hold") == 1


def test_what_was_not_played_is_not_judged() -> None:
    pairs = pairs_like(0.01)
    found = judged(pairs[~pairs["first"].str.startswith("ds")])
    # "Fewer than every other row" is not shown without those rows; what is about DDPG alone is.
    verdicts = [finding.verdict for finding in found]
    assert verdicts == ["not measured", "holds", "holds", "not measured", "not measured"]


@pytest.mark.parametrize(
    ("says", "low", "high", "verdict"),
    [
        ("above", 0.1, 0.9, "holds"), ("above", -0.9, -0.1, "does not hold"),
        ("above", -0.1, 0.1, "not separable"), ("below", -0.9, -0.1, "holds"),
        ("below", 0.1, 0.9, "does not hold"), ("near", -0.4, 0.4, "holds"),
        ("near", -0.4, 0.6, "not separable"), ("near", 0.6, 0.9, "does not hold"),
    ],
)  # fmt: skip
def test_a_case(says: str, low: float, high: float, verdict: str) -> None:
    case = Case("ds-base", "ddpg-both", "stockouts_pp", says)  # type: ignore[arg-type]
    assert case.verdict(Interval((low + high) / 2, low, high)) == verdict
