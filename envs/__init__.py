"""What happens to stock: dynamics, objective, rollout and gymnasium environments.

Knows torch and gymnasium only; no RLlib and no files.
"""
