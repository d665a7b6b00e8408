"""Data sets of a made-up, retail-like market."""
