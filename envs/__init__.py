"""What happens to stock: dynamics, objective, rollout and gymnasium environments.

Knows torch and gymnasium only; no RLlib and no files.
"""

DEEPSTOCK = True
"""Marks this package as ours: ``envs`` is also the name of a package on PyPI."""
