"""What DS learns from, and its loss."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from envs.credit import governed_days
from envs.objective import day_cost
from envs.rollout import rollout
from pipeline.algorithms.build import build_config
from pipeline.algorithms.ds import scenario_columns, scenario_from_columns
from pipeline.runs.config import RunConfig
from pipeline.scenarios.dataset import DatasetSource
from tests.runners import make_runner, sample


def test_a_window_survives_its_form_as_columns(random_problem: Any) -> None:
    for choices in (
        {"order_multiple": 2.0},
        {"random_lead_time": True, "random_fill": True, "backlog": True},
        {"expected": True, "order_multiple": "each"},
    ):
        scenario, state = random_problem(3, random_counted=True, order_max=11.0, **choices)
        columns = scenario_columns(scenario, state)
        assert {len(column) for column in columns.values()} == {scenario.num_inventories}
        again, stock = scenario_from_columns(columns, scenario.max_lead_time)
        assert torch.equal(stock.stack(), state.stack())
        again = replace(again, coming=scenario.coming)  # the module has it from the layout
        for name, value in vars(scenario).items():
            other = getattr(again, name)
            assert torch.equal(value, other) if torch.is_tensor(value) else value == other, name


def test_ds_descends_the_cost_of_governed_days(source: DatasetSource) -> None:
    runner = make_runner(source, "ds")
    rows = sample(runner, 0)
    assert {len(column) for column in rows.values()} == {60}
    scenario, state = scenario_from_columns(rows, source.layout.max_lead_time)
    with torch.no_grad():
        played = rollout(scenario, runner.module.policy.decide, state)
        got = runner.module.forward_train(rows)["loss"]
    cost = day_cost(played.outcome, scenario.shortage_cost, scenario.holding_cost)
    _, governed = governed_days(scenario.review, scenario.lead_time, scenario.review_period)
    assert scenario.counted is not None
    assert not (scenario.counted & ~governed).any()
    assert (scenario.counted.sum(0) > 0).float().mean() > 0.9
    expected = (cost * scenario.counted).sum(0) / scenario.counted.sum(0).clamp(min=1)
    expected = expected / (scenario.holding_cost * scenario.scale[0])
    torch.testing.assert_close(got, expected)
    runner.module.forward_train(rows)["loss"].mean().backward()
    gradients = [p.grad for p in runner.module.policy.parameters()]
    assert all(g is not None and bool((g != 0).any()) for g in gradients)


def test_a_part_of_a_unit_left_is_no_stock_where_orders_are_whole(source: DatasetSource) -> None:
    """Orders are not rounded to learn from, and yet judged as whole ones: a level between two whole
    ones must not count as the upper one."""
    run = RunConfig(
        algorithm="ds", action_model="base", training={"hidden": [8]}, objective="service"
    )
    module = build_config(run, source).get_rl_module_spec().build()
    scenario = replace(source.load("train", 0).days(0, 30), order_multiple=1.0)
    batch = scenario_columns(scenario, source.evaluation_start(scenario))
    found = module.forward_train(batch)
    free = replace(scenario, order_multiple=0.0)
    played = rollout(free, module.policy.decide, source.evaluation_start(scenario)).outcome
    # Nobody's stock is whole here.
    assert bool((played.end % 1 > 0.01).any())
    expected = module.objective.loss(played, scenario, module.progress)
    torch.testing.assert_close(found["loss"], expected)
    assert not torch.allclose(expected, module.objective.loss(played, free, module.progress))
