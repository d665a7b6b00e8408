"""Tables of the pieces that ask something else: credit, training time, conditioning, tuning."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.evaluation.intervals import Sample, difference, interval
from pipeline.evaluation.play import summarize
from pipeline.evaluation.tiles import evaluate_policies, model_candidate
from pipeline.runs.method import Method, TrialKey
from pipeline.runs.result import RunResult
from pipeline.runs.sweep import Sweep
from pipeline.studies.offline.measuring.play import FIGURE, named, samples, seed_files
from pipeline.studies.offline.measuring.published import STOCKOUTS, TURNOVER
from pipeline.studies.offline.pieces import CONDITIONED, FACTORS, factor_name

TILES = 4
"""Tiles that all configurations are played on: some 8,000 inventories."""


def _joint(sweeps: Mapping[str, Sweep]) -> dict[tuple[str, str], Sample]:
    """(part, method) -> its sample, all drawn together."""
    objective = next(iter(sweeps.values())).objective
    rows = {f"{part} {m}": f for part, s in sweeps.items() for m, f in seed_files(s).items()}
    drawn = samples(rows, objective)
    return {(part, m): drawn[f"{part} {m}"] for part, s in sweeps.items() for m in seed_files(s)}


def credit_table(sweeps: Mapping[str, Sweep]) -> pd.DataFrame:
    """A row per credit and method.

    Columns: ``credit``, ``name``, ``seeds``; ``stockouts``, ``turnover`` and ``figure`` with
    intervals; ``stockouts_pp`` and ``turnover_days`` relative to the same algorithm's BOTH with the
    same credit; ``figure_pct`` relative to the first credit, the same method.
    """
    drawn, first = _joint(sweeps), next(iter(sweeps))
    rows = []
    for (credit, name), own in drawn.items():
        row: dict[str, object] = {"credit": credit, "name": name, "seeds": len(own.seeds)}
        row |= _figures(own)
        both = drawn.get((credit, Method.of(Method(name).algorithm, "both")))
        if both is not None:
            row |= named("stockouts_pp", difference(own, both, STOCKOUTS))
            row |= named("turnover_days", difference(own, both, TURNOVER))
        if (first, name) in drawn:
            row |= named("figure_pct", difference(own, drawn[first, name], FIGURE, percent=True))
        rows.append(row)
    return pd.DataFrame(rows)


def _figures(own: Sample) -> dict[str, float]:
    return {
        **named("stockouts", interval(own, STOCKOUTS, high=100.0)),
        **named("turnover", interval(own, TURNOVER)),
        **named("figure", interval(own, FIGURE)),
    }


def budget_table(sweeps: Mapping[str, Sweep]) -> pd.DataFrame:
    """A row per method and training time.

    Columns: ``name``, ``budget``, ``seeds``, ``cpu_seconds`` (of a training, mean over seeds);
    ``stockouts``, ``turnover`` and ``figure`` with intervals; ``figure_pct`` relative to the
    shortest training of the same method.
    """
    drawn, first = _joint(sweeps), next(iter(sweeps))
    rows = []
    for (part, name), own in drawn.items():
        row: dict[str, object] = {"name": name, "budget": part, "seeds": len(own.seeds)}
        row["cpu_seconds"] = _cpu_seconds(sweeps[part], Method(name))
        row |= _figures(own)
        if (first, name) in drawn:
            row |= named("figure_pct", difference(own, drawn[first, name], FIGURE, percent=True))
        rows.append(row)
    table = pd.DataFrame(rows)
    return table.sort_values("name", kind="stable").reset_index(drop=True)


def _cpu_seconds(sweep: Sweep, method: Method) -> float:
    results = [RunResult.read(sweep.trial(key)) for key in sweep.seeds(method)]
    return float(np.mean([result.cpu_seconds for result in results if result is not None]))


def conditioning_table(sweeps: Mapping[str, Sweep]) -> pd.DataFrame:
    """A row per method and factor: one conditioned policy against the policy trained for it.

    Columns: ``name``, ``factor``; ``own_stockouts``, ``own_turnover`` and ``stockouts``,
    ``turnover`` (the conditioned policy's at that factor); ``stockouts_pp`` and ``turnover_days``,
    its differences, and ``figure_pct``, what it is worse by in the objective at that factor, with
    intervals.
    """
    if CONDITIONED not in sweeps:
        return pd.DataFrame()
    rows = []
    conditioned = sweeps[CONDITIONED]
    for factor in FACTORS:
        own = sweeps.get(factor_name(factor))
        if own is None:
            continue
        played = _play_at(conditioned, factor)
        files = {f"own {m}": f for m, f in seed_files(own).items()}
        files |= {f"conditioned {m}": f for m, f in played.items()}
        drawn = samples(files, own.objective)
        for name in (n for n in seed_files(own) if n in played):
            mine, its = drawn[f"conditioned {name}"], drawn[f"own {name}"]
            row: dict[str, object] = {"name": str(name), "factor": factor}
            row |= {"own_stockouts": its.value(STOCKOUTS), "own_turnover": its.value(TURNOVER)}
            row |= {"stockouts": mine.value(STOCKOUTS), "turnover": mine.value(TURNOVER)}
            row |= named("stockouts_pp", difference(mine, its, STOCKOUTS))
            row |= named("turnover_days", difference(mine, its, TURNOVER))
            rows.append({**row, **named("figure_pct", difference(mine, its, FIGURE, percent=True))})
    table = pd.DataFrame(rows)
    return table if table.empty else table.sort_values("name", kind="stable")


def _play_at(sweep: Sweep, factor: float) -> dict[Method, list[Path]]:
    """Method -> rows of its seeds, with stockouts that count ``factor`` times."""
    folder = sweep.directory / "evaluation" / factor_name(factor)
    files = {m: [folder / f"{key}.parquet" for key in sweep.seeds(m)] for m in seed_files(sweep)}
    candidates = {
        path: model_candidate(sweep.trial(path.stem) / "model", factor)
        for paths in files.values()
        for path in paths
    }
    evaluate_policies(sweep.source(), "test", candidates)
    return files


def sensitivity_table(sweep: Sweep) -> pd.DataFrame:
    """A row per method: how its configurations differ on later days, each trained to its end.

    Columns: ``name``, ``configurations``, ``failed``; ``best``, ``median`` and ``worst``, the
    objective's figures; ``worst_pct``, the worst above the best; ``spread_pct``, the standard
    deviation over their mean; ``chosen_pct``, the one that validated best above the best.
    """
    figures = _all_figures(sweep)
    rows = []
    for method, choice in sweep.selected.items():
        own = {k: f for k, f in figures.items() if TrialKey.parse(k).method == method}
        row: dict[str, object] = {
            "name": str(method), "configurations": choice.configurations, "failed": choice.failed,
        }  # fmt: skip
        if own:
            values = np.asarray(sorted(own.values()))
            best = values[0]
            row |= {"best": best, "median": float(np.median(values)), "worst": values[-1]}
            row["worst_pct"] = 100.0 * (values[-1] / best - 1.0)
            row["spread_pct"] = 100.0 * values.std() / values.mean()
            row["chosen_pct"] = 100.0 * (own[str(choice.trial)] / best - 1.0)
        rows.append(row)
    return pd.DataFrame(rows)


def _all_figures(sweep: Sweep) -> dict[str, float]:
    """Trial -> the objective's figure on some tiles of later days, for all that finished."""
    folder = sweep.directory / "evaluation" / "all"
    keys = [
        key
        for key in sweep.trials()
        if (result := RunResult.read(sweep.trial(key))) and result.status == "finished"
    ]
    source = sweep.source()
    tiles = source.num_tiles("test")
    evaluate_policies(
        source,
        "test",
        {folder / f"{key}.parquet": model_candidate(sweep.trial(key) / "model") for key in keys},
        range(0, tiles, -(-tiles // TILES)),
    )
    objective = sweep.objective
    rows = {key: pd.read_parquet(folder / f"{key}.parquet") for key in keys}
    return {key: objective.signed(objective.figure(summarize(own))) for key, own in rows.items()}
