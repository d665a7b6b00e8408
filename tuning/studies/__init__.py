"""Sweeps of the synthetic study and the experiments around them."""
