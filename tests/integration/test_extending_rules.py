"""The baseline and the order rule of docs/extending.md: tuned, kept, ordering, obeyed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from envs.objective import DEFAULT_OBJECTIVE
from envs.order_rule import ORDER_RULES
from envs.registry import Registry
from envs.review import Decision
from envs.rollout import rollout
from envs.state import Observation
from pipeline.baselines.base import BASELINES, day_rules, in_prose
from pipeline.baselines.tuned import read_baselines, tuned_baselines
from pipeline.comparison.results import display_name
from pipeline.evaluation.play import summarize_source
from pipeline.runs.sweep import FORECAST, PRESET, write_selection
from pipeline.scenarios.dataset import DatasetSource
from pipeline.scenarios.start import evaluation_start
from pipeline.serving.decide import decide_sweep

PAGE = Path(__file__).parents[2] / "docs" / "extending.md"


@pytest.fixture
def registered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The page's baseline, as the only one, and its order rule."""
    text = PAGE.read_text()
    for name in ("cover", "spoils"):
        (code,) = re.findall(
            rf"^`\w+[\w/]*/{name}\.py`\n\n```python\n(.*?)^```$", text, re.M | re.S
        )
        (tmp_path / f"example_{name}.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    with only(BASELINES), only(ORDER_RULES):
        for known, module in ((BASELINES.known, "cover"), (ORDER_RULES.known, "spoils")):
            (line,) = re.findall(rf'^```\n"(\w+)": "[\w.]+\.{module}:(\w+)",\n```$', text, re.M)
            known[line[0]] = f"example_{module}:{line[1]}"  # type: ignore[index]
        yield


@contextmanager
def only(registry: Registry[Any]) -> Iterator[None]:
    """Empty for the time, and then as it was, in its order."""
    known: dict[str, str] = registry.known  # type: ignore[assignment]
    before = dict(known)
    known.clear()
    yield
    known.clear()
    known.update(before)


@pytest.mark.usefixtures("registered")
def test_a_baseline_is_tuned_kept_and_orders(source: DatasetSource, tmp_path: Path) -> None:
    ORDER_RULES.known.clear()  # type: ignore[attr-defined]
    tuned = tuned_baselines(source, tmp_path, DEFAULT_OBJECTIVE)
    assert read_baselines(tmp_path) == tuned
    rule, figure = tuned.best_rule()
    assert (rule.name, day_rules()) == ("days_of_cover", ["days_of_cover"])
    assert (display_name(rule.name), in_prose(rule.name)) == ("Days of cover", "days of cover")
    # Neither the fewest nor the most days: what costs least.
    assert 3.0 < rule.written()["days"] < 28.0
    expected, _, _ = summarize_source(source, "validation", rule)
    assert figure == pytest.approx(expected["cost"])

    source.factors.save(tmp_path / FORECAST)
    plan = {"data_directory": str(source.directory), "name": "tiny"}
    (tmp_path / PRESET).write_text(yaml.safe_dump(plan))
    write_selection(tmp_path, {})
    orders = decide_sweep(tmp_path)
    assert orders is not None
    assert f"by days_of_cover {rule.version}" in str(orders)
    assert (pd.read_parquet(tmp_path / "orders.parquet")["order"] > 0).any()


@pytest.mark.usefixtures("registered")
def test_an_order_rule_holds_in_simulation_and_serving(
    source: DatasetSource, tmp_path: Path
) -> None:
    def greedy(seen: Observation) -> Decision:
        return Decision(100.0 * seen.scale)

    scenario = source.load("validation", 0)
    assert scenario.demand_rate is not None
    played = rollout(scenario, greedy, evaluation_start(scenario), record=True)
    assert played.stock is not None
    most = 10.0 * scenario.demand_rate
    placed = played.order > 0
    after = played.stock.sum(-1) + played.order
    assert placed.any()
    assert (after <= most + 1e-3)[placed].all()

    ORDER_RULES.known.clear()  # type: ignore[attr-defined]
    free = rollout(scenario, greedy, evaluation_start(scenario), record=True)
    assert (free.order > most).any()


@pytest.mark.usefixtures("registered")
def test_orders_of_a_day_obey_it(source: DatasetSource, tmp_path: Path) -> None:
    tuned_baselines(source, tmp_path, DEFAULT_OBJECTIVE)
    source.factors.save(tmp_path / FORECAST)
    plan = {"data_directory": str(source.directory), "name": "tiny"}
    (tmp_path / PRESET).write_text(yaml.safe_dump(plan))
    write_selection(tmp_path, {})
    content = (tmp_path / "baselines.json").read_text()
    (tmp_path / "baselines.json").write_text(re.sub(r'"days": [\d.]+', '"days": 90.0', content))
    decide_sweep(tmp_path)
    orders = pd.read_parquet(tmp_path / "orders.parquet")
    snapshot = pd.read_parquet(tmp_path / "snapshot.parquet")
    most = np.maximum(10.0 * snapshot["demand_rate"] - orders["inventory_position"], 0.0)
    assert (orders["order"] <= most + 1e-3).all()
    cut = orders["due"] & (orders["wanted"] > most + 1e-3)
    assert cut.any()
    assert orders.loc[cut, "reason"].str.contains("ending").all()
    assert torch.isfinite(torch.tensor(orders["order"].to_numpy())).all()
