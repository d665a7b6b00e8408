"""A compared sweep's folder, made without training."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from pipeline.comparison.columns import comparison_table
from pipeline.comparison.frontiers import POINTS
from pipeline.data.schema import FileInfo, Manifest, quantity_infos
from pipeline.evaluation.intervals import resample
from pipeline.runs.config import RunConfig
from pipeline.runs.result import RunResult
from pipeline.runs.sweep import Selected, read_sweep, write_selection

LEVEL = {"none": 9.0, "base": 2.7, "coeff": 6.0, "both": 2.45}
ALGORITHM = {"ddpg": 1.0, "ppo": 0.97, "ds": 1.02}
CAUSE = "validation cost is nan in iteration 3"
SMALL_PLAN = {"inventories": 300, "days": 240, "seed": 7}

MakeSweep = Callable[..., Path]


def _manifest(inventories: int) -> Manifest:
    return Manifest(
        name="toy",
        source="Generated retail-like demand",
        seed=SMALL_PLAN["seed"],
        first_day=date(2024, 1, 1),
        num_days=SMALL_PLAN["days"],
        num_inventories=inventories,
        tile_rows=64,
        history_days=56,
        test_start=180,
        quantities=quantity_infos(),
        weight_meaning="mean demand per day",
        files={"inventories.parquet": FileInfo(rows=inventories, bytes=1, sha256="0" * 64)},
    )


BLOCKS = 8
"""Weeks of every evaluation."""


def _evaluation(
    generator: np.random.Generator, size: np.ndarray, cost: float, noise: float = 0.05
) -> pa.Table:
    """Rows over 56 days whose weeks differ by ``noise``; a tenth of the cost is for holding."""
    n = len(size)
    order = np.argsort(-size, kind="stable").argsort(kind="stable")
    classes = np.array(["A+", "A", "B", "C", "D", "Z"])
    spread = generator.lognormal(-0.02, 0.2, n)
    own = cost * size / size.mean() * spread
    weekly = generator.lognormal(0, noise, (n, BLOCKS))
    block = {
        "days": np.full((n, BLOCKS), 7),
        "demand": 7 * np.outer(size, np.ones(BLOCKS)),
        "sales": 7 * 0.9 * np.outer(size, np.ones(BLOCKS)),
        "stock": 7 * 2 * cost * size[:, None] * weekly,
        "unmet": 7 * 0.1 * size[:, None] * weekly,
        "stockout_days": np.minimum(np.outer(spread, np.full(BLOCKS, 6 / cost)), 7).round(),
    }
    means = {name: values.sum(1) / 56 for name, values in block.items()}
    holding, shortage = 0.1 * own / means["stock"], 0.9 * own / means["unmet"]
    frame = pd.DataFrame(
        {
            "inventory_id": [f"sku{i}@w" for i in range(n)],
            "counted_days": 56,
            "mean_demand": means["demand"],
            "mean_sales": means["sales"],
            "mean_inventory": means["stock"],
            "mean_unmet": means["unmet"],
            "cost": holding * means["stock"] + shortage * means["unmet"],
            "stockout_rate_pct": 100 * means["stockout_days"],
            "turnover_days": means["stock"] / means["sales"],
            "fill_rate_pct": 100 * means["sales"] / means["demand"],
            "weight": size,
            "sales_class": classes[np.minimum(order * 6 // n, 5)],
            "category": "food",
            "lead_time": np.arange(n) % 8 + 1,
            "review_period": np.where(np.arange(n) % 2, 7, 1),
            "shortage_cost": shortage,
            "holding_cost": holding,
        }
    )
    table = pa.Table.from_pandas(frame, preserve_index=False)
    for name, values in block.items():
        flat = pa.array(values.astype(np.uint16 if "days" in name else np.float32).ravel())
        table = table.append_column(
            f"block_{name}", pa.FixedSizeListArray.from_arrays(flat, BLOCKS)
        )
    return table


def _write_trial(
    folder: Path, run: RunConfig, cost: float, fails: bool, generator: np.random.Generator
) -> RunResult:
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(run.model_dump(mode="json")))
    steps = np.arange(2, run.iterations + 1, 2)
    costs = cost * (1 + 3 * np.exp(-steps / 6)) * generator.lognormal(0, 0.03, len(steps))
    lines = [
        {"iteration": int(i), "seconds": 1.7 * i, "cost": float(c),
         "stockout_rate_pct": 9.0, "turnover_days": 5.0, "fill_rate_pct": 95.0}
        for i, c in zip(steps, costs, strict=True)
    ]  # fmt: skip
    if fails:
        lines = [*lines[:1], {**lines[1], "cost": float("nan")}]
    (folder / "history.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    if fails:
        result = RunResult("diverged", iterations=4, seconds=6.0, cause=CAUSE)
    else:
        least = int(costs.argmin())
        metrics = {"cost": costs[least], "stockout_rate_pct": 9.0, "turnover_days": 5.0,
                   "fill_rate_pct": 95.0}  # fmt: skip
        result = RunResult("finished", metrics, int(steps[least]), run.iterations, 1.7 * steps[-1])
    result.write(folder)
    return result


def make_sweep(
    directory: Path,
    *,
    failing: tuple[str, ...] = ("ppo-coeff",),
    algorithms: tuple[str, ...] = ("ddpg", "ppo", "ds"),
    configurations: int = 3,
    seeds: int = 2,
    inventories: int = 300,
    baseline: float = 2.65,
    forecast: float = 2.75,
    seed_spread: float = 0.002,
) -> Path:
    """Writes what training, selection and comparison would.

    Args:
        directory: Where the sweep and its data set go.
        failing: Methods all of whose trials diverge.
        algorithms: Which take part.
        configurations: Per method; another one of every method diverges if there are two.
        seeds: Of configuration 0, the one that is chosen.
        inventories: Number of rows of each evaluation.
        baseline: Cost of the class-tuned order-up-to.
        forecast: Cost of forecast + safety stock.
        seed_spread: By how much the costs of a method's seeds differ.
    """
    generator = np.random.default_rng(3)
    sweep, data = directory / "sweep", directory / "toy"
    data.mkdir(parents=True)
    _manifest(inventories).write(data)
    costs = {f"{a}-{m}": ALGORITHM[a] * LEVEL[m] for a in algorithms for m in LEVEL}
    selected = {}
    for method, cost in costs.items():
        algorithm, model = method.split("-")
        results = {}
        for configuration in range(configurations):
            for seed in range(seeds if configuration == 0 else 1):
                key = f"{method}-c{configuration:02d}-s{seed}"
                training = {"lr": 1e-3 / (configuration + 1), "num_epochs": 3, "hidden": [64, 64]}
                run = RunConfig(
                    algorithm=algorithm, action_model=model, iterations=30, validate_every=2,
                    seed=seed, training=training,
                )  # fmt: skip
                fails = method in failing or configuration == 1
                own = cost * (1 + 0.15 * configuration)
                results[key] = _write_trial(sweep / "trials" / key, run, own, fails, generator)
        causes = {k: r.cause for k, r in results.items() if r.status != "finished"}
        chosen = f"{method}-c00-s0"
        finished = results[chosen].status == "finished"
        selected[method] = Selected(
            trial=chosen if finished else None,
            validation=results[chosen].validation["cost"] if finished else None,
            configurations=configurations,
            failed=len(causes),
            seconds=sum(r.seconds for r in results.values()),
            causes=causes,
            trials=[f"{method}-c00-s{seed}" for seed in range(seeds)] if finished else [],
            cpu_seconds=100.0,
        )
    plan = {
        "data_directory": str(data), "name": "toy-plan", "description": "For a test.",
        "data": SMALL_PLAN, "configurations": configurations, "finalists": 1, "seeds": seeds,
        "design_seed": 0, "action_models": list(LEVEL),
        "algorithms": {
            a: {"iterations": 30, "search": {"lr": {"loguniform": [1e-4, 1e-2]},
                                             "num_epochs": {"choice": [3, 5]}}}
            for a in algorithms
        },
    }  # fmt: skip
    (sweep / "preset.yaml").write_text(yaml.safe_dump(plan))
    write_selection(sweep, selected)
    size = generator.lognormal(0.7, 1.0, inventories)
    baselines = {
        "order_up_to_per_class": baseline, "forecast_safety_stock": forecast,
        "base_stock_per_class": 3.1, "perfect_hindsight": 1.0,
    }  # fmt: skip
    folder = sweep / "evaluation"
    (folder / "no_plan").mkdir(parents=True)
    rows: dict[str, list[Path]] = {}
    for method in [*(m for m in costs if selected[m].trial is not None), *baselines]:
        for number, key in enumerate(selected[method].trials if method in costs else [method]):
            path = folder / f"{method if number == 0 else key}.parquet"
            cost = costs.get(method) or baselines[method]
            cost *= 1 + seed_spread * (number - (seeds - 1) / 2) * (method in costs)
            pq.write_table(_evaluation(generator, size, cost), path)
            rows.setdefault(method, []).append(path)
        pq.write_table(
            _evaluation(generator, size, 1.07 * cost), folder / "no_plan" / f"{method}.parquet"
        )
    table = comparison_table(
        read_sweep(sweep),
        resample(rows, seed=0),
        {name: {"cost": cost} for name, cost in baselines.items() if name != "perfect_hindsight"},
        {name: folder / "no_plan" / f"{name}.parquet" for name in rows if "hind" not in name},
    )
    table.to_csv(sweep / "comparison.csv", index=False)
    _curves([*rows]).to_csv(sweep / POINTS, index=False)
    return sweep


def _curves(names: list[str]) -> pd.DataFrame:
    """Stock against stockouts: a hyperbola each."""
    rate = np.geomspace(0.3, 30.0, 9)
    return pd.concat(
        pd.DataFrame(
            {"name": name, "factor": 1 / rate, "cost": 1.0, "stockout_rate_pct": rate,
             "turnover_days": (8 + number) / np.sqrt(rate), "fill_rate_pct": 100 - rate}
        )
        for number, name in enumerate(names)
    )  # fmt: skip


@pytest.fixture
def build_sweep(tmp_path: Path) -> MakeSweep:
    """:func:`make_sweep` in this test's folder."""

    def build(name: str = "here", **options: object) -> Path:
        return make_sweep(tmp_path / name, **options)  # type: ignore[arg-type]

    return build


@pytest.fixture(scope="session")
def sweep_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep in which every trial of PPO COEFF diverged. Read only."""
    return make_sweep(tmp_path_factory.mktemp("compared"))
