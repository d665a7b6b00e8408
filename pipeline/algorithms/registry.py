"""Algorithm names and their configurations."""

from __future__ import annotations

from typing import Any

from pipeline.algorithms.ddpg import DDPGConfig
from pipeline.algorithms.ds import DSConfig
from pipeline.algorithms.ppo import PPOConfig
from pipeline.config import AlgorithmName

CONFIGS: dict[AlgorithmName, Any] = {
    AlgorithmName.DDPG: DDPGConfig,
    AlgorithmName.PPO: PPOConfig,
    AlgorithmName.DS: DSConfig,
}
