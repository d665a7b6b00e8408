"""What runs and sweeps leave on disk, and what they are called; readable without RLlib."""
