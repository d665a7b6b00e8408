"""Rules that need no network: tuned on training inventories, they compete like methods."""
