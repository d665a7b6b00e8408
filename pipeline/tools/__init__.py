"""What every room may use: the process, seeds, files written whole, progress, CPU time."""
