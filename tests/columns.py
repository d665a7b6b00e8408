"""Features of inventories that classes are made of."""

from __future__ import annotations

import numpy as np
import torch


def sample(n: int, seed: int = 0) -> dict[str, torch.Tensor]:
    rng = np.random.default_rng(seed)
    return {
        "log_cost_ratio": torch.as_tensor(rng.uniform(0.3, 1.7, n), dtype=torch.float32),
        "zero_share": torch.as_tensor(rng.beta(1, 3, n), dtype=torch.float32),
        "review_period": torch.as_tensor(rng.choice([1, 2, 3, 7], n) / 7, dtype=torch.float32),
        "lead_time": torch.as_tensor(rng.integers(1, 15, n) / 14, dtype=torch.float32),
    }
