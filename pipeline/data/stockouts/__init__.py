"""Demand behind stockouts: a day's law from its open hours, draws from it, and how good it is."""
