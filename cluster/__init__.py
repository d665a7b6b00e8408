"""Where the work runs: a local Ray cluster of two nodes, or one that exists already."""
