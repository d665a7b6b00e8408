"""The gymnasium environments keep the interface and play the project's dynamics."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode

from envs.errors import ScenarioError
from envs.gym_env import ENV_ID, InventoryEnv, InventoryVectorEnv
from envs.horizon import horizon_metrics
from envs.objective import day_cost
from envs.problems.poisson import poisson_scenario
from envs.rollout import Decision, rollout
from envs.state import InventoryState, Observation, Scenario

Problem = Callable[..., tuple[Scenario, InventoryState]]

EXPECTED_WARNINGS = (
    "we recommend using a symmetric and normalized space",  # orders are units
    "minimum value is -infinity",  # stock has no bounds
    "maximum value is infinity",
)


def base_stock(observation: Observation) -> Decision:
    return Decision((2.5 * observation.scale - observation.stock.sum(-1)).clamp(min=0.0))


def test_gymnasiums_checker_is_content() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        check_env(gym.make(ENV_ID).unwrapped)
    unexpected = [
        str(w.message) for w in caught if not any(e in str(w.message) for e in EXPECTED_WARNINGS)
    ]
    assert not unexpected


@pytest.mark.parametrize("mode", ["vector_entry_point", "sync"])
def test_the_registered_problem_in_vectors(mode: str) -> None:
    env = gym.make_vec(ENV_ID, num_envs=3, vectorization_mode=mode)
    assert env.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP
    seen, _ = env.reset(seed=4)
    assert env.observation_space.contains(seen)
    again, _ = env.reset(seed=4)
    np.testing.assert_array_equal(seen, again)
    env.action_space.seed(1)
    action = env.action_space.sample()
    after, reward, ended, truncated, _ = env.step(action)
    assert env.observation_space.contains(after)
    assert reward.shape == ended.shape == truncated.shape == (3,)
    env.close()


@pytest.mark.parametrize("seed", range(4))
def test_the_vector_env_equals_the_rollout_step_by_step(random_problem: Problem, seed: int) -> None:
    scenario, start = random_problem(
        seed, n=7, days=13, backlog=seed % 2 == 1, random_lead_time=True, random_fill=True,
        random_counted=True, order_multiple=2.0 * (seed % 3), expected=seed % 2 == 0,
    )  # fmt: skip
    played = rollout(scenario, base_stock, start, record=True)
    assert played.stock is not None
    cost = day_cost(played.outcome, scenario.shortage_cost, scenario.holding_cost)
    env = InventoryVectorEnv(scenario, start=lambda _: start)
    assert env.num_envs == 7
    for _episode in range(2):
        flat, _ = env.reset()
        rewards = []
        for day in range(13):
            expected = scenario.observe(day, InventoryState.unstack(played.stock[day]))
            np.testing.assert_allclose(flat, expected.flatten(), rtol=1e-6, atol=1e-5)
            # Orders are asked for every day; the environment ignores those off review days.
            order = base_stock(expected).order.unsqueeze(1).numpy()
            flat, reward, ended, truncated, info = env.step(order)
            np.testing.assert_allclose(info["order"], played.order[day], atol=1e-9)
            for name in ("sales", "unmet", "end"):
                expected_part = getattr(played.outcome, name)[day]
                np.testing.assert_allclose(info[name], expected_part, atol=1e-9)
            rewards.append(reward)
            assert not ended.any()
            assert (truncated == (day == 12)).all()
        assert scenario.counted is not None
        np.testing.assert_allclose(np.stack(rewards), -(cost * scenario.counted), atol=1e-9)
        # The last observation is the stock of the morning after.
        np.testing.assert_allclose(flat[:, :5], played.final.stack(), rtol=1e-6, atol=1e-5)
    metrics = horizon_metrics(
        played.outcome, scenario.demand, scenario.shortage_cost, scenario.holding_cost,
        scenario.counted,
    )  # fmt: skip
    total = np.stack(rewards).sum(0)
    np.testing.assert_allclose(-total, metrics.cost * metrics.counted_days, atol=1e-9)


def test_the_single_env_is_the_vector_env_of_one() -> None:
    scenario = poisson_scenario(1, 20, lead_time=2, shortage_cost=9.0, review_period=3, seed=3)
    one, many = InventoryEnv(scenario), InventoryVectorEnv(scenario)
    seen, _ = one.reset()
    seen_by_many, _ = many.reset()
    generator = np.random.default_rng(0)
    for _ in range(20):
        assert one.observation_space.contains(seen)
        np.testing.assert_array_equal(seen, seen_by_many[0])
        order = generator.uniform(0, 20, 1).astype(np.float32)
        seen, reward, ended, truncated, info = one.step(order)
        seen_by_many, rewards, _, truncations, infos = many.step(order[None])
        assert reward == rewards[0]
        assert not ended
        assert truncated == truncations[0]
        assert info == {name: float(value[0]) for name, value in infos.items()}
    assert truncated
    with pytest.raises(gym.error.ResetNeeded, match="horizon is over"):
        one.step(order)


def test_autoreset_happens_on_the_step_after_the_last_day() -> None:
    drawn: list[int] = []

    def draw(n: int, seed: int) -> Scenario:
        drawn.append(seed)
        return poisson_scenario(n, 3, lead_time=0, shortage_cost=9.0, seed=seed)

    env = InventoryVectorEnv(draw, num_envs=2)
    first, _ = env.reset(seed=0)
    demands = []
    for _episode in range(2):
        for day in range(3):
            orders = np.full((2, 1), 100.0 * (day == 0), dtype=np.float32)
            _, _, _, truncated, info = env.step(orders)
            demands.append(info["sales"])
        assert truncated.all()
        morning, reward, _, truncated, info = env.step(np.full((2, 1), 50.0))
        np.testing.assert_array_equal(morning, first)  # empty again: the order was ignored
        assert not truncated.any()
        assert not reward.any()
        assert info == {}
    assert len(set(drawn)) == len(drawn)  # every episode draws its own demand
    assert not np.array_equal(demands[:3], demands[3:])


def test_seeds_decide_the_episodes() -> None:
    env = InventoryVectorEnv(num_envs=5)
    order = np.full((5, 1), 4.0)

    def episode(seed: int | None) -> list[float]:
        env.reset(seed=seed)
        return [float(env.step(order)[1].sum()) for _ in range(10)]

    first, following = episode(11), episode(None)
    assert first == episode(11)
    assert following == episode(None)
    assert first != following


def test_the_action_space_ends_at_the_largest_order() -> None:
    bounded = poisson_scenario(1, 5, lead_time=1, shortage_cost=9.0, seed=0, order_max=17.0)
    assert InventoryEnv(bounded).action_space.high.tolist() == [17.0]  # type: ignore[attr-defined]
    env = InventoryEnv(bounded)
    env.reset()
    assert env.step(np.array([99.0]))[4]["order"] == 17.0


@pytest.mark.parametrize("action", [np.array([np.nan]), np.array([1.0, 2.0]), np.array([np.inf])])
def test_an_action_that_is_no_order_is_refused(action: np.ndarray) -> None:
    env = InventoryEnv()
    env.reset()
    with pytest.raises(ScenarioError, match="one finite order quantity"):
        env.step(action)


def test_misuse_is_named() -> None:
    scenario = poisson_scenario(3, 5, lead_time=1, shortage_cost=9.0, seed=0)
    with pytest.raises(ScenarioError, match="3 inventories"):
        InventoryVectorEnv(scenario, num_envs=2)
    with pytest.raises(ScenarioError, match="3 inventories"):
        InventoryEnv(scenario)
    with pytest.raises(gym.error.ResetNeeded):
        InventoryVectorEnv(scenario).step(np.zeros((3, 1)))
