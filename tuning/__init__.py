"""Sweeps: search spaces, designs of configurations, Ray Tune."""
