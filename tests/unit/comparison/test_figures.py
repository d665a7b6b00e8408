from __future__ import annotations

import json
import shutil
from pathlib import Path

import matplotlib
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Annotation

from pipeline.comparison import figures
from pipeline.comparison.results import SweepResults
from pipeline.comparison.style import DARK, LIGHT, canvas, place_labels, spread, wants_log


@pytest.fixture(scope="module")
def results(sweep_dir: Path) -> SweepResults:
    return SweepResults.read(sweep_dir)


def _texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(matplotlib.text.Text) if text.get_text()]


@pytest.mark.parametrize("name", list(figures.FIGURES))
@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=lambda theme: theme.name)
def test_every_figure_is_drawn_on_its_themes_ground(results, name: str, theme) -> None:
    figure = figures.FIGURES[name](results, theme)
    assert figure is not None
    assert matplotlib.colors.same_color(figure.get_facecolor(), theme.background)
    for axes in figure.axes:
        assert matplotlib.colors.same_color(axes.get_facecolor(), theme.background)


def test_cost_figure_shows_every_method_and_baseline(results) -> None:
    figure = figures.cost_figure(results)
    axes = figure.axes[0]
    assert len(axes.containers) == 11  # one errorbar per method with figures
    texts = " ".join(_texts(figure))
    assert "failed" in texts
    assert "Forecast + safety stock" in texts
    assert "not attainable" in texts
    assert axes.get_ylabel().endswith("money per inventory and day")
    assert axes.get_yscale() == "log"  # NONE costs several times as much as BOTH


def test_baselines_far_off_do_not_squeeze_the_methods(build_sweep) -> None:
    results = SweepResults.read(build_sweep(algorithms=("ds",), failing=("ds-none", "ds-coeff")))
    figure = figures.cost_figure(results)
    low, high = figure.axes[0].get_ylim()
    assert low > results.baseline_cost("perfect_hindsight")
    assert low < results.methods["ci_low"].min()
    assert high > results.methods["ci_high"].max()
    assert low < results.baseline_cost("forecast_safety_stock") < high
    assert any(text.startswith("↓ Perfect hindsight") for text in _texts(figure))


def test_cost_intervals_are_the_tables(results) -> None:
    axes = figures.cost_figure(results).axes[0]
    row = results.methods.set_index("name").loc["ddpg-none"]
    (bars,) = axes.containers[0].lines[2]
    (low, high) = bars.get_segments()[0][:, 1]
    assert low == pytest.approx(row["ci_low"])
    assert high == pytest.approx(row["ci_high"])


def test_service_labels_do_not_overlap_and_stay_inside(results) -> None:
    figure = figures.service_figure(results)
    axes = figure.axes[0]
    renderer = FigureCanvasAgg(figure).get_renderer()
    labels = [
        text for text in axes.texts if isinstance(text, Annotation)
        and text.get_text() not in ("", "better")
    ]  # fmt: skip
    assert len(labels) == 14  # 11 methods, 3 baselines; not hindsight
    boxes = [label.get_window_extent(renderer) for label in labels]
    for i, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[:i])
        assert axes.get_window_extent(renderer).padded(1).fully_containsx(box.x0)


def test_labels_of_points_on_one_spot_do_not_overlap() -> None:
    figure, (axes,) = canvas(LIGHT, 4)
    points = [(1.0, 1.0)] * 9 + [(2.0, 2.0)]
    axes.scatter(*zip(*points, strict=True))
    labels = place_labels(axes, LIGHT, points, [f"method {i}" for i in range(10)])
    renderer = FigureCanvasAgg(figure).get_renderer()
    boxes = [label.get_window_extent(renderer) for label in labels]
    for i, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[:i])


def test_learning_figure_has_a_panel_per_algorithm_and_a_line_per_model(results) -> None:
    figure = figures.learning_figure(results)
    assert figure is not None
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["DDPG", "PPO", "DS"]
    curves = [[line for line in axes.lines if len(line.get_xdata()) > 1] for axes in figure.axes]
    assert [len(lines) for lines in curves] == [4, 3, 4]  # PPO COEFF has no selected trial
    history = results.history("ddpg-none-c00-s0")
    assert curves[0][0].get_ydata().tolist() == history["cost"].tolist()


def test_a_curve_that_starts_far_up_runs_in_from_above(build_sweep) -> None:
    sweep = build_sweep(algorithms=("ds",), failing=("ds-none", "ds-coeff"))
    path = sweep / "trials" / "ds-base-c00-s0" / "history.jsonl"
    first = {"iteration": 1, "seconds": 1.0, "cost": 5000.0}
    path.write_text(json.dumps(first) + "\n" + path.read_text())
    figure = figures.learning_figure(SweepResults.read(sweep))
    assert figure is not None
    assert figure.axes[0].get_ylim()[1] < 20


def test_configurations_figure_has_a_mark_per_trial(results) -> None:
    axes = figures.configurations_figure(results).axes[0]
    marks = [len(points.get_offsets()) for points in axes.collections]
    assert sum(marks) == len(results.trials)
    assert marks[-1] == sum(trial.result.status != "finished" for trial in results.trials)


def test_classes_figure_is_relative_to_ddpg_both(results) -> None:
    figure = figures.classes_figure(results)
    assert figure is not None
    image = figure.axes[0].images[0].get_array()
    costs = results.class_costs()
    row, column = list(costs.index).index("ds-none"), list(costs.columns).index("B")
    expected = 100 * (costs.loc["ds-none", "B"] / costs.loc["ddpg-both", "B"] - 1)
    assert image[row, column] == pytest.approx(expected)
    assert "relative to DDPG BOTH" in " ".join(_texts(figure))


def test_classes_fall_back_on_the_class_baseline_without_ddpg_both(build_sweep) -> None:
    results = SweepResults.read(build_sweep(algorithms=("ds",)))
    figure = figures.classes_figure(results)
    assert figure is not None
    assert "relative to Order-up-to per class" in " ".join(_texts(figure))


def test_without_evaluations_there_is_no_class_figure(build_sweep) -> None:
    sweep = build_sweep(algorithms=("ds",))
    shutil.rmtree(sweep / "evaluation")
    assert figures.classes_figure(SweepResults.read(sweep)) is None


def test_every_method_failing_still_draws(build_sweep) -> None:
    methods = tuple(f"ds-{model}" for model in ("none", "base", "coeff", "both"))
    results = SweepResults.read(build_sweep(algorithms=("ds",), failing=methods))
    assert set(figures.render(results)) == set(figures.FIGURES) - {"learning"}


def test_save_plots_writes_pngs_and_leaves_no_state(build_sweep) -> None:
    sweep = build_sweep(algorithms=("ds",))
    paths = figures.save_plots(sweep)
    assert [path.stem for path in paths] == list(figures.FIGURES)
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths)
    assert sorted((sweep / "plots").iterdir()) == sorted(paths)
    import matplotlib.pyplot as plt

    assert plt.get_fignums() == []


def test_spread_keeps_order_and_distance() -> None:
    moved = spread([1.0, 1.1, 5.0, 0.9], 1.0)
    assert moved == pytest.approx([1.0, 2.0, 5.0, 0.0])
    assert spread([0.0, 10.0], 1.0) == [0.0, 10.0]


def test_log_axis_only_where_values_span_much() -> None:
    assert wants_log([1, 4])
    assert not wants_log([1, 2.5])
    assert not wants_log([0, 100])
    assert not wants_log([float("nan")])
