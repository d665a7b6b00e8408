"""The report's answer in words: which method is best, by how much, and how sure that is."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pandas as pd

from envs.metrics import Metric, listed, metric_names, service_metrics
from pipeline.baselines.base import PER_CLASS, day_rules, in_prose
from pipeline.baselines.rules import HINDSIGHT
from pipeline.comparison.results import SweepResults, display_name, rounded


@dataclass(frozen=True)
class Headline:
    """What a reader should take away."""

    answer: str
    """One sentence."""
    further: tuple[str, ...]
    """Whole sentences, the most important first."""


@dataclass(frozen=True)
class Tile:
    """A key figure."""

    title: str
    figure: str
    note: str


def headline(results: SweepResults) -> Headline:
    """The answer, in the words of someone who runs a warehouse."""
    found = _headline(results)
    return Headline(_unbroken(found.answer), tuple(map(_unbroken, found.further)))


def _headline(results: SweepResults) -> Headline:
    best = results.best
    if best is None:
        return Headline(
            "No method finished a trial, so there is nothing to compare.",
            ("The causes are listed under “Failed trials”.",),
        )
    baseline = results.baseline()
    lead = _lead(results, best)
    if baseline is None:
        answer = f"{lead}: {_cost(best)} per inventory and day at {_service(best)}."
    else:
        answer = f"{lead}: {_against(best, baseline, _finished(results))}."
    further = [
        *_ties(results, best),
        *_intervals(best),
        *_cheaper_baselines(results, best),
        *_orders(results),
        *_without_plan(best),
        *_hindsight(results, best, baseline),
        *_failed(results),
    ]
    return Headline(answer, tuple(further))


def _finished(results: SweepResults) -> int:
    return int(results.methods["cost"].notna().sum())


def _lead(results: SweepResults, best: pd.Series) -> str:
    """ "Best" only where the interval of every difference leaves out 0."""
    name, finished = _name(best), _finished(results)
    if finished == 1:
        return name
    others = results.methods[results.methods["cost"].notna()]
    others = others[others["name"] != best["name"]]
    clear = all(
        results.figure(row, "cost_pct_vs_best").excludes_zero for _, row in others.iterrows()
    )
    objective = results.sweep.objective
    first = f"has the {'least' if objective.lower_is_better else 'most'} {objective.metric}"
    return f"{name} {'is the best' if clear else first} of {finished} methods"


def _against(best: pd.Series, baseline: pd.Series, among: int) -> str:
    """All of cost, stockouts, stock and fill: a gain on one alone says nothing."""
    found = SweepResults.figure(best, "cost_pct_vs_baseline")
    prose, service = in_prose(PER_CLASS), _service(best, baseline)
    way = "less" if found.value < 0 else "more"
    chosen = f"; the cheapest of {among} compared" if among > 1 else ""
    if not math.isfinite(found.low):
        return f"it costs {abs(found.value):.1f} % {way} than {prose} (no interval) at {service}"
    if not found.excludes_zero:
        return (
            f"its cost cannot be told apart from that of {prose} ({_signed(found.value)}, 95 % "
            f"interval {_signed(found.low)} to {_signed(found.high)}{chosen}) at {service}"
        )
    near, far = sorted((abs(found.low), abs(found.high)))
    return (
        f"it costs {abs(found.value):.1f} % {way} [{near:.1f}, {far:.1f}] than {prose} at "
        f"{service} (95 % interval{chosen})"
    )


def _service(row: pd.Series, baseline: pd.Series | None = None) -> str:
    """All metrics but the cost, each with the baseline's in brackets."""

    def clause(metric: Metric) -> str:
        own, other = (
            "" if of is None else f"{rounded(of[metric.name])}{metric.words.sign}"
            for of in (row, baseline)
        )
        return metric.words.clause.format(f"{own} ({other})" if other else own)

    return listed(clause(metric) for metric in service_metrics())


def _cost(row: pd.Series) -> str:
    return f"{rounded(row['cost'])} ({_interval(row)})"


def _interval(row: pd.Series) -> str:
    if not math.isfinite(row["ci_low"]):
        return "no interval"
    return f"95 % interval {rounded(row['ci_low'])} to {rounded(row['ci_high'])}"


def tiles(results: SweepResults) -> list[Tile]:
    """Key figures of the learned method with the least cost."""
    best, baseline = results.best, results.baseline()
    if best is None:
        return []
    note = _unbroken(f"money per inventory and day, {_interval(best)}")
    shown = [Tile(f"cost of {_name(best)}", rounded(best["cost"]), note)]
    if baseline is not None:
        found = results.figure(best, "cost_pct_vs_baseline")
        note = "no interval"
        if math.isfinite(found.low):
            note = f"95 % interval {_signed(found.low)} to {_signed(found.high)}"
        title = f"cost against {in_prose(PER_CLASS)}"
        shown.append(Tile(title, _unbroken(_signed(found.value)), _unbroken(note)))
    for metric in service_metrics():
        name, unit = metric.name, metric.words.suffix
        note = "all inventories"
        if baseline is not None:
            note = f"{in_prose(PER_CLASS)}: {rounded(baseline[name])} {unit}"
        shown.append(Tile(metric.words.name, f"{rounded(best[name])} {unit}", _unbroken(note)))
    return shown


def _unbroken(text: str) -> str:
    """Keeps a percent sign on the line of its number."""
    return text.replace(" %", "\N{NO-BREAK SPACE}%")


def _name(row: pd.Series) -> str:
    return display_name(row["algorithm"], row["action_model"])


def _signed(percent: float) -> str:
    return f"{percent:+.1f} %".replace("-", "−")


def _ties(results: SweepResults, best: pd.Series) -> list[str]:
    tied = []
    for _, row in results.methods.dropna(subset=["cost"]).iterrows():
        found = results.figure(row, "cost_pct_vs_best")
        if row["name"] != best["name"] and math.isfinite(found.low) and not found.excludes_zero:
            tied.append(_name(row))
    if not tied:
        return []
    verb = "is" if len(tied) == 1 else "are"
    return [
        f"{listed(tied)} {verb} as good within the margin of error: the 95 % interval of the "
        "difference in cost (for all methods together) includes 0."
    ]


def _intervals(best: pd.Series) -> list[str]:
    """What the intervals do not hold."""
    lacks = [part for part in str(best["interval_note"]).split("; ")[1:] if part]
    return [f"The intervals of {_name(best)}: {'; '.join(lacks)}."] if lacks else []


def _cheaper_baselines(results: SweepResults, best: pd.Series) -> list[str]:
    """Of the baselines that the answer does not speak of."""
    others = results.baselines[~results.baselines["name"].isin([PER_CLASS, HINDSIGHT.name])]
    return [
        f"{_name(row)}, a baseline, is cheaper still: {_cost(row)} at {_service(row)}."
        for _, row in others[others["cost"] < best["cost"]].iterrows()
    ]


def _orders(results: SweepResults) -> list[str]:
    """Who makes the orders: the best on validation, methods and baselines alike."""
    objective = results.sweep.objective
    learned = results.sweep.best()
    validation = results.table.set_index("name")["validation_cost"]
    rules = validation[validation.index.isin(day_rules())]
    if learned is None or rules.isna().all():
        return []
    method, figure = learned
    rule = str(rules.map(objective.signed).idxmin())
    of_rule, name = float(rules[rule]), method.label
    if objective.signed(of_rule) < objective.signed(figure):
        return [
            f"The orders come from {in_prose(rule)}: it was better on validation than every "
            f"learned method ({objective.metric} {rounded(of_rule)} against {rounded(figure)} of "
            f"{name})."
        ]
    return [
        f"The orders come from {name}, the best on validation ({objective.metric} "
        f"{rounded(figure)}; {in_prose(rule)} {rounded(of_rule)})."
    ]


def _without_plan(best: pd.Series) -> list[str]:
    change = float(best["cost_pct_without_plan"])
    if not math.isfinite(change):
        return []
    blind = pd.Series({metric: best[f"{metric}_without_plan"] for metric in metric_names()})
    return [
        f"On mornings that know no promotion, event or assortment ahead {_name(best)} costs "
        f"{_signed(change)} at {_service(blind)}."
    ]


def _hindsight(results: SweepResults, best: pd.Series, baseline: pd.Series | None) -> list[str]:
    bound = results.baseline_cost(HINDSIGHT.name)
    if not math.isfinite(bound):
        return []
    sentence = f"Someone who knew all demand beforehand could not get below {rounded(bound)}"
    if baseline is not None and bound < best["cost"] < baseline["cost"]:
        closed = 100 * (baseline["cost"] - best["cost"]) / (baseline["cost"] - bound)
        sentence += (
            f"; {_name(best)} closes {closed:.0f} % of the way there in cost from "
            f"{in_prose(PER_CLASS)}"
        )
    return [sentence + "."]


def _failed(results: SweepResults) -> list[str]:
    failed = [_name(row) for _, row in results.methods[results.methods["cost"].isna()].iterrows()]
    if not failed:
        return []
    verb = "has" if len(failed) == 1 else "have"
    return [f"{listed(failed)} {verb} no finished trial and no figures."]
