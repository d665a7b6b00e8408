"""What each algorithm must reach on problems whose best cost is known.

All cases train with the algorithms' default hyperparameters; a case only says for how long.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch

from envs.errors import ConfigError
from envs.problems.classical import PENALTIES, ClassicalProblem, problem_named
from envs.problems.settings import study_setting1
from envs.rollout import Policy
from pipeline.evaluation.play import evaluate_scenario, play_policy
from pipeline.runs.config import RunConfig
from pipeline.runs.method import AlgorithmName, Method
from pipeline.scenarios.classical import ClassicalSource
from pipeline.scenarios.source import ScenarioSource
from pipeline.scenarios.start import empty_start
from pipeline.scenarios.trajectories import StudyData
from pipeline.studies.solvers import Solution, best_base_stock, newsvendor, simulate, solve_setting1

TEST_SEED = 2_000_003
"""Of the demand that results are measured on; nothing trains on it."""


@dataclass(frozen=True)
class Score:
    """What a trained policy costs on one problem."""

    problem: str
    cost: float
    """Money per day."""
    standard_error: float
    """Of ``cost``, from the test demand."""
    optimum: float
    """The best policy's expected cost."""
    base_stock: float
    """The best constant base stock's; the optimum where that is optimal."""

    @property
    def gap_pct(self) -> float:
        """Percent above the optimum."""
        return 100.0 * (self.cost / self.optimum - 1.0)


@dataclass(frozen=True)
class Case:
    """One row of the table: an algorithm and an action model on one or several problems."""

    title: str
    """Of the problem or problems."""
    names: tuple[str, ...]
    """Of :data:`envs.problems.classical.PROBLEMS`; none for the study's setting 1."""
    algorithm: AlgorithmName
    action_model: str
    iterations: int
    limit_pct: float | None = None
    """Largest mean gap; None: the row stands there to be compared with."""
    limit_worst_pct: float | None = None
    """Largest gap of any problem."""
    limit_cpu_s: float | None = None
    """Longest training."""
    below_base_stock: bool = False
    """Every problem must cost less than its best constant base stock."""

    @property
    def method(self) -> Method:
        """What is trained."""
        return Method.of(self.algorithm, self.action_model)

    @property
    def key(self) -> str:
        """Folder of its runs."""
        where = "setting1" if not self.names else self.names[0]
        many = f"-and-{len(self.names) - 1}-more" if len(self.names) > 1 else ""
        return f"{where}{many}-{self.method}"

    @property
    def problems(self) -> tuple[ClassicalProblem, ...]:
        """Of :attr:`names`."""
        return tuple(problem_named(name) for name in self.names)

    def source(self) -> ScenarioSource:
        """What is trained and validated on: the same for every seed."""
        if not self.names:
            return StudyData(study="setting1").source()
        return ClassicalSource(self.problems, round_orders=True, seed=0)

    def run(self, seed: int) -> RunConfig:
        """The training run: default hyperparameters. A tenth of the time is validation's."""
        return RunConfig(
            algorithm=self.algorithm,
            action_model=self.action_model,
            seed=seed,
            iterations=self.iterations,
            validate_every=1 if not self.names else max(1, self.iterations // 8),
            checkpoint_every=10**9,
            training={"fragment_copies": 50} if not self.names else {},
        )

    def score(self, policy: Policy, periods: int) -> list[Score]:
        """Plays a policy on fresh demand: about ``periods`` inventory-days per problem."""
        if not self.names:
            return [_score_setting1(policy, periods)]
        longest = max(problem.lead_time for problem in self.problems)
        return [_score(problem, policy, periods, longest) for problem in self.problems]


def _score(problem: ClassicalProblem, policy: Policy, periods: int, longest: int) -> Score:
    base_stock = _base_stock(problem.name)
    optimum = problem.published.get("optimal")
    played = simulate(
        problem, policy, periods=periods, seed=TEST_SEED, round_orders=True,
        max_lead_time=longest, control=(base_stock.policy, base_stock.cost),
    )  # fmt: skip
    return Score(
        problem.name, played.cost, played.standard_error,
        optimum.value if optimum else base_stock.cost, base_stock.cost,
    )  # fmt: skip


@cache
def _base_stock(name: str) -> Solution:
    problem = problem_named(name)
    return newsvendor(problem) if problem.backlog else best_base_stock(problem)


@torch.no_grad()
def _score_setting1(policy: Policy, periods: int) -> Score:
    unseen = study_setting1(max(2, periods // 28), TEST_SEED)
    cost = evaluate_scenario(unseen, play_policy(policy), empty_start(unseen))["cost"]
    best = solve_setting1().cost
    error = float(cost.std() / len(cost) ** 0.5)
    return Score("setting1", float(cost.mean()), error, best, best)


def _cases() -> list[Case]:
    ds, ddpg, ppo = AlgorithmName.DS, AlgorithmName.DDPG, AlgorithmName.PPO
    none, base = "none", "base"
    normal, lost = "backlog_normal_b9_L4", "lost_sales_poisson_p9_L4"
    cells = tuple(
        f"lost_sales_poisson_p{p}_L{lead_time}" for p in PENALTIES for lead_time in (1, 2, 3, 4)
    )
    backlog = ("backlog, Normal(5, 1.6), b = 9, L = 4", (normal,))
    poisson = ("lost sales, Poisson 5, p = 9, L = 4, whole units", (lost,))
    everything = ("16 lost-sales cells, Poisson 5, p = 4..39, L = 1..4, one policy", cells)
    setting1 = ("setting 1, 10 + 10 given trajectories", ())
    setting1_limit = 100.0 * (0.885 / solve_setting1().cost - 1.0)
    return [
        Case(*backlog, ds, base, 30, limit_pct=0.3, limit_cpu_s=30),
        Case(*backlog, ddpg, base, 60, limit_pct=2.0, limit_cpu_s=300),
        Case(*backlog, ppo, base, 40, limit_pct=2.0, limit_cpu_s=300),
        Case(*backlog, ds, none, 30),
        Case(*backlog, ddpg, none, 60),
        Case(*backlog, ppo, none, 40),
        Case(*poisson, ds, base, 80, limit_pct=0.5, limit_cpu_s=120),
        Case(*poisson, ds, none, 80, limit_pct=0.5, limit_cpu_s=120),
        Case(*poisson, ddpg, base, 100, limit_pct=2.0),
        Case(*poisson, ddpg, none, 100),
        Case(*poisson, ppo, base, 60),
        Case(*poisson, ppo, none, 60),
        Case(*everything, ds, base, 300, limit_pct=1.0, limit_worst_pct=2.5, below_base_stock=True),
        Case(*everything, ddpg, base, 200),
        Case(*setting1, ddpg, base, 80, limit_pct=setting1_limit),
        Case(*setting1, ppo, base, 30, limit_pct=setting1_limit),
        Case(*setting1, ds, base, 100),
        Case(*setting1, ddpg, none, 80),
        Case(*setting1, ppo, none, 30),
        Case(*setting1, ds, none, 100),
    ]


def select_cases(text: str = "") -> list[Case]:
    """The rows of the table whose key contains ``text``.

    Raises:
        ConfigError: There is none.
    """
    everything = _cases()
    found = [case for case in everything if text in case.key]
    if not found:
        raise ConfigError(
            "only", text, f"Use a part of {', '.join(case.key for case in everything)}.",
            "names no row of the table",
        )  # fmt: skip
    return found
