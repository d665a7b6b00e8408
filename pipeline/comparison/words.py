"""The report's answer in words: which method is best, by how much, and how sure that is."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pandas as pd

from envs.metrics import COST, METRICS, Metric, listed, metric_names
from pipeline.baselines.base import PER_CLASS, day_rules, in_prose
from pipeline.baselines.rules import HINDSIGHT
from pipeline.comparison.columns import ends
from pipeline.comparison.results import SweepResults, display_name, rounded
from pipeline.runs.sweep import Sweep


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
        metric = results.judged
        unit = "" if metric.words.sign else f" {metric.words.suffix}"
        answer = f"{lead}: {_figure(metric, best)}{unit} at {_others(metric, best)}."
    else:
        answer = f"{lead}: {_against(results, best, baseline)}."
    further = [
        *_ties(results, best),
        *_intervals(best),
        *_better_baselines(results, best),
        *_orders(results),
        *_without_plan(best),
        *_hindsight(results, best, baseline),
        *_failed(results),
    ]
    return Headline(answer, tuple(further))


def starts_in_words(sweep: Sweep) -> str:
    """Which methods did not start from nothing; "" if all did."""
    found = sweep.imitating()
    if not found:
        return ""
    trained = [method for method, choice in sweep.selected.items() if choice.trial is not None]
    missing = {method.algorithm for method in trained if method not in found}
    whole = dict.fromkeys(m.algorithm.upper() for m in found if m.algorithm not in missing)
    some = [method.label for method in found if method.algorithm in missing]
    names = listed([*whole, *some])
    return f"{names} started from what {in_prose(PER_CLASS)} orders."


def _finished(results: SweepResults) -> int:
    return int(results.methods["cost"].notna().sum())


def _lead(results: SweepResults, best: pd.Series) -> str:
    """ "Best" only where the interval of every difference leaves out 0."""
    name, finished = _name(best), _finished(results)
    if finished == 1:
        return name
    others = results.methods[results.methods["cost"].notna()]
    others = others[others["name"] != best["name"]]
    clear = results.by_cost and all(
        results.figure(row, "cost_pct_vs_best").excludes_zero for _, row in others.iterrows()
    )
    return f"{name} {'is the best' if clear else f'has {best_by(results)}'} of {finished} methods"


def best_by(results: SweepResults) -> str:
    """``the least cost``: what makes a method the best."""
    least = results.sweep.objective.lower_is_better
    return f"the {'least' if least else 'most'} {results.judged_by}"


def _against(results: SweepResults, best: pd.Series, baseline: pd.Series) -> str:
    """All of cost, stockouts, stock and fill: a gain on one alone says nothing."""
    metric, among, prose = results.judged, _finished(results), in_prose(PER_CLASS)
    found = SweepResults.figure(best, f"{metric.stem}_vs_baseline")
    others, words = _others(metric, best, baseline), metric.words
    first = words.best if results.judged_by == words.name else f"best by {results.judged_by}"
    chosen = f"; the {first} of {among} compared" if among > 1 else ""
    if math.isfinite(found.low) and not found.excludes_zero:
        value, low, high = (_signed(v, metric) for v in (found.value, found.low, found.high))
        return (
            f"its {words.name} cannot be told apart from that of {prose} ({value}, 95 % "
            f"interval {low} to {high}{chosen}) at {others}"
        )
    near, far = sorted((abs(found.low), abs(found.high)))
    known = math.isfinite(found.low)
    compared = words.compared.format(
        name=words.name,
        amount=f"{abs(found.value):.1f} {metric.unit_of_differences}",
        way=words.ways[found.value >= 0],
        range=f" [{near:.1f}, {far:.1f}]" if known else "",
        other=prose,
    )
    if not known:
        return f"{compared} (no interval) at {others}"
    return f"{compared} at {others} (95 % interval{chosen})"


def _others(but: Metric, row: pd.Series, baseline: pd.Series | None = None) -> str:
    """All metrics but one, each with the baseline's in brackets."""

    def clause(metric: Metric) -> str:
        own, other = (
            "" if of is None else f"{rounded(of[metric.name])}{metric.words.sign}"
            for of in (row, baseline)
        )
        return metric.words.clause.format(f"{own} ({other})" if other else own)

    return listed(clause(metric) for metric in METRICS if metric is not but)


def _figure(metric: Metric, row: pd.Series) -> str:
    return f"{rounded(row[metric.name])}{metric.words.sign} ({_interval(metric, row)})"


def _interval(metric: Metric, row: pd.Series) -> str:
    low, high = (float(row[end]) for end in ends(metric.name).values())
    if not math.isfinite(low):
        return "no interval"
    return f"95 % interval {rounded(low)} to {rounded(high)}"


def tiles(results: SweepResults) -> list[Tile]:
    """Key figures of the learned method that is best by the objective."""
    best, baseline, judged = results.best, results.baseline(), results.judged
    if best is None:
        return []
    note = _unbroken(f"{judged.words.unit}, {_interval(judged, best)}")
    shown = [Tile(f"{judged.words.name} of {_name(best)}", rounded(best[judged.name]), note)]
    if baseline is not None:
        found = results.figure(best, f"{judged.stem}_vs_baseline")
        value, low, high = (_signed(v, judged) for v in (found.value, found.low, found.high))
        note = f"95 % interval {low} to {high}" if math.isfinite(found.low) else "no interval"
        title = f"{judged.words.name} against {in_prose(PER_CLASS)}"
        shown.append(Tile(title, _unbroken(value), _unbroken(note)))
    for metric in (metric for metric in METRICS if metric is not judged):
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


def _signed(difference: float, metric: Metric = COST) -> str:
    return f"{difference:+.1f} {metric.unit_of_differences}".replace("-", "−")


def _ties(results: SweepResults, best: pd.Series) -> list[str]:
    if not results.by_cost:  # differences to the best are known of the cost alone
        return []
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


def _better_baselines(results: SweepResults, best: pd.Series) -> list[str]:
    """Of the baselines that the answer does not speak of."""
    metric = results.judged
    better = "cheaper" if results.by_cost else "better"
    others = results.baselines[~results.baselines["name"].isin([PER_CLASS, HINDSIGHT.name])]
    return [
        f"{_name(row)}, a baseline, is {better} still: {_figure(metric, row)} at "
        f"{_others(metric, row)}."
        for index, row in others.iterrows()
        if results.rank(index) < results.rank(best.name)
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
            f"learned method ({results.judged_by} {rounded(of_rule)} against {rounded(figure)} of "
            f"{name})."
        ]
    return [
        f"The orders come from {name}, the best on validation ({results.judged_by} "
        f"{rounded(figure)}; {in_prose(rule)} {rounded(of_rule)})."
    ]


def _without_plan(best: pd.Series) -> list[str]:
    change = float(best["cost_pct_without_plan"])
    if not math.isfinite(change):
        return []
    blind = pd.Series({metric: best[f"{metric}_without_plan"] for metric in metric_names()})
    return [
        f"On mornings that know no promotion, event or assortment ahead {_name(best)} costs "
        f"{_signed(change)} at {_others(COST, blind)}."
    ]


def _hindsight(results: SweepResults, best: pd.Series, baseline: pd.Series | None) -> list[str]:
    bound = results.baseline_cost(HINDSIGHT.name)
    if not math.isfinite(bound):
        return []
    below = rounded(bound) if results.by_cost else COST.words.clause.format(rounded(bound))
    sentence = f"Someone who knew all demand beforehand could not get below {below}"
    if results.by_cost and baseline is not None and bound < best["cost"] < baseline["cost"]:
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
