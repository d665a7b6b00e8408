"""The published findings against what was measured: each holds, does not, or is not separable.

A rule on an interval decides every case: of a difference that should be above 0, that the interval
lies above; of one that should make no difference, that it lies within half a point or half a day
(:data:`NEAR`). A finding holds if all of its cases do, and does not if one does not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from pipeline.evaluation.intervals import Interval
from pipeline.runs.method import REFERENCE, Method
from pipeline.studies.offline.measuring.play import read_interval
from pipeline.studies.offline.measuring.published import PUBLISHED
from pipeline.studies.verdicts import Verdict, combined, verdict_of, verdict_within

NEAR = 0.5
"""Percentage points, or days, that count as no difference: the published DS rows are as near."""
Metric = Literal["stockouts_pp", "turnover_days"]
_UNITS: Mapping[Metric, str] = {"stockouts_pp": "pp", "turnover_days": "days"}
_WORDS: Mapping[Metric, str] = {"stockouts_pp": "stockout rate", "turnover_days": "turnover time"}


@dataclass(frozen=True)
class Case:
    """A difference that a finding implies: of ``first`` minus ``second``."""

    first: str
    second: str
    metric: Metric
    says: Literal["above", "below", "near"] = "above"

    @property
    def published(self) -> float:
        """The published difference."""
        place = 0 if self.metric == "stockouts_pp" else 1
        return PUBLISHED[self.first][place] - PUBLISHED[self.second][place]

    def verdict(self, found: Interval) -> Verdict:
        """What the interval says."""
        if self.says == "near":
            return verdict_within(found, NEAR)
        if self.says == "above":
            return verdict_of(found)
        return verdict_of(Interval(-found.value, -found.high, -found.low))

    def __str__(self) -> str:
        """In words."""
        labels = Method(self.first).label, Method(self.second).label
        return f"{_WORDS[self.metric]} of {labels[0]} minus that of {labels[1]}"


@dataclass(frozen=True)
class Finding:
    """What was published, and what it implies."""

    text: str
    cases: tuple[Case, ...]


@dataclass(frozen=True)
class Judged:
    """A finding with what was measured."""

    text: str
    verdict: Verdict
    evidence: tuple[tuple[str, str, Verdict], ...]
    """Of every case: what it is, its figures, its verdict."""

    @property
    def paragraph(self) -> str:
        """In words."""
        cases = [f"{what}: {figures}, {verdict}" for what, figures, verdict in self.evidence]
        return f"{self.text} **{self.verdict.capitalize()}.** {'; '.join(cases)}."


def _reference_runs_out_least() -> tuple[Case, ...]:
    return tuple(Case(name, REFERENCE, "stockouts_pp") for name in PUBLISHED if name != REFERENCE)


FINDINGS: tuple[Finding, ...] = (
    Finding("DDPG BOTH has fewer stockouts than every other row.", _reference_runs_out_least()),
    Finding(
        "Without regularization, or with BASE alone, DDPG has more stockouts and holds more "
        "stock than with BOTH.",
        tuple(
            Case(Method.of("ddpg", model), REFERENCE, metric)
            for model in ("none", "base")
            for metric in _UNITS
        ),
    ),
    Finding(
        "Each regularization by itself lowers DDPG's stockouts.",
        tuple(
            Case(Method.of("ddpg", model), "ddpg-none", "stockouts_pp", "below")
            for model in ("base", "coeff")
        ),
    ),
    Finding(
        "Regularization changes which algorithm wins: with NONE, DS has fewer stockouts than "
        "DDPG, with BOTH it has more.",
        (
            Case("ddpg-none", "ds-none", "stockouts_pp"),
            Case("ds-both", REFERENCE, "stockouts_pp"),
        ),
    ),
    Finding(
        "DS does not need it: its stockouts are nearly the same with all action models.",
        tuple(
            Case(Method.of("ds", model), "ds-none", "stockouts_pp", "near")
            for model in ("base", "coeff", "both")
        ),
    ),
)  # fmt: skip


def judged(pairs: pd.DataFrame) -> list[Judged]:
    """Every finding with its verdict.

    Args:
        pairs: Of :func:`~pipeline.studies.offline.measuring.published.pair_table`.
    """
    return [_judged(finding, pairs) for finding in FINDINGS]


def _judged(finding: Finding, pairs: pd.DataFrame) -> Judged:
    evidence = tuple(_evidence(finding, pairs))
    return Judged(finding.text, combined([verdict for *_, verdict in evidence]), evidence)


def _evidence(finding: Finding, pairs: pd.DataFrame) -> Iterator[tuple[str, str, Verdict]]:
    for case in finding.cases:
        row = pairs[(pairs["first"] == case.first) & (pairs["second"] == case.second)]
        if row.empty:
            yield str(case), "–", "not measured"
            continue
        found = read_interval(row.iloc[0].to_dict(), case.metric)
        published = f"published {case.published:+.2f}"
        yield str(case), f"{found.text(2, _UNITS[case.metric])} ({published})", case.verdict(found)
