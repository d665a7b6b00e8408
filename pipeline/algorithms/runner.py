"""The columnar EnvRunner: one Ray worker, one shard of inventories.

It plays a tile at a time, as tensors; no Python object exists per inventory or per
episode. What a runner plays is a pure function of (weights, shard, iteration): one that was
killed and restarted plays the same again. Only DDPG's replay is lost with it, and refilled.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Collection
from dataclasses import replace
from typing import Any, cast

import ray
import torch
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.rllib.core import COMPONENT_RL_MODULE, DEFAULT_MODULE_ID
from ray.rllib.core.columns import Columns
from ray.rllib.env import INPUT_ENV_SINGLE_SPACES, INPUT_ENV_SPACES
from ray.rllib.env.env_runner import EnvRunner
from ray.rllib.evaluation.postprocessing import Postprocessing
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

from envs.credit import governed_days
from envs.errors import ConfigError
from envs.objective import Objective
from envs.rollout import Decision, Policy, Trajectory, rollout
from envs.state import InventoryState, Observation, Scenario
from pipeline.algorithms.advantages import gains, value_targets
from pipeline.algorithms.alternatives import (
    Alternatives,
    alternative_orders,
    play_alternatives,
)
from pipeline.algorithms.decisions import Decisions, extract_decisions
from pipeline.algorithms.modules import scenario_columns
from pipeline.algorithms.replay import ReplayShard
from pipeline.evaluation.play import summarize_source
from pipeline.features.trade_off import seen_scenario
from pipeline.scenarios.source import ScenarioSource
from pipeline.tools.environment import keep_freed_memory
from pipeline.tools.seeding import derive_seed


class ShardRunner(EnvRunner, Checkpointable):
    """Plays fragments of its tiles: worker w of W owns the tiles w, w + W, w + 2W, ...

    In evaluation it plays the deterministic policy over every tile of the evaluation
    split with the project's one evaluator, and logs cost, stockout rate and turnover time.
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
        self.replay = ReplayShard()
        self.make_module()

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
            One batch, one row per decision (PPO) or per inventory window (DS). In
            DDPG decisions stay in the replay and drawn rows are returned.
        """
        if self.config.in_evaluation:
            return [self._evaluate()]
        number: int = self._iteration if iteration is None else iteration
        self._iteration = number + 1
        start = time.perf_counter()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive_seed(self.config.seed or 0, self.worker_index, number))
            columns = getattr(self, f"_sample_{self.config.rows}")(number)
        self.metrics.log_value(SAMPLE_TIMER, time.perf_counter() - start, window=1)
        return [SampleBatch(columns)]

    @override(EnvRunner)
    def get_metrics(self) -> Any:
        return self.metrics.reduce()

    # -- the kinds of rows (config.rows) ----------------------------------------------

    def _sample_replayed(self, iteration: int) -> dict[str, Tensor]:
        """DDPG: plays ``fragments_per_iteration`` fragments, then draws from the replay."""
        for part in range(self.config.fragments_per_iteration):
            tile, first_day, scenario, state = self._fragment(
                iteration * self.config.fragments_per_iteration + part
            )
            played = self._play(scenario, self._explore, state)
            if not self.replay.capacity:
                self.replay.capacity = self._replay_capacity(scenario)
            most = min(self.replay.capacity, self.config.decisions_per_fragment)
            decisions = self._decisions(scenario, played, most)
            factor = scenario.shortage_factor
            self.replay.add(
                tile, first_day, decisions, *self._alternatives(scenario, played, decisions),
                factor=None if factor is None else factor[decisions.inventory],
            )  # fmt: skip
        if self.replay.size == 0:
            raise ConfigError(
                "training: fragment_days", self.config.fragment_days,
                "Use more days than the longest lead time and two review periods.",
                "holds no whole decision of any inventory",
            )  # fmt: skip
        runners = max(1, self.num_workers or 1)
        rows = self.config.updates_per_iteration * self.config.total_train_batch_size // runners
        return self.replay.draw(rows, self._tile, self.objective)

    def _alternatives(
        self, scenario: Scenario, played: Trajectory, decisions: Decisions
    ) -> tuple[Tensor, Tensor, Alternatives]:
        """Stock [R, K+1] before each decision, actions [C, R, A], and what they led to."""
        assert played.stock is not None
        where = decisions.day, decisions.inventory
        observation = scenario.look_up(*where, played.stock[where])
        tried = played.columns[Columns.ACTIONS][where]
        actions = self.module.alternatives(observation, tried, self.config.alternatives)
        model = self.module.policy.action_model
        orders = alternative_orders(scenario, decisions, observation, actions, model)
        stock = observation.stock
        found = play_alternatives(scenario, stock, decisions, orders, played, self.objective)
        return stock, actions, found

    def _replay_capacity(self, fragment: Scenario) -> int:
        """Rows of ``replay_fragments`` fragments like the first one, if that was a whole tile."""
        largest = self._tile(self._my_tiles()[0]).num_inventories  # the last may be a part of one
        rows = int(fragment.review.sum()) * largest // fragment.num_inventories
        rows = min(rows, int(self.config.decisions_per_fragment))
        limit = self.config.replay_capacity
        return min(max(1, rows) * int(self.config.replay_fragments), limit or sys.maxsize)

    def _sample_advantages(self, iteration: int) -> dict[str, Tensor]:
        """PPO: on-policy decisions with advantages and value targets."""
        _, _, scenario, state = self._fragment(iteration)
        played = self._play(scenario, self._explore, state)
        decisions = self._decisions(scenario, played)
        target = value_targets(self.module, scenario, played, decisions, self.config.lambda_)
        # PPO learns from a stated subsample, not from every row it simulated.
        limit = self.config.total_train_batch_size // max(1, self.num_workers or 1)
        keep = torch.randperm(len(target))[:limit]
        decisions = decisions.rows(keep)
        where = decisions.day, decisions.inventory
        assert played.stock is not None
        observation = scenario.look_up(*where, played.stock[where])
        columns = {name: column[where] for name, column in played.columns.items()}
        return {
            Columns.OBS: observation.flatten(),
            **columns,
            Postprocessing.ADVANTAGES: gains(
                self.module, scenario, played, decisions, observation, columns[Columns.ACTIONS]
            ),
            Postprocessing.VALUE_TARGETS: target[keep],
            "weight": decisions.weight,
        }

    def _sample_windows(self, iteration: int) -> dict[str, Tensor]:
        """DS: windows of inventories with random initial stock, one per row."""
        runners = max(1, self.num_workers or 1)
        rows = self.config.total_train_batch_size // runners
        parts = []
        for update in range(self.config.updates_per_iteration):
            _, _, scenario, state = self._fragment(
                iteration * self.config.updates_per_iteration + update
            )
            pick = torch.randint(0, scenario.num_inventories, (rows,))
            window = _count_governed_days(scenario.inventories(pick))
            stock = state.stack()[pick]
            parts.append(scenario_columns(window, InventoryState.unstack(stock)))
            self._count_steps(window)
        return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}

    # -- playing --------------------------------------------------------------------

    def _fragment(self, number: int) -> tuple[int, int, Scenario, InventoryState]:
        """Tile, first day, scenario and random initial stock of the number-th fragment.

        Every tile comes up once before any comes up twice.
        """
        mine = self._my_tiles()
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
        scenario = self._tile(tile)
        length = min(self.config.fragment_days, scenario.num_days)
        first = int(torch.randint(0, scenario.num_days - length + 1, (), generator=generator))
        window = scenario.days(first, first + length)
        start = self.config.initial_stock or self.source.training_start
        stock = start(window, generator)
        return tile, first, self._seen(window, generator), stock

    def _seen(self, window: Scenario, generator: torch.Generator) -> Scenario:
        """As the policy is to see it: of the objective, shortages weighed by drawn factors."""
        if self.config.shortage_factors is None:
            return seen_scenario(window, self.objective)
        low, high = (math.log(end) for end in self.config.shortage_factors)
        drawn = torch.rand(window.num_inventories, generator=generator)
        return seen_scenario(window, self.objective, (low + (high - low) * drawn).exp())

    def _my_tiles(self) -> range:
        """The tiles of this runner's shard."""
        workers = max(1, self.num_workers or 1)
        mine = range(max(0, self.worker_index - 1), self.source.num_tiles("train"), workers)
        # More runners than tiles: they share the tiles, on other days.
        return mine or range(self.source.num_tiles("train"))

    def _tile(self, tile: int) -> Scenario:
        """A training tile, each of its inventories ``fragment_copies`` times."""
        scenario = self.source.load("train", tile)
        copies: int = self.config.fragment_copies
        if copies == 1:
            return scenario
        return scenario.inventories(torch.arange(scenario.num_inventories).repeat(copies))

    def _explore(self, observation: Observation) -> Decision:
        return cast(Decision, self.module.explore(observation))

    def _play(self, scenario: Scenario, policy: Policy, state: InventoryState) -> Trajectory:
        played = rollout(scenario, policy, state, record=True)
        loss = self.objective.day(played.outcome, scenario).mean(0)
        size = self.objective.day_size(scenario)
        self.metrics.log_value("played_loss", float((loss / size).mean()), window=1)
        self._count_steps(scenario)
        return played

    def _decisions(
        self, scenario: Scenario, played: Trajectory, limit: int | None = None
    ) -> Decisions:
        return extract_decisions(
            scenario,
            played,
            objective=self.objective,
            gamma=self.config.gamma,
            weight_power=self.config.weight_power,
            limit=limit,
        )

    def _count_steps(self, scenario: Scenario) -> None:
        steps = scenario.num_days * scenario.num_inventories
        self.num_env_steps_sampled_lifetime += steps
        self.metrics.log_value(NUM_ENV_STEPS_SAMPLED, steps, reduce="sum")
        self.metrics.log_value(NUM_ENV_STEPS_SAMPLED_LIFETIME, steps, reduce="lifetime_sum")
        self.metrics.log_value(NUM_EPISODES, scenario.num_inventories, reduce="sum")

    def _evaluate(self) -> SampleBatch:
        workers = max(1, self.num_workers or 1)
        summary, steps, inventories = summarize_source(
            self.source,
            self.config.split,
            self.module.averaged.decide,
            objective=self.objective,
            first_tile=max(0, self.worker_index - 1),
            every=workers,
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


def _count_governed_days(window: Scenario) -> Scenario:
    """DS counts what its orders decide: not the warm-up, not the cut days at the end."""
    _, governed = governed_days(window.review, window.lead_time, window.review_period)
    counted = governed if window.counted is None else governed & window.counted
    return replace(window, counted=counted)
