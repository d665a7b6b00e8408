"""Where scenarios come from: data sets, given trajectories, classical problems."""
