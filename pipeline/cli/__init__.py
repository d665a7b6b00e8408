"""The commands of ``python -m pipeline``: they parse and print, nothing else."""
