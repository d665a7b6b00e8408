"""The study's claims against what was measured: holds, does not hold, or not separable."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pipeline.evaluation.intervals import Interval, mean_difference
from pipeline.runs.method import Method
from pipeline.studies.synthetic.findings.tuning_speed import (
    Tried,
    needed_to_beat,
    regret,
    regret_difference,
)
from pipeline.studies.synthetic.results import ALGORITHMS, SETTING_NAMES, StudyResults
from pipeline.studies.verdicts import Verdict, combined, verdict_of

UPDATES = 10_000
"""Of the critic, that claim iv is about."""
TRIED = 3
"""Configurations after which tuning speed is compared."""


@dataclass(frozen=True)
class Case:
    """One comparison that a claim implies."""

    what: str
    evidence: str
    verdict: Verdict


@dataclass(frozen=True)
class Claim:
    """A claim and all its cases."""

    number: str
    text: str
    measure: str
    """What the figures of the cases are."""
    cases: list[Case]

    @property
    def verdict(self) -> Verdict:
        """Over all cases."""
        return combined([case.verdict for case in self.cases])

    @property
    def tally(self) -> str:
        """``5 of 9 hold, 1 does not, 3 not separable``."""
        count = {v: sum(c.verdict == v for c in self.cases) for v in ("holds", "does not hold")}
        rest = len(self.cases) - sum(count.values())
        return (
            f"{count['holds']} of {len(self.cases)} hold, {count['does not hold']} do not, "
            f"{rest} not separable or not measured"
        )


def claims(results: StudyResults) -> list[Claim]:
    """All six claims, each case with its figures."""
    return [
        Claim(
            "i", "BASE cuts the test loss of all three algorithms.",
            "Test gap to the reference of NONE minus that of BASE, percentage points, with 95 % "
            "interval over seeds of the selected configurations.",
            list(_base_cuts_loss(results)),
        ),
        Claim(
            "ii", "With BASE, tuned DDPG and PPO beat DS at few trajectories.",
            "Test gap of DS BASE minus that of the other, percentage points.",
            list(_beat_ds(results)),
        ),
        Claim(
            "iii", "DS overfits: better than DDPG on validation, worse on test (setting 3, BASE).",
            "Costs per day. The claim's reason, that DS does not learn across time, is not tested.",
            list(_overfits(results)),
        ),
        Claim(
            "iv", "Regularization stabilises the Q-function.",
            f"Critic loss over the first {UPDATES:,} updates, all else equal: ratio NONE / BASE of "
            "the geometric means, with 95 % interval over seeds.",
            list(_critic(results)),
        ),
        Claim(
            "v", "More training days do not rescue DS at N = 5, more trajectories do (setting 4).",
            "Test gap to 100 + 1.282σ, percentage points; every seed draws its own SKUs.",
            list(_horizon(results)),
        ),
        Claim(
            "vi", "Regularization makes tuning faster.",
            f"How much worse the best of {TRIED} configurations is than the best of all (expected "
            "test loss, %): NONE minus BASE, bootstrap interval over configurations.",
            list(_tuning(results)),
        ),
    ]  # fmt: skip


def _base_cuts_loss(results: StudyResults) -> Iterator[Case]:
    for setting in results.settings:
        for algorithm in ALGORITHMS:
            gain = mean_difference(
                results.final(setting, Method.of(algorithm, "none")),
                results.final(setting, Method.of(algorithm, "base")),
            )
            yield Case(
                f"{SETTING_NAMES[setting]}: {algorithm.upper()}",
                gain.text(1, "pp"),
                verdict_of(gain),
            )


def _beat_ds(results: StudyResults) -> Iterator[Case]:
    for setting in results.settings:
        for algorithm in ("ddpg", "ppo"):
            lead = mean_difference(
                results.final(setting, "ds-base"),
                results.final(setting, Method.of(algorithm, "base")),
            )
            yield Case(
                f"{SETTING_NAMES[setting]}: {algorithm.upper()}",
                lead.text(1, "pp"),
                verdict_of(lead),
            )


def _overfits(results: StudyResults) -> Iterator[Case]:
    if "setting3" not in results.settings:
        return
    for column, what, sign in (
        ("validation", "DS is better on validation (DDPG minus DS)", 1),
        ("test", "DS is worse on test (DS minus DDPG)", -1),
    ):
        ddpg = results.final("setting3", "ddpg-base", column)
        ds = results.final("setting3", "ds-base", column)
        lead = mean_difference(ddpg, ds) if sign > 0 else mean_difference(ds, ddpg)
        yield Case(what, lead.text(3), verdict_of(lead))


def _critic(results: StudyResults) -> Iterator[Case]:
    table = results.critic
    if table.empty:
        return
    table = table[(table["updates"] <= UPDATES) & (table["critic_loss"] > 0)]
    table = table.assign(log=np.log(table["critic_loss"]))
    by_seed = table.groupby(["setting", "action_model", "seed"])["log"].mean()
    for setting in dict.fromkeys(table["setting"]):
        none, base = (
            list(by_seed[setting][model]) if model in by_seed[setting].index else []
            for model in ("none", "base")
        )
        ratio = mean_difference(none, base)
        shown = Interval(*(math.exp(x) for x in (ratio.value, ratio.low, ratio.high)))
        yield Case(SETTING_NAMES[setting], "× " + shown.text(2), verdict_of(ratio))


def _horizon(results: StudyResults) -> Iterator[Case]:
    table = results.horizon
    if table.empty:
        return
    gaps = {key: list(rows["gap_pct"]) for key, rows in table.groupby(["n", "t"])}
    fewest, most = int(table["n"].min()), int(table["n"].max())
    longest = int(table["t"].max())
    same = longest * fewest // most
    earlier = [t for t in sorted(set(table["t"])) if t < longest]

    def case(what: str, worse: tuple[int, int], better: tuple[int, int]) -> Case:
        gain = mean_difference(gaps.get(worse, []), gaps.get(better, []))
        return Case(what, gain.text(1, "pp"), verdict_of(gain))

    yield case(
        f"As much demand seen: {fewest} SKUs × {longest} days are worse than {most} × {same}",
        (fewest, longest), (most, same),
    )  # fmt: skip
    yield case(
        f"More SKUs help: {fewest} minus {most}, at {longest} days",
        (fewest, longest), (most, longest),
    )  # fmt: skip
    if len(earlier) > 1:
        gain = mean_difference(gaps.get((fewest, earlier[1]), []), gaps.get((fewest, longest), []))
        # "Do not rescue" is the claim: days that clearly help would speak against it.
        verdict: Verdict = {
            "holds": "does not hold", "does not hold": "holds", "not measured": "not measured",
        }.get(verdict_of(gain), "not separable")  # type: ignore[assignment]  # fmt: skip
        yield Case(
            f"More days do not: {fewest} SKUs, {earlier[1]} minus {longest} days",
            gain.text(1, "pp"), verdict,
        )  # fmt: skip


def _tuning(results: StudyResults) -> Iterator[Case]:
    for setting in results.settings:
        for algorithm in ALGORITHMS:
            none, base = (
                Tried.of(results.trials, setting, Method.of(algorithm, model))
                for model in ("none", "base")
            )
            gain = regret_difference(none, base, TRIED)
            if math.isnan(gain.value):
                yield Case(f"{SETTING_NAMES[setting]}: {algorithm.upper()}", "", "not measured")
                continue
            needed = needed_to_beat(base, none)
            beaten = (
                f"BASE needs {needed} to beat NONE's {len(none.test)}" if needed
                else f"BASE's {len(base.test)} do not beat NONE's {len(none.test)}"
            )  # fmt: skip
            yield Case(
                f"{SETTING_NAMES[setting]}: {algorithm.upper()}",
                f"{gain.text(1, 'pp')} (NONE {regret(none, TRIED):.1f}, "
                f"BASE {regret(base, TRIED):.1f}); {beaten}",
                verdict_of(gain),
            )
