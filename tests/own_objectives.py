"""Objectives that lie outside of the packages, as a user's would."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from envs.objective import CostObjective


@dataclass(frozen=True)
class Served(CostObjective):
    """Trained for money, judged by the fill rate."""

    name = "served"
    metric = "fill_rate_pct"
    lower_is_better = False


@dataclass(frozen=True)
class StockAndStockouts(CostObjective):
    """Judged by a figure that tables do not have."""

    name = "both_days"
    metric = "weighted_days"

    def figure(self, summary: Mapping[str, float]) -> float:
        """Days of stock, and a day for every percent of stockouts."""
        return summary["turnover_days"] + summary["stockout_rate_pct"]
