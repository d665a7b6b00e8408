"""gymnasium environments over the project's dynamics: one inventory, or N at once.

Both play a scenario day by day through :func:`envs.rollout.rollout`, so an order means
here what it means everywhere else:

* observation: :meth:`envs.state.Observation.flatten`, float32;
* action: order quantity in units, shape (1,); ignored on days without review;
* reward: minus what the day costs, by the objective; 0 on days that no metric counts. It comes
  at once, not L days later when the order takes effect: the project's own runner credits an
  order with the days it governs (:func:`envs.credit.decision_rewards`), which is easier to
  learn from; gymnasium's interface has no place for that;
* an episode is the scenario's horizon; it ends by truncation, stock has no final value.

Importing this module registers ``DeepStock/Inventory-v0``: gymnasium does so itself for
``gymnasium.make("envs.gym_env:DeepStock/Inventory-v0")``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from envs.errors import ScenarioError
from envs.objective import DEFAULT_OBJECTIVE, Objective
from envs.problems.poisson import poisson_scenario
from envs.rollout import Decision, rollout
from envs.state import InventoryState, Scenario

ENV_ID = "DeepStock/Inventory-v0"

Array = NDArray[Any]
Draw = Callable[[int, int], Scenario]
"""(number of inventories, seed) -> a scenario of them; called at every reset. The number of
days, the layout and ``order_max`` must not depend on the seed."""
Start = Callable[[Scenario], InventoryState]
"""Stock on the first morning of a scenario."""

SPACE_SCALES = 10.0
"""Where orders have no largest size, the action space ends at this many demand scales. It
is a bound for whoever samples from the space; larger orders are placed as they are."""


def small_problem(n: int, seed: int) -> Scenario:
    """The registered default: Poisson(5), lost sales, L = 2, b = 9, h = 1, 60 days."""
    return poisson_scenario(n, 60, mean=5.0, lead_time=2, shortage_cost=9.0, seed=seed)


class _Problem:
    """What both environments are made of: where scenarios come from, and the spaces."""

    def __init__(
        self, scenario: Scenario | Draw, n: int, start: Start | None, objective: Objective
    ) -> None:
        self.n, self.objective = n, objective
        self._scenario = scenario
        self._start = start
        example = self._draw(0)
        if example.num_inventories != n:
            raise ScenarioError(
                "num_envs", n, f"Give the scenario's {example.num_inventories} inventories.",
                "is not the number of inventories",
            )  # fmt: skip
        largest = float(torch.as_tensor(example.order_max).max())
        bounded = largest < float("inf")
        high = largest if bounded else SPACE_SCALES * float(example.scale.max())
        infinite, size = float("inf"), (example.layout.size,)
        self.observation_space = gym.spaces.Box(-infinite, infinite, size, np.float32)
        self.action_space = gym.spaces.Box(0.0, high, (1,), np.float32)

    def _draw(self, seed: int) -> Scenario:
        return self._scenario(self.n, seed) if callable(self._scenario) else self._scenario

    def begin(self, generator: np.random.Generator) -> _Horizon:
        scenario = self._draw(int(generator.integers(2**31)))
        empty = InventoryState.empty(self.n, scenario.max_lead_time, like=scenario.demand)
        start = empty if self._start is None else self._start(scenario)
        return _Horizon(scenario, start, self.objective)


class _Horizon:
    """A scenario while it is played."""

    def __init__(self, scenario: Scenario, state: InventoryState, objective: Objective) -> None:
        self.scenario = scenario
        self.objective = objective
        self.state = state
        self.day = 0

    @property
    def over(self) -> bool:
        return self.day >= self.scenario.num_days

    def observe(self) -> Array:
        """[N, D]. The morning after the horizon shows the last day's features again."""
        day = min(self.day, self.scenario.num_days - 1)
        return self.scenario.observe(day, self.state).flatten().float().numpy()

    @torch.no_grad()
    def play(self, action: Array) -> tuple[Array, dict[str, Array]]:
        """Plays the day: rewards [N] and what happened, [N] each."""
        if self.over:
            raise gym.error.ResetNeeded("The horizon is over: call reset() before step().")
        order = torch.as_tensor(np.asarray(action), dtype=self.scenario.demand.dtype)
        n = self.scenario.num_inventories
        if order.numel() != n or not bool(torch.isfinite(order).all()):
            raise ScenarioError(
                "action", np.asarray(action).tolist(),
                f"Give one finite order quantity for each of the {n} inventories.",
            )  # fmt: skip
        today = self.scenario.days(self.day, self.day + 1)
        # rollout() asks about the inventories that are reviewed, in their order.
        decision = Decision(order.reshape(n)[today.review[0]])
        played = rollout(today, lambda _: decision, self.state)
        cost = self.objective.day(played.outcome, today)[0]
        if today.counted is not None:
            cost = cost * today.counted[0]
        self.state = played.final
        self.day += 1
        happened = {
            "order": played.order[0],
            "sales": played.outcome.sales[0],
            "unmet": played.outcome.unmet[0],
            "end": played.outcome.end[0],
        }
        return -cost.double().numpy(), {name: value.numpy() for name, value in happened.items()}


class InventoryEnv(gym.Env[Array, Array]):
    """One inventory.

    ``info`` of a step holds ``order`` (as placed), ``sales``, ``unmet`` and ``end``, in units.

    Args:
        scenario: A scenario of one inventory, the same in every episode; or a :data:`Draw`.
        start: Stock on the first morning; default: none.
        objective: What a day costs.

    Raises:
        ScenarioError: The scenario has several inventories (on construction); the action
            is not one finite number (on a step).
    """

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012

    def __init__(
        self,
        scenario: Scenario | Draw = small_problem,
        *,
        start: Start | None = None,
        objective: Objective = DEFAULT_OBJECTIVE,
    ) -> None:
        self._problem = _Problem(scenario, 1, start, objective)
        self.observation_space = self._problem.observation_space
        self.action_space = self._problem.action_space
        self._horizon: _Horizon | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Array, dict[str, Any]]:
        """Morning of the first day. ``options`` are not used."""
        super().reset(seed=seed)
        self._horizon = self._problem.begin(self.np_random)
        return self._horizon.observe()[0], {}

    def step(self, action: Array) -> tuple[Array, float, bool, bool, dict[str, Any]]:
        """Plays a day; the observation is the next morning's."""
        horizon = _begun(self._horizon)
        reward, happened = horizon.play(action)
        info = {name: float(value[0]) for name, value in happened.items()}
        return horizon.observe()[0], float(reward[0]), False, horizon.over, info


class InventoryVectorEnv(gym.vector.VectorEnv[Array, Array, Array]):
    """N inventories as tensors: no Python object per inventory.

    All inventories share the horizon, so all episodes end on the same day. Autoreset is
    next-step, which RLlib's runner expects: the step after the last day ignores its actions,
    starts a new scenario and returns its first morning with reward 0.

    Args:
        scenario: A scenario of ``num_envs`` inventories, the same in every episode; or a
            :data:`Draw`.
        num_envs: N; default: the scenario's (1 for a :data:`Draw`).
        start: Stock on the first morning; default: none.
        objective: What a day costs.

    Raises:
        ScenarioError: ``num_envs`` is not the scenario's number of inventories (on
            construction); the actions are not N finite numbers (on a step).
    """

    metadata: dict[str, Any] = {  # noqa: RUF012
        "render_modes": [],
        "autoreset_mode": AutoresetMode.NEXT_STEP,
    }

    def __init__(
        self,
        scenario: Scenario | Draw = small_problem,
        *,
        num_envs: int | None = None,
        start: Start | None = None,
        objective: Objective = DEFAULT_OBJECTIVE,
    ) -> None:
        if num_envs is None:
            num_envs = scenario.num_inventories if isinstance(scenario, Scenario) else 1
        self._problem = _Problem(scenario, num_envs, start, objective)
        self.num_envs = num_envs
        self.single_observation_space = self._problem.observation_space
        self.single_action_space = self._problem.action_space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._horizon: _Horizon | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Array, dict[str, Any]]:
        """Morning of the first day, [N, D]. ``options`` are not used."""
        super().reset(seed=seed)
        self._horizon = self._problem.begin(self.np_random)
        return self._horizon.observe(), {}

    def step(self, actions: Array) -> tuple[Array, Array, Array, Array, dict[str, Any]]:
        """Plays a day of all inventories; observations are the next morning's, [N, D]."""
        horizon = _begun(self._horizon)
        never = np.zeros(self.num_envs, dtype=bool)
        if horizon.over:
            morning, info = self.reset()
            return morning, np.zeros(self.num_envs), never, never.copy(), info
        reward, happened = horizon.play(actions)
        return horizon.observe(), reward, never, np.full(self.num_envs, horizon.over), happened


def _begun(horizon: _Horizon | None) -> _Horizon:
    if horizon is None:
        raise gym.error.ResetNeeded("Call reset() before step().")
    return horizon


if ENV_ID not in gym.registry:
    gym.register(
        ENV_ID,
        entry_point="envs.gym_env:InventoryEnv",
        vector_entry_point="envs.gym_env:InventoryVectorEnv",
    )
