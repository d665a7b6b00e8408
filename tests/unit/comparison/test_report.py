from __future__ import annotations

import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
import yaml

from pipeline.comparison import report
from pipeline.comparison.plot_training import configurations_figure
from pipeline.comparison.report import comparison_html, comparison_markdown, write_report
from pipeline.comparison.results import SweepResults, row_names
from pipeline.comparison.words import headline, starts_in_words, tiles
from pipeline.runs.result import RunResult
from pipeline.runs.sweep import read_sweep


class Page(HTMLParser):
    """Checks nesting and collects what the tests look at."""

    VOID = ("meta", "link", "img", "br", "wbr", "source")

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loaded: list[str] = []
        self.text: list[str] = []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.loaded += [v for k in ("src", "srcset") if (v := values.get(k))]
        if tag == "link":
            self.loaded.append(values["href"] or "")
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] not in ("style", "script"):
            self.text.append(data)

    @property
    def words(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.text)).replace("\N{NO-BREAK SPACE}", " ")


@pytest.fixture(scope="module")
def html(sweep_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    sweep = tmp_path_factory.mktemp("report") / "sweep"
    shutil.copytree(sweep_dir, sweep)
    path = write_report(sweep)
    assert path == sweep / "report.html"
    assert not list(sweep.rglob("*.partial"))
    return path.read_text(encoding="utf-8")


@pytest.fixture
def table(sweep_dir: Path) -> pd.DataFrame:
    return pd.read_csv(sweep_dir / "comparison.csv")


def test_report_is_one_file_that_loads_nothing(html: str) -> None:
    page = Page(html)
    assert len([source for source in page.loaded if source.startswith("data:image/png")]) == 12
    assert all(source.startswith("data:") for source in page.loaded)
    assert "url(" not in html
    assert "@import" not in html


def test_report_answers_in_a_sentence(html: str, table: pd.DataFrame) -> None:
    """A gain in cost is never stated without stockouts, stock and fill rate."""
    words = Page(html).words
    found = re.search(
        r"PPO BOTH has the least cost of 11 methods: it costs ([\d.]+) % less "
        r"\[([\d.]+), ([\d.]+)\] than class-tuned order-up-to at ([\d.]+) % \(([\d.]+) %\) "
        r"stockouts, ([\d.]+) \(([\d.]+)\) days of stock and a fill rate of ([\d.]+) % "
        r"\(([\d.]+) %\) \(95 % interval; the cheapest of 11 compared\)\.",
        words,
    )
    assert found, words[:900]
    gain, near, far, *service = map(float, found.groups())
    assert near < gain < far
    rows = table.assign(name=row_names(table)).set_index("name")
    own, other = rows.loc["ppo-both"], rows.loc["order_up_to_per_class"]
    assert gain == pytest.approx(-own["cost_pct_vs_baseline"], abs=0.06)
    expected = [
        row[column]
        for column in ("stockout_rate_pct", "turnover_days", "fill_rate_pct")
        for row in (own, other)
    ]
    assert service == pytest.approx(expected, rel=0.01)
    assert "PPO COEFF has no finished trial" in words
    assert "know no promotion, event or assortment ahead PPO BOTH costs +" in words


@pytest.mark.parametrize(
    ("objective", "answer"),
    [
        (
            "tests.own_objectives:Served",
            r"has the most fill rate of \d+ methods: its fill rate .*that of class-tuned "
            r"order-up-to.* at a cost of [\d.]+ \([\d.]+\), [\d.]+ % \([\d.]+ %\) stockouts and ",
        ),
        (
            "tests.own_objectives:StockAndStockouts",
            r"has the least weighted_days of \d+ methods: it.* cost.*; the best by weighted_days "
            r"of \d+ compared",
        ),
    ],
)
def test_words_are_those_of_the_objective(build_sweep, objective: str, answer: str) -> None:
    sweep = build_sweep()
    preset = yaml.safe_load((sweep / "preset.yaml").read_text())
    (sweep / "preset.yaml").write_text(yaml.safe_dump({**preset, "objective": objective}))
    results = SweepResults.read(sweep)
    best = results.best
    assert best is not None
    done = results.methods.dropna(subset=["cost"])
    figures = {row["name"]: -results.rank(index) for index, row in done.iterrows()}
    assert max(figures, key=lambda n: figures[n]) == best["name"]
    said = headline(results)
    assert re.search(answer, said.answer.replace("\N{NO-BREAK SPACE}", " ")), said.answer
    further = " ".join(said.further)
    assert "cheaper" not in said.answer + further
    assert "difference in cost" not in further
    assert "below a cost of" in further
    assert f"Validation {results.judged_by}" in Page(write_report(sweep).read_text()).words


def test_report_says_what_was_run(html: str) -> None:
    words = Page(html).words
    assert "toy-plan. For a test." in words
    assert "12, each tuned over 3 hyperparameter configurations" in words
    assert "weighted by mean demand per day" in words
    assert "2024-06-29 to 2024-08-27 (60 days, later than all of training)" in words
    assert "python -m pipeline data make --inventories 300 --days 240 --seed 7" in words
    assert "python -m tuning sweep --preset toy-plan" in words


def test_it_is_said_who_started_from_a_rule(build_sweep) -> None:
    """A whole algorithm by its name, even where one of its methods failed."""
    folder = build_sweep()
    assert starts_in_words(read_sweep(folder)) == ""
    for trial in [*folder.glob("trials/ppo-*-s0"), *folder.glob("trials/ds-both-*")]:
        path = trial / "config.yaml"
        path.write_text(path.read_text().replace("imitation_updates: 0", "imitation_updates: 9"))
    said = "PPO and DS BOTH started from what class-tuned order-up-to orders."
    assert starts_in_words(read_sweep(folder)) == said
    assert said in Page(write_report(folder).read_text()).words


def test_report_lists_failed_trials_with_their_cause(html: str) -> None:
    words = Page(html).words
    assert "No finished trial: validation cost is nan in iteration 3" in words
    for seed in (0, 1):
        assert f"ppo-coeff-c00-s{seed} diverged validation cost is nan" in words


def test_report_shows_chosen_hyperparameters_and_ranges(html: str) -> None:
    words = Page(html).words
    assert "0.0001 to 0.01, log scale" in words
    assert "[64, 64]" in words
    assert "ds-both-c00-s0" in words


def test_a_trial_that_was_stopped_early_is_no_failure(build_sweep) -> None:
    sweep = build_sweep(algorithms=("ds",), failing=())
    plan = yaml.safe_load((sweep / "preset.yaml").read_text())
    plan |= {"rungs": [{"share": 0.111, "keep": 2}, {"share": 0.333, "keep": 1}]}
    plan |= {"seeds_for": "best_methods"}
    (sweep / "preset.yaml").write_text(yaml.safe_dump(plan))
    stopped = sweep / "trials" / "ds-both-c02-s0"
    result = RunResult.read(stopped)
    assert result is not None
    replace(result, status="stopped", cause="not among the best 2").write(stopped)
    results = SweepResults.read(sweep)
    assert {t.key: t.cost for t in results.trials}["ds-both-c02-s0"] == result.validation["cost"]
    labels = [text.get_text() for text in configurations_figure(results).legends[0].get_texts()]
    assert "stopped early" in labels
    words = Page(write_report(sweep).read_text()).words
    assert "the best 2 after 11 %, the best 1 after 33 % of the iterations go on" in words
    assert "the best one of each algorithm's best method and of DDPG BOTH again" in words
    assert "not among the best 2" not in words


def test_report_escapes_causes(build_sweep) -> None:
    sweep = build_sweep(algorithms=("ds",), failing=("ds-none",))
    for name in ("selection.json", "preset.yaml"):
        path = sweep / name
        text = path.read_text().replace("validation cost is nan", "<b>bad</b> value")
        path.write_text(text.replace("For a test.", "<script>x</script>"))
    text = write_report(sweep).read_text()
    assert "&lt;b&gt;bad&lt;/b&gt; value" in text
    assert "<b>bad</b>" not in text
    assert "<script>x" not in text


def test_report_without_evaluations_data_or_reference(build_sweep) -> None:
    sweep = build_sweep(algorithms=("ds",), baseline=3.5)
    shutil.rmtree(sweep / "evaluation")
    shutil.rmtree(sweep.parent / "toy")
    words = Page(write_report(sweep).read_text()).words
    assert "no longer there" in words
    assert "Not drawn, because the sweep holds no data for it: classes" in words
    assert "than class-tuned order-up-to at" in words


def test_report_of_nothing_but_failures(build_sweep) -> None:
    methods = tuple(f"ds-{model}" for model in ("none", "base", "coeff", "both"))
    sweep = build_sweep(algorithms=("ds",), failing=methods)
    words = Page(write_report(sweep).read_text()).words
    assert "No method finished a trial" in words
    assert tiles(SweepResults.read(sweep)) == []


def answer_of(sweep: Path) -> str:
    return headline(SweepResults.read(sweep)).answer.replace("\N{NO-BREAK SPACE}", " ")


def further_of(sweep: Path) -> str:
    found = " ".join(headline(SweepResults.read(sweep)).further)
    return found.replace("\N{NO-BREAK SPACE}", " ")


def test_headline_admits_that_the_baseline_is_cheaper(build_sweep) -> None:
    sweep = build_sweep(algorithms=("ds",), baseline=2.0)
    assert re.search(
        r"it costs [\d.]+ % more \[[\d.]+, [\d.]+\] than class-tuned", answer_of(sweep)
    )
    assert "closes" not in further_of(sweep)
    # It would be asked for the orders, and is named.
    assert (
        "The orders come from class-tuned order-up-to: it was better on validation than every "
        "learned method (cost 2.00 against" in further_of(sweep)
    )


def test_headline_of_a_single_method_is_a_sentence(build_sweep) -> None:
    others = tuple(f"ds-{model}" for model in ("none", "base", "coeff"))
    answer = answer_of(build_sweep(algorithms=("ds",), failing=others, baseline=3.5))
    assert answer.startswith("DS BOTH: it costs ")
    assert "compared" not in answer


def test_headline_admits_a_draw(build_sweep) -> None:
    sweep = build_sweep(algorithms=("ds",), baseline=1.02 * 2.45, inventories=60)
    answer = answer_of(sweep)
    assert "its cost cannot be told apart from that of class-tuned order-up-to" in answer
    assert "stockouts" in answer
    assert "fill rate" in answer


def test_best_is_said_only_of_a_method_that_is_told_apart(build_sweep) -> None:
    """Here DS BOTH is 9 % below DS BASE; with seeds that differ by as much it may be luck."""
    clear = build_sweep("clear", algorithms=("ds",), seeds=3, inventories=2000)
    assert answer_of(clear).startswith("DS BOTH is the best of 4 methods: ")
    unclear = build_sweep("unclear", algorithms=("ds",), seeds=3, inventories=2000, seed_spread=0.3)
    assert "has the least cost of 4 methods: " in answer_of(unclear)
    assert "as good within the margin of error" in further_of(unclear)


def test_headline_says_what_its_interval_does_not_hold(build_sweep) -> None:
    sweep = build_sweep(algorithms=("ds",), seeds=1)
    assert "The intervals of DS BOTH: one seed, so other seeds are not in it." in further_of(sweep)


def test_figures_without_an_interval_say_so(build_sweep) -> None:
    """As those of a single inventory over a few weeks."""
    sweep = build_sweep(algorithms=("ds",), seeds=1)
    table = pd.read_csv(sweep / "comparison.csv")
    table[[c for c in table if c.endswith(("ci_low", "ci_high"))]] = float("nan")
    table.to_csv(sweep / "comparison.csv", index=False)
    words = Page(write_report(sweep).read_text(encoding="utf-8")).words
    assert "interval nan" not in words
    assert "money per inventory and day, no interval" in words
    assert "% less than class-tuned order-up-to (no interval)" in words
    assert "DS BOTH has the least cost of 4 methods" in words


def test_headline_names_the_share_of_the_gap_that_is_closed(sweep_dir: Path) -> None:
    results = SweepResults.read(sweep_dir)
    assert results.best is not None
    baseline, bound = (
        results.baseline_cost(name) for name in ("order_up_to_per_class", "perfect_hindsight")
    )
    share = 100 * (baseline - results.best["cost"]) / (baseline - bound)
    assert f"closes {share:.0f} % of the way" in further_of(sweep_dir)


def test_comparison_html_is_a_page_with_every_row(table: pd.DataFrame) -> None:
    page = Page(comparison_html(table, "Days 180 to 239 & later."))
    assert "Days 180 to 239 & later." in page.words
    for name in ("DDPG NONE", "PPO COEFF", "DS BOTH", "Base stock per class"):
        assert name in page.words
    assert all(source.startswith("data:") for source in page.loaded)


def test_comparison_bolds_the_best_but_not_hindsight(table: pd.DataFrame) -> None:
    markdown = comparison_markdown(table, "Caption.")
    lines = {line.split("|")[1].strip(): line for line in markdown.splitlines() if "|" in line}
    best = table.set_index(["algorithm", "action_model"]).loc[("ppo", "both"), "cost"]
    assert f"| **{best:.3f}** (" in lines["**PPO BOTH**"]
    assert "**" not in lines["Perfect hindsight"]
    assert lines["PPO COEFF"].split("|")[2].strip() == "failed"


def test_comparison_markdown_is_rectangular(table: pd.DataFrame) -> None:
    lines = [x for x in comparison_markdown(table, "A | caption.").splitlines() if x[:1] == "|"]
    assert len(lines) == 2 + len(table)
    assert len({line.count("|") for line in lines}) == 1


def test_figures_have_proper_signs(table: pd.DataFrame) -> None:
    markdown = comparison_markdown(table, "")
    own = next(line for line in markdown.splitlines() if line.startswith("| DDPG BOTH"))
    assert own.count("| 0.0 |") == 1  # cost against itself: no sign, no interval
    assert "−" in markdown
    assert " -" not in markdown.split("|---|")[1].replace("---:", "")


def test_tables_of_failures_only_are_shown(table: pd.DataFrame) -> None:
    failed = table.iloc[:1].copy()
    kept = {"algorithm", "action_model", "n_configs", "n_seeds", "n_failed", "seconds"}
    metrics = [c for c in table.columns if c not in kept]
    failed[metrics] = float("nan")
    assert "failed" in comparison_markdown(failed, "")
    assert "No finished trial" in comparison_html(failed, "")


def test_report_exports_what_compare_uses() -> None:
    assert set(report.__all__) == {"comparison_html", "comparison_markdown", "write_report"}
