"""The columnar EnvRunner: one Ray worker, one shard of inventories.

It plays a tile at a time, as tensors; no Python object exists per inventory or per
episode. What a runner plays is a pure function of (weights, shard, iteration): one that was
killed and restarted plays the same again. Only what an algorithm's rows keep (DDPG's replay) is
lost with it, and refilled.
"""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Collection
from pathlib import Path
from typing import Any, NamedTuple

import ray
import torch
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.rllib.core import COMPONENT_RL_MODULE, DEFAULT_MODULE_ID
from ray.rllib.core.columns import Columns
from ray.rllib.env import INPUT_ENV_SINGLE_SPACES, INPUT_ENV_SPACES
from ray.rllib.env.env_runner import EnvRunner
from ray.rllib.policy.sample_batch import SampleBatch
from ray.rllib.utils.annotations import override
from ray.rllib.utils.checkpoints import Checkpointable
from ray.rllib.utils.metrics import (
    NUM_ENV_STEPS_SAMPLED,
    NUM_ENV_STEPS_SAMPLED_LIFETIME,
    NUM_EPISODES,
    SAMPLE_TIMER,
    WEIGHTS_SEQ_NO,
)
from torch import Tensor

from envs.objective import Objective
from envs.rollout import Trajectory, rollout
from envs.state import InventoryState, Scenario
from pipeline.algorithms.decisions import Decisions, extract_decisions
from pipeline.evaluation.play import summarize_source
from pipeline.features.trade_off import seen_scenario
from pipeline.scenarios.source import ScenarioSource
from pipeline.tools.environment import keep_freed_memory
from pipeline.tools.seeding import derive_seed


class Fragment(NamedTuple):
    """A stretch of days of a tile, and the stock that it starts with."""

    tile: int
    first_day: int
    scenario: Scenario
    state: InventoryState


class Rows(ABC):
    """What an algorithm learns from, made by playing.

    They do not keep the runner: a circle of the two would hold a finished trial's memory until
    Python looks for circles, which tensors do not make it do.
    """

    @abstractmethod
    def sample(self, runner: ShardRunner, iteration: int) -> dict[str, Tensor]:
        """The rows of an iteration, as columns.

        Args:
            runner: Plays; with ``fragment``, ``play``, ``decisions``, ``tile``, ``share`` and
                ``count_steps``, and the ``config``, ``module`` and ``objective`` it plays with.
                What is drawn on the way comes from torch's generator, which it has seeded.
            iteration: Number of it.
        """

    def save(self, path: Path) -> None:  # noqa: B027 (most keep nothing)
        """Writes what is kept between iterations into a checkpoint's file; default: nothing."""

    def restore(self, path: Path) -> None:  # noqa: B027
        """Takes over what :meth:`save` wrote."""


class ShardRunner(EnvRunner, Checkpointable):
    """Plays fragments of its tiles: worker w of W owns the tiles w, w + W, w + 2W, ...

    What becomes of a fragment is up to the algorithm's :class:`Rows`. In evaluation the runner
    plays the deterministic policy over every tile of the evaluation split with the project's one
    evaluator, and logs cost, stockout rate and turnover time.
    """

    def __init__(self, *, config: AlgorithmConfig, **kwargs: Any) -> None:
        super().__init__(config=config, **kwargs)
        torch.set_num_threads(1)  # two threads on shared cores were 2-9 times slower
        keep_freed_memory()
        self.worker_index: int = kwargs.get("worker_index") or 0
        self.num_env_steps_sampled_lifetime: int = 0
        self._weights_seq_no = 0
        self._iteration = 0
        self.source: ScenarioSource = self.config.source
        self.objective: Objective = self.config.objective
        self.make_module()
        self.rows: Rows = self.config.algo_class.rows_class()

    # -- what RLlib asks of a runner -------------------------------------------------

    @override(EnvRunner)
    def make_module(self) -> None:
        spec = self.config.get_rl_module_spec(spaces=self.get_spaces(), inference_only=False)
        self.module = spec.build()

    @override(EnvRunner)
    def get_spaces(self) -> dict[str, Any]:
        spaces = (self.config.observation_space, self.config.action_space)
        return dict.fromkeys((INPUT_ENV_SPACES, INPUT_ENV_SINGLE_SPACES, DEFAULT_MODULE_ID), spaces)

    @override(EnvRunner)
    def assert_healthy(self) -> None:
        assert self.module is not None

    @override(EnvRunner)
    @torch.no_grad()
    def sample(self, *, iteration: int | None = None, **kwargs: Any) -> list[SampleBatch]:
        """One fragment as columns (or, in evaluation, the whole split).

        Args:
            iteration: Which fragment; None takes the next one.

        Returns:
            One batch, with the columns of the algorithm's rows.
        """
        if self.config.in_evaluation:
            return [self._evaluate()]
        number: int = self._iteration if iteration is None else iteration
        self._iteration = number + 1
        start = time.perf_counter()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive_seed(self.config.seed or 0, self.worker_index, number))
            columns = self.rows.sample(self, number)
        self.metrics.log_value(SAMPLE_TIMER, time.perf_counter() - start, window=1)
        return [SampleBatch(columns)]

    @override(EnvRunner)
    def get_metrics(self) -> Any:
        return self.metrics.reduce()

    # -- what rows ask of it -----------------------------------------------------------

    def fragment(self, number: int) -> Fragment:
        """The number-th fragment, with random initial stock.

        Every tile comes up once before any comes up twice.
        """
        mine = self.tiles()
        generator = torch.Generator().manual_seed(
            derive_seed("fragment", self.config.seed or 0, self.worker_index, number)
        )
        order = torch.randperm(
            len(mine),
            generator=torch.Generator().manual_seed(
                derive_seed("order", self.config.seed or 0, number // len(mine))
            ),
        )
        tile = mine[int(order[number % len(mine)])]
        scenario = self.tile(tile)
        length = min(self.config.fragment_days, scenario.num_days)
        first = int(torch.randint(0, scenario.num_days - length + 1, (), generator=generator))
        window = scenario.days(first, first + length)
        start = self.config.initial_stock or self.source.training_start
        stock = start(window, generator)
        return Fragment(tile, first, self._seen(window, generator), stock)

    def _seen(self, window: Scenario, generator: torch.Generator) -> Scenario:
        """As the policy is to see it: of the objective, shortages weighed by drawn factors."""
        if self.config.shortage_factors is None:
            return seen_scenario(window, self.objective)
        low, high = (math.log(end) for end in self.config.shortage_factors)
        drawn = torch.rand(window.num_inventories, generator=generator)
        return seen_scenario(window, self.objective, (low + (high - low) * drawn).exp())

    def tiles(self) -> range:
        """The tiles of this runner's shard."""
        mine = range(
            max(0, self.worker_index - 1), self.source.num_tiles("train"), self._num_runners
        )
        # More runners than tiles: they share the tiles, on other days.
        return mine or range(self.source.num_tiles("train"))

    def tile(self, tile: int) -> Scenario:
        """A training tile, each of its inventories ``fragment_copies`` times."""
        scenario = self.source.load("train", tile)
        copies: int = self.config.fragment_copies
        if copies == 1:
            return scenario
        return scenario.inventories(torch.arange(scenario.num_inventories).repeat(copies))

    def share(self, rows: int) -> int:
        """This runner's part of so many rows."""
        return rows // self._num_runners

    def play(self, fragment: Fragment) -> Trajectory:
        """How a fragment goes with the policy that explores."""
        scenario = fragment.scenario
        played = rollout(scenario, self.module.explore, fragment.state, record=True)
        loss = self.objective.day(played.outcome, scenario).mean(0)
        size = self.objective.day_size(scenario)
        self.metrics.log_value("played_loss", float((loss / size).mean()), window=1)
        self.count_steps(scenario)
        return played

    def decisions(
        self, scenario: Scenario, played: Trajectory, limit: int | None = None
    ) -> Decisions:
        """Of a fragment that was played, ``limit`` at most: see :func:`extract_decisions`."""
        return extract_decisions(
            scenario,
            played,
            objective=self.objective,
            gamma=self.config.gamma,
            weight_power=self.config.weight_power,
            limit=limit,
        )

    def count_steps(self, scenario: Scenario) -> None:
        """Adds the days of a scenario that was played, or is going to be by the learner."""
        steps = scenario.num_days * scenario.num_inventories
        self.num_env_steps_sampled_lifetime += steps
        self.metrics.log_value(NUM_ENV_STEPS_SAMPLED, steps, reduce="sum")
        self.metrics.log_value(NUM_ENV_STEPS_SAMPLED_LIFETIME, steps, reduce="lifetime_sum")
        self.metrics.log_value(NUM_EPISODES, scenario.num_inventories, reduce="sum")

    # -- evaluation ----------------------------------------------------------------------

    @property
    def _num_runners(self) -> int:
        return max(1, self.num_workers or 1)

    def _evaluate(self) -> SampleBatch:
        summary, steps, inventories = summarize_source(
            self.source,
            self.config.split,
            self.module.averaged.decide,
            objective=self.objective,
            first_tile=max(0, self.worker_index - 1),
            every=self._num_runners,
        )
        for name, value in summary.items():
            self.metrics.log_value(name, value, window=1)
        self.metrics.log_value(NUM_ENV_STEPS_SAMPLED, steps, reduce="sum")
        self.metrics.log_value(NUM_ENV_STEPS_SAMPLED_LIFETIME, steps, reduce="lifetime_sum")
        self.metrics.log_value(NUM_EPISODES, inventories, reduce="sum")
        # RLlib counts the rows it evaluated; nobody reads them.
        return SampleBatch({Columns.REWARDS: torch.zeros(inventories)})

    # -- state --------------------------------------------------------------------

    @override(Checkpointable)
    def get_state(
        self,
        components: str | Collection[str] | None = None,
        *,
        not_components: str | Collection[str] | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        state: dict[str, Any] = {
            NUM_ENV_STEPS_SAMPLED_LIFETIME: self.num_env_steps_sampled_lifetime,
            "iteration": self._iteration,
        }
        if self._check_component(COMPONENT_RL_MODULE, components, not_components):
            state[COMPONENT_RL_MODULE] = self.module.get_state(**kwargs)
            state[WEIGHTS_SEQ_NO] = self._weights_seq_no
        return state

    @override(Checkpointable)
    def set_state(self, state: dict[str, Any]) -> None:
        if COMPONENT_RL_MODULE in state:
            number = state.get(WEIGHTS_SEQ_NO, 0)
            if number == 0 or self._weights_seq_no < number:
                weights = state[COMPONENT_RL_MODULE]
                if isinstance(weights, ray.ObjectRef):
                    weights = ray.get(weights)
                self.module.set_state(weights.get(DEFAULT_MODULE_ID, weights))
            self._weights_seq_no = max(self._weights_seq_no, number)
        self.num_env_steps_sampled_lifetime = state.get(
            NUM_ENV_STEPS_SAMPLED_LIFETIME, self.num_env_steps_sampled_lifetime
        )
        self._iteration = state.get("iteration", self._iteration)

    @override(Checkpointable)
    def get_ctor_args_and_kwargs(self) -> tuple[tuple[()], dict[str, Any]]:
        return (), {"config": self.config}

    @override(Checkpointable)
    def get_checkpointable_components(self) -> list[tuple[str, Any]]:
        return [(COMPONENT_RL_MODULE, self.module)]
