"""Several scenarios as one: what is played together costs one torch call a day, not one each."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from envs.state import ORDER_SIZES, PER_DAY, PER_INVENTORY, Scenario


def side_by_side(parts: list[Scenario]) -> Scenario:
    """Scenarios over the same days as one; all else but the inventories must agree."""
    if len(parts) == 1:
        return parts[0]
    fields: dict[str, Any] = {}
    for name in (*PER_DAY, *PER_INVENTORY, "history"):
        values = [getattr(part, name) for part in parts]
        if values[0] is not None:
            fields[name] = torch.cat(values, dim=0 if name in PER_INVENTORY else 1)
    for name in ORDER_SIZES:
        sizes = [getattr(part, name) for part in parts]
        if any(isinstance(size, Tensor) for size in sizes) or len(set(sizes)) > 1:
            fields[name] = torch.cat(
                [
                    torch.as_tensor(size, dtype=torch.float32).expand(part.num_inventories)
                    for size, part in zip(sizes, parts, strict=True)
                ]
            )
    return replace(parts[0], **fields)
