"""A day's orders: from stock and data to a snapshot, from a snapshot to orders."""
