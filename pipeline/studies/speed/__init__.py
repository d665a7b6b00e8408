"""``python -m pipeline bench``: how fast, how large, and how that compares to the machine's limits.

Rates are per CPU-second of one thread. Variants that are compared take turns in one process,
so that a slow moment of the machine hits them alike.
"""
