"""The report's answer in words: which method is best, by how much, and how sure that is."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pandas as pd

from pipeline.report_data import (
    FORECAST,
    HINDSIGHT,
    Difference,
    SweepResults,
    display_name,
    rounded,
)

FORECAST_PROSE = "forecast + safety stock"


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
    name = _name(best)
    finished = int(results.methods["cost"].notna().sum())
    lead = f"{name} has the least cost of {finished} methods" if finished > 1 else name
    forecast = results.baseline_cost(FORECAST)
    if math.isfinite(forecast):
        answer = f"{lead}: {_against_forecast(results, best, forecast)}."
    else:
        answer = (
            f"{lead}: {rounded(best['cost'])} per inventory and day "
            f"(95 % interval {rounded(best['ci_low'])} to {rounded(best['ci_high'])})."
        )
    further = [
        *_cheaper_baselines(results, best),
        *_ties(results, best),
        *_service(results, best),
        *_hindsight(results, best, forecast),
        *_failed(results),
    ]
    return Headline(answer, tuple(further))


def tiles(results: SweepResults) -> list[Tile]:
    """Key figures of the best method."""
    best = results.best
    if best is None:
        return []
    shown = [
        Tile(
            f"cost of {_name(best)}",
            rounded(best["cost"]),
            _unbroken(
                "money per inventory and day, 95 % interval "
                f"{rounded(best['ci_low'])} to {rounded(best['ci_high'])}"
            ),
        )
    ]
    baseline = results.table[results.table["name"] == FORECAST].dropna(subset=["cost"])
    for title, column, unit in (
        ("stockout rate", "stockout_rate_pct", "%"),
        ("turnover time", "turnover_days", "days"),
    ):
        note = "weighted over inventories"
        if len(baseline):
            note = f"{FORECAST_PROSE}: {rounded(baseline[column].iloc[0])} {unit}"
        shown.append(Tile(title, f"{rounded(best[column])} {unit}", note))
    difference = _difference(results, best, FORECAST)
    if difference is not None:
        shown.insert(
            1,
            Tile(
                f"cost against {FORECAST_PROSE}",
                _unbroken(_signed(difference.percent)),
                _unbroken(_interval(difference)) or "no interval: the evaluations are gone",
            ),
        )
    return shown


def _unbroken(text: str) -> str:
    """Keeps a percent sign on the line of its number."""
    return text.replace(" %", "\N{NO-BREAK SPACE}%")


def _name(row: pd.Series) -> str:
    return display_name(row["algorithm"], row["action_model"])


def _signed(percent: float) -> str:
    return f"{percent:+.1f} %".replace("-", "−")


def _interval(difference: Difference) -> str:
    if not math.isfinite(difference.low):
        return ""
    return f"95 % interval {_signed(difference.low)} to {_signed(difference.high)}"


def _difference(results: SweepResults, best: pd.Series, other: str) -> Difference | None:
    """Paired if both evaluations are there, else of the table's means, without an interval."""
    paired = results.difference(best["name"], other)
    if paired is not None:
        return paired
    cost = results.baseline_cost(other)
    if not (math.isfinite(cost) and cost > 0):
        return None
    return Difference(100 * (best["cost"] / cost - 1), math.nan, math.nan)


def _against_forecast(results: SweepResults, best: pd.Series, forecast: float) -> str:
    difference = _difference(results, best, FORECAST)
    assert difference is not None  # the table has the baseline's cost
    size = f"{abs(difference.percent):.1f} %"
    way = "below" if difference.percent < 0 else "above"
    costs = f"{rounded(best['cost'])} against {rounded(forecast)} per inventory and day"
    if not math.isfinite(difference.low):
        return f"its cost is {size} {way} {FORECAST_PROSE} ({costs})"
    if not difference.is_clear:
        return (
            f"it cannot be told apart from {FORECAST_PROSE} "
            f"({_signed(difference.percent)}, {_interval(difference)})"
        )
    near, far = sorted((abs(difference.low), abs(difference.high)))
    return (
        f"its cost is {size} {way} {FORECAST_PROSE} "
        f"(95 % interval {near:.1f} % to {far:.1f} % {way}; {costs})"
    )


def _cheaper_baselines(results: SweepResults, best: pd.Series) -> list[str]:
    """Of the baselines that the answer does not speak of."""
    others = results.baselines[~results.baselines["name"].isin([FORECAST, HINDSIGHT])]
    return [
        f"{_name(row)}, a baseline, is cheaper still ({rounded(row['cost'])})."
        for _, row in others[others["cost"] < best["cost"]].iterrows()
    ]


def _ties(results: SweepResults, best: pd.Series) -> list[str]:
    tied = []
    for _, row in results.methods.dropna(subset=["cost"]).iterrows():
        if row["name"] == best["name"]:
            continue
        difference = results.difference(row["name"], best["name"])
        if difference is not None and math.isfinite(difference.low) and not difference.is_clear:
            tied.append(_name(row))
    if not tied:
        return []
    verb = "is" if len(tied) == 1 else "are"
    return [
        f"{_listed(tied)} {verb} as good within the margin of error: the 95 % interval of the "
        "difference, taken inventory by inventory, includes 0."
    ]


def _service(results: SweepResults, best: pd.Series) -> list[str]:
    baseline = results.table[results.table["name"] == FORECAST].dropna(subset=["cost"])
    if baseline.empty:
        return []
    own = baseline.iloc[0]
    return [
        f"{_name(best)} leaves shelves empty at the end of {rounded(best['stockout_rate_pct'])} % "
        f"of days ({FORECAST_PROSE}: {rounded(own['stockout_rate_pct'])} %) and holds stock for "
        f"{rounded(best['turnover_days'])} days of sales ({rounded(own['turnover_days'])})."
    ]


def _hindsight(results: SweepResults, best: pd.Series, forecast: float) -> list[str]:
    bound = results.baseline_cost(HINDSIGHT)
    if not math.isfinite(bound):
        return []
    sentence = f"Someone who knew all demand beforehand could not get below {rounded(bound)}"
    if math.isfinite(forecast) and bound < best["cost"] < forecast:
        closed = 100 * (forecast - best["cost"]) / (forecast - bound)
        sentence += f"; {_name(best)} closes {closed:.0f} % of the way there from {FORECAST_PROSE}"
    return [sentence + "."]


def _failed(results: SweepResults) -> list[str]:
    failed = [_name(row) for _, row in results.methods[results.methods["cost"].isna()].iterrows()]
    if not failed:
        return []
    verb = "has" if len(failed) == 1 else "have"
    return [f"{_listed(failed)} {verb} no finished trial and no figures."]


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]
