"""What is tracked, in the shape that MLflow takes; without importing it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any


def flattened(nested: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    """Pairs of a name, such as ``training.lr``, and a value that is no mapping."""
    for key, value in nested.items():
        if isinstance(value, Mapping):
            yield from flattened(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def digest_of(content: object) -> str:
    """Tells whether the same was logged before."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()
